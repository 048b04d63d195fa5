import { proxyActivities } from '@temporalio/workflow';

const { noop } = proxyActivities<{ noop(): Promise<void> }>({ startToCloseTimeout: '1m' });

/** The floor: what the engine alone costs for that many activities, one after the other. */
export async function bareNode({ activities }: { activities: number }): Promise<void> {
  for (let done = 0; done < activities; done++) await noop();
}

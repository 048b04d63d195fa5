import { afterEach, expect, it } from 'vitest';
import type { SeenFlows } from '../../src/node/types.ts';
import { runVerb } from '../../src/simulator/ssh/verbs/run-verb.ts';
import { startCluster, until, type TestCluster } from './node-cluster.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

const flowsOf = async (node: string): Promise<SeenFlows['flows']> => {
  const range = { first: '10.244.0.0', last: '10.244.255.255', limit: 100 };
  const { answer } = await runVerb(cluster.node(node), cluster.clock, 'flows', range);
  return (answer as unknown as SeenFlows).flows;
};

it('both nodes remember an answered connection by the pod behind the Service, and one that was lost by neither', async () => {
  cluster = await startCluster({ speed: 20 });
  cluster.service('b', { clusterIP: '10.96.0.50', backends: ['b-n2'] });
  await until(
    () => cluster.send('default/a-n1', '10.96.0.50', { port: 80 }).answeredBy === 'default/b-n2',
    'the Service answers',
  );
  const [web, server] = [cluster.ip('a-n1'), cluster.ip('b-n2')];

  cluster.send('default/a-n1', '10.244.9.9', { port: 8080 });

  const flow = { source: web, destination: server, protocol: 'TCP', port: 8080, connections: 1 };
  const seen = [await flowsOf('n1'), await flowsOf('n2'), await flowsOf('n3')].map((flows) =>
    flows.filter(({ source, destination }) => source === web && destination !== '10.96.0.50'),
  );
  expect(seen).toEqual([[flow], [flow], []]);
});

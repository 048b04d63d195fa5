import { kinds } from '../../kubernetes/kinds.ts';
import type { Asker } from '../asker.ts';
import { askBirds, type BirdState } from './bird.ts';
import { calicoNodes, type CalicoNode } from './calico-state.ts';
import { expectedSessions } from './expected-sessions.ts';

/** The sessions that should be there by Calico's own objects, and what the BIRD of each node says. */
export async function askSessions(
  context: Asker,
): Promise<{ nodes: CalicoNode[]; expected: Map<string, Set<string>>; birds: BirdState[] }> {
  const [objects, configuration, peers] = await Promise.all([
    context.nodeObjects(),
    context.kubernetes.get({ ...kinds.bgpConfiguration, name: 'default' }),
    context.kubernetes.list(kinds.bgpPeer),
  ]);
  const nodes = calicoNodes(objects);
  const birds = await askBirds(
    context,
    nodes.map(({ name }) => name),
  );
  return { nodes, expected: expectedSessions(nodes, configuration, peers), birds };
}

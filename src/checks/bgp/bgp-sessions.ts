import { block, count, defineCheck, pass, some } from '../define.ts';
import { askSessions } from './ask-sessions.ts';

type Facts = {
  nodes: number;
  expected: number;
  established: number;
  /** `worker-1: it has no Ready calico-node pod`. */
  silent: string[];
  /** `worker-1 - 10.0.0.2: Active Socket: Connection refused`. */
  down: string[];
  /** Sessions that have been up for less than the plan wants, with their seconds: one that comes and goes is among them. */
  young: string[];
  /** Of the youngest session, seconds; 0 without any. */
  youngestSeconds: number;
  stableSeconds: number;
};

/**
 * Every session that should be there is Established, and has been for some time. What should be there is read from
 * Calico's objects: mesh, route reflectors, routers. "Established" alone proves nothing about the routes in the kernel (§0a.8).
 */
export const bgpSessions = defineCheck<Facts>({
  id: 'bgp-sessions',
  layer: 'bgp',
  title: 'Every BGP session is Established and stays so',
  scope: 'cluster',
  patient: true,
  ask: async (context) => {
    const { nodes, expected, birds } = await askSessions(context);
    const stableSeconds = context.stage.bgp?.stableSeconds ?? 0;
    const facts: Facts = {
      nodes: nodes.length,
      expected: 0,
      established: 0,
      silent: [],
      down: [],
      young: [],
      youngestSeconds: 0,
      stableSeconds,
    };
    const ages: number[] = [];
    for (const bird of birds) {
      const wanted = expected.get(bird.node) ?? new Set();
      facts.expected += wanted.size;
      if (bird.error !== '') facts.silent.push(`${bird.node}: ${bird.error}`);
      else
        for (const peer of wanted) {
          const session = bird.sessions.find((each) => each.peer === peer);
          const name = `${bird.node} - ${peer}`;
          if (!session?.established) facts.down.push(`${name}: ${session?.info || 'BIRD knows no such session'}`);
          else {
            facts.established += 1;
            ages.push(session.ageSeconds);
            if (session.ageSeconds < stableSeconds) facts.young.push(`${name}: ${session.ageSeconds} s`);
          }
        }
    }
    facts.youngestSeconds = ages.length === 0 ? 0 : Math.min(...ages);
    return facts;
  },
  judge: ({ expected, established, silent, down, young, youngestSeconds, stableSeconds }) => {
    if (silent.length > 0)
      return block(`BIRD cannot be asked on ${count(silent.length, 'node')}: ${some(silent)}`, {
        remedy:
          'look at `kubectl -n kube-system logs -l k8s-app=calico-node` of these nodes, and whether calico_backend is bird',
      });
    if (expected === 0)
      return block('no BGP session is expected: there is a single node, or the mesh is off and no peer is set', {
        remedy: 'look at BGPConfiguration default and the BGPPeers',
      });
    if (down.length > 0)
      return block(`${down.length} of ${expected} BGP sessions are not Established: ${some(down)}`, {
        remedy: 'look whether TCP 179 passes between these addresses both ways (`nc -zv`), and at the log of BIRD',
      });
    if (young.length > 0)
      return block(
        `${count(young.length, 'BGP session')} of ${expected} ${young.length === 1 ? 'is' : 'are'} up for less than ${stableSeconds} s: ${some(young)}`,
        { remedy: 'wait; if it goes on, a session comes and goes: look at the log of BIRD on both ends' },
      );
    return pass(`all ${established} BGP sessions are Established, the youngest for ${youngestSeconds} s`);
  },
});

import { mapLimit } from '../asker.ts';
import { isReady } from '../../probe/pods.ts';
import { block, count, defineCheck, pass, some } from '../define.ts';
import { calico } from '../names.ts';

type Facts = {
  nodes: number;
  /** `worker-1: line 4: You may set only variables.`. */
  refused: string[];
  unknown: string[];
};

const template = '/etc/calico/confd/templates/bird_ipam.cfg.template';
const tried = '/tmp/cutover-never.cfg';

/** What the template does with a pool without VXLAN, as a configuration of its own. Pure. */
export function neverConfig(templateText: string): string {
  const setsTunnel = /^\s*krt_tunnel = /m.test(templateText);
  return [
    'router id 127.0.0.1;',
    'protocol device { }',
    `filter never { if ( net ~ 10.0.0.0/8 ) then { ${setsTunnel ? 'krt_tunnel = ""; ' : ''}accept; } accept; }`,
    'protocol kernel { export filter never; }',
  ].join(' ');
}

const parse = (config: string): string =>
  `echo '${config}' >${tried}; bird -p -c ${tried} && echo taken; rm -f ${tried}`;

/**
 * BIRD of every node would take what the flip to Never makes confd render. The template sets `krt_tunnel` for pools without
 * VXLAN only: a BIRD that does not know it shows that after the flip, when it is too late, and no route comes (§0a.8 of the
 * migration facts). So BIRD parses that line now, in a configuration of its own.
 */
export const birdTakesNever = defineCheck<Facts>({
  id: 'bird-takes-never',
  layer: 'bgp',
  title: 'BIRD would take the routes into the kernel',
  scope: 'cluster',
  ask: async (context) => {
    const pods = await context.kubernetes.list(
      { apiVersion: 'v1', kind: 'Pod' },
      { namespace: calico.namespace, labelSelector: calico.podSelector },
    );
    const facts: Facts = { nodes: pods.length, refused: [], unknown: [] };
    await mapLimit(pods.filter(isReady), 20, async (pod) => {
      const node = String(pod['spec']?.nodeName);
      try {
        const exec = (command: string[]) =>
          context.kubernetes.exec(
            { namespace: calico.namespace, name: pod.metadata.name, container: calico.daemonSet },
            command,
            { timeoutMs: 15_000, signal: context.signal },
          );
        const { stdout: text } = await exec(['cat', template]);
        const { stdout, stderr } = await exec(['sh', '-c', parse(neverConfig(text))]);
        const said = `${stdout}${stderr}`.trim().split('\n')[0] ?? '';
        if (!stdout.includes('taken')) facts.refused.push(`${node}: ${said.replace(`${tried}, `, '')}`);
      } catch (error) {
        context.signal.throwIfAborted();
        facts.unknown.push(`${node}: ${error instanceof Error ? error.message : String(error)}`);
      }
    });
    facts.refused.sort();
    return facts;
  },
  judge: ({ nodes, refused, unknown }) => {
    if (refused.length > 0)
      return block(
        `BIRD would refuse what confd renders for Never on ${count(refused.length, 'node')}, and no route would come: ${some(refused)}`,
        {
          remedy:
            "stay with CrossSubnet, or run Calico's own BIRD: another build does not know krt_tunnel, which the template sets",
        },
      );
    if (unknown.length > 0)
      return block(`BIRD cannot be asked on ${count(unknown.length, 'node')}: ${some(unknown)}`, {
        remedy: 'look at the calico-node pods of these nodes',
      });
    return pass(`BIRD would take what confd renders for Never on all ${nodes} nodes`);
  },
});

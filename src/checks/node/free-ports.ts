import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { notAsked, saying, unasked } from '../surveyed.ts';
import { sharedVxlan } from '../names.ts';

type Facts = { nodes: number; taken: string[]; blind: string[]; unknown: string[] };

/** Ports of the node that Calico's agent or the probes need; BIRD and Typha do not run on this route. */
const felixHealth = 9099;

/** Nobody else listens where the new agent and the probes will: an agent that cannot bind never becomes Ready. */
export const freePorts = defineCheck<Facts>({
  id: 'free-ports',
  layer: 'node',
  title: 'The ports that are needed are free',
  scope: 'cluster',
  ask: async ({ surveyAll, ports, planned }) => {
    const surveyed = await surveyAll();
    const adopted = new Set(planned.filter((node) => node.adopted).map(({ name }) => name));
    const wanted: { protocol: string; port: number; why: string; mayBe?: RegExp }[] = [
      { protocol: 'tcp', port: felixHealth, why: "Felix's health", mayBe: /^calico-node$/ },
      { protocol: 'udp', port: sharedVxlan.port, why: 'VXLAN', mayBe: /^$/ },
      { protocol: 'tcp', port: ports.hostPort, why: 'the probes', mayBe: /^(agnhost|containerd.*)$/ },
      { protocol: 'tcp', port: ports.hostHttp, why: 'the probes', mayBe: /^agnhost$/ },
    ];
    return {
      nodes: surveyed.length,
      taken: saying(surveyed, ({ listeners, missing }, node) => {
        if (adopted.has(node.name) || missing.includes('ss')) return undefined;
        return wanted
          .flatMap(({ protocol, port, why, mayBe }) =>
            listeners
              .filter((each) => each.protocol === protocol && each.port === port && mayBe?.test(each.program) !== true)
              .map((each) => `${protocol.toUpperCase()} ${port} (${why}) by ${each.program || 'somebody'}`),
          )
          .join(', ');
      }),
      blind: saying(surveyed, ({ missing }) => missing.includes('ss') && 'ss'),
      unknown: unasked(surveyed),
    };
  },
  judge: ({ nodes, taken, blind, unknown }) => {
    if (taken.length > 0) {
      return block(`ports that are needed are taken on ${count(taken.length, 'node')} of ${nodes}: ${some(taken)}`, {
        remedy: 'stop that program, or give the probes other ports (probe.hostPort in the plan)',
      });
    }
    if (unknown.length > 0) return block(...notAsked(unknown, nodes));
    if (blind.length > 0) {
      return warn(`nobody can say who listens on ${count(blind.length, 'node')} of ${nodes}, which lack ss`, {
        remedy: 'install iproute2 whole there, or look by hand',
      });
    }
    return pass(
      `TCP ${felixHealth}, UDP ${sharedVxlan.port} and the ports of the probes are free on all ${nodes} nodes`,
    );
  },
});

import { captureStep, defineRoute, emptyNode, probesStep, step, undo } from './define.ts';
import { drainingRoute } from './preflight.ts';

/**
 * Pods get the MTU of the nodes' own network, once no packet between nodes is encapsulated any more: 50 bytes more than beside
 * VXLAN. A pod keeps the MTU it was made with, so the pods of every node are made anew, in waves; old and new ones go on
 * talking (TCP agrees on the smaller one).
 *
 * A stage of its own: the way back to VXLAN, whose tunnel such pods' packets do not fit, ended with the stage before it. What
 * this stage can take back is safe at any time: on plain packets a pod works with either MTU.
 *
 * Facts: reference migrations.md §2.2 item 7.
 */
const notes = {
  mtu:
    'pods made from here on have an MTU that does not fit through VXLAN: `cutover rollback --all` takes back the MTU for new pods and leaves the packets plain; ' +
    'going back to VXLAN from here is a migration of its own, in which every pod is made anew first',
};
const probes = ['pod-to-pod', 'path-mtu', 'dns', 'cluster-ip', 'node-port', 'host-port'];

export const calicoHostMtu = defineRoute({
  id: 'calico-host-mtu',
  title: "Pods with the MTU of the nodes' own network",
  from: 'bgp',
  to: 'bgp',
  bundles: [],
  bgp: true,
  runbook: ({ drain, gate }) => ({
    preflight: ['nodes-ready', 'enough-nodes', 'node-access', 'node-tools', 'underlay-mtu', ...drainingRoute],
    preflightAhead: [...drainingRoute],
    prepare: [
      probesStep,
      step('begin', 'Check that the cluster is what this stage begins on', {
        verb: 'cluster.check',
        verify: ['nodes-ready', 'routes-expected', 'cluster-matrix'],
        timeoutSeconds: 300,
      }),
      captureStep('before'),
      step('mtu', "Let new pods use the MTU of the node's own network", {
        ...(gate
          ? { gate: gate('before-mtu', { checks: ['routes-expected', 'cluster-matrix'], note: notes.mtu }) }
          : {}),
        verb: 'calico.unpinMtu',
        undo: [undo('calico.repinMtu')],
        verify: ['nodes-ready', 'routes-expected', 'cluster-matrix'],
        // One agent after the other, 5 s each: 40 minutes on 500 nodes.
        timeoutSeconds: 3_600,
      }),
    ],
    node: [
      step('same-node', 'Compare the machine with the plan', { verb: 'node.sameMachine', timeoutSeconds: 120 }),
      ...emptyNode(drain),
      step('recycle', 'Make the pods of DaemonSets anew', { verb: 'node.recyclePods', timeoutSeconds: 300 }),
      step('probe', 'Ask the network with the new MTU', {
        verb: 'node.check',
        verify: ['agent-calico', 'runtime-loaded-calico', 'node-routes-expected', 'pod-mtu', ...probes],
        attempts: 2,
      }),
      step('join', "Take its probe into the probes' Service again", { verb: 'probe.join' }),
      step('release', 'Take pods again', { verb: 'node.restoreCordon' }),
    ],
    verifyRollback: ['agent-calico', 'runtime-loaded-calico', 'node-routes-expected', ...probes],
    finalize: [
      step('everywhere', 'Check every route and every path once more', {
        verb: 'cluster.check',
        verify: ['nodes-ready', 'routes-expected', 'cluster-matrix'],
        timeoutSeconds: 300,
      }),
      captureStep('after'),
      step('probes-gone', 'Remove the probe pods', { verb: 'probe.remove' }),
      step('keep', 'Forget what was found before', { verb: 'bgp.keep', pointOfNoReturn: true }),
    ],
  }),
});

import type { RouteSettings, Step } from '../plan/types.ts';
import { captureStep, defineRoute, emptyNode, probesStep, step, undo } from './define.ts';
import { drainingRoute, everyRoute } from './preflight.ts';

/**
 * Flannel VXLAN -> Calico VXLAN, node by node, with a shared VXLAN identity: Calico takes over each node's VTEP address
 * and MAC, VNI 1 and UDP 8472, so nodes of either kind reach each other without knowing which is which.
 *
 * Facts: reference migrations.md §0, §0a (measured on a real cluster), §2.1. The label keys are those of Calico's own
 * flannel-migration controller: its block garbage collector spares nodes that carry them (§0a.15).
 */
const networkLabel = 'projectcalico.org/node-network-during-migration';
const flannelDaemonSet = { namespace: 'kube-flannel', name: 'kube-flannel-ds' };
const calicoDaemonSet = { namespace: 'kube-system', name: 'calico-node' };
/** Written by the fence, later overwritten by Calico's install-cni: one name, so that 10-flannel never comes back between. */
const calicoConf = '10-calico.conflist';

const probes = [
  'pod-identity',
  'pod-to-pod',
  'path-mtu',
  'transfer',
  'dns',
  'cluster-ip',
  'node-port',
  'hairpin',
  'api-server',
  'host-port',
  'egress-source',
];

/** Without a soak there is no load yet, and everything was asked a moment ago. */
const soakStep = ({ nodeSoakSeconds }: RouteSettings['strategy']): Step[] =>
  nodeSoakSeconds === 0
    ? []
    : [
        step('soak', 'Watch the node under load', {
          verb: 'node.check',
          waitSeconds: nodeSoakSeconds,
          verify: ['runtime-loaded-calico', 'routes-calico', 'pod-to-pod', 'conntrack-drops'],
        }),
      ];

export const flannelToCalico = defineRoute({
  id: 'flannel-to-calico',
  title: 'Flannel VXLAN to Calico VXLAN',
  from: 'flannel',
  to: 'calico',
  bundles: ['manifests'],
  // Policies are added while a migration runs, and each node that Calico takes over enforces them.
  gateChecks: ['policy-hazards'],
  runbook: ({ drain, strategy }) => ({
    preflight: [
      ...everyRoute,
      ...drainingRoute,
      'flannel-vxlan',
      'flannel-owner',
      'pod-cidrs',
      'single-stack',
      'calico-leftovers',
      'ip-headroom',
      'whole-nodes',
      'cni-conf',
      'images-present',
      'foreign-residue',
      'policy-hazards',
    ],
    prepare: [
      probesStep,
      step('baseline', 'Check the network as it is', {
        verb: 'cluster.baseline',
        with: { checks: probes },
        verify: ['cluster-matrix'],
        timeoutSeconds: 600,
        attempts: 2,
        endsWhenChecksFail: true,
      }),
      captureStep('before'),
      step('label-nodes', 'Mark every node as running Flannel', {
        verb: 'cluster.labelNodes',
        with: { key: networkLabel, value: 'flannel' },
        undo: [undo('cluster.unlabelNodes', { key: networkLabel })],
      }),
      step('select-flannel', 'Tie the Flannel agents to that mark', {
        verb: 'cluster.selectDaemonSet',
        with: { ...flannelDaemonSet, key: networkLabel, value: 'flannel' },
        undo: [undo('cluster.unselectDaemonSet', { ...flannelDaemonSet, key: networkLabel })],
        timeoutSeconds: 900,
      }),
      step('calico-crds', "Install Calico's resource definitions", {
        verb: 'cluster.applyBundle',
        with: { bundle: 'manifests', only: 'CustomResourceDefinition' },
        undo: [undo('cluster.deleteBundle', { bundle: 'manifests', only: 'CustomResourceDefinition' })],
      }),
      step('adopt-ipam', "Write each node's Flannel identity into Calico's address management", {
        verb: 'calico.adoptFlannelIpam',
        undo: [undo('calico.releaseFlannelIpam')],
      }),
      step('calico', 'Install Calico; no agent runs yet', {
        verb: 'cluster.applyBundle',
        with: {
          bundle: 'manifests',
          except: 'CustomResourceDefinition',
          select: { ...calicoDaemonSet, key: networkLabel, value: 'calico' },
        },
        undo: [undo('cluster.deleteBundle', { bundle: 'manifests', except: 'CustomResourceDefinition' })],
      }),
    ],
    node: [
      step('snapshot', 'Keep everything that rollback needs', { verb: 'node.snapshot', timeoutSeconds: 120 }),
      ...emptyNode(drain),
      step('dead-man', 'Arm the dead-man switch', {
        verb: 'node.armRevert',
        with: { seconds: 1800 },
        undo: [undo('node.disarmRevert')],
      }),
      step('flannel-gone', 'Stop the Flannel agent', {
        // Beside the switch: what flanneld made carries traffic on without it, so nothing is at stake yet.
        alongside: true,
        // flanneld brings flannel.1 back, without its routes, when it is deleted under it (§0a.5): its pod goes first.
        verb: 'node.stopAgent',
        with: { ...flannelDaemonSet, key: networkLabel, value: 'none' },
        undo: [
          undo('node.startAgent', { ...flannelDaemonSet, key: networkLabel, value: 'flannel' }),
          undo('node.unfence', { confName: calicoConf, expect: 'cbr0' }),
          undo('node.settle', { expect: 'cbr0' }),
        ],
      }),
      step('purge', 'Remove the pods that Flannel connected', {
        // Before the fence: deletions behind it fail and leak leases and hostPort rules (§0a.4, §0a.24).
        verb: 'node.purge',
        undo: [undo('node.startKubelet')],
      }),
      step('fence', 'Fence the node and clear rules and leases of Flannel', {
        verb: 'node.fence',
        with: { confName: calicoConf, clean: 'flannel' },
        inOneGo: true,
        undo: [undo('node.cleanCalico'), undo('node.startKubelet')],
      }),
      step('kubelet', 'Start kubelet behind the fence', { verb: 'node.startKubelet', inOneGo: true }),
      step('swap', 'Give the node to Calico', {
        verb: 'node.startAgent',
        // flannel.1 goes when Calico's agent runs: Felix cannot make its own link of that VNI and port beside it, and until
        // then it carries the node's NodePorts. Their dark window is this hand-over, not the start of the agent.
        with: { ...calicoDaemonSet, key: networkLabel, value: 'calico', replaces: 'flannel' },
        undo: [
          undo('probe.leave'),
          undo('node.purge'),
          undo('node.fence', { confName: calicoConf, clean: 'none' }),
          undo('node.startKubelet'),
          undo('node.stopAgent', { ...calicoDaemonSet, key: networkLabel, value: 'none' }),
        ],
        verify: ['agent-calico'],
        inOneGo: true,
        // Two tries stay well within the time of the dead-man switch.
        timeoutSeconds: 360,
        attempts: 2,
      }),
      step('settle', 'Let the runtime load Calico and the waiting pods start', {
        // kubelet's back-off behind the fence costs 9 to 12 s; unanswered SYNs fail NodePorts for 60 to 109 s (§0a.13, §0a.23).
        verb: 'node.settle',
        with: { expect: 'k8s-pod-network' },
        inOneGo: true,
      }),
      step('probe', 'Ask the new network', {
        verb: 'node.check',
        verify: [
          'runtime-loaded-calico',
          'links-calico',
          'routes-calico',
          ...probes,
          'conntrack-drops',
          'residue-flannel',
        ],
        attempts: 2,
        inOneGo: true,
      }),
      step('join', "Take its probe into the probes' Service again", { verb: 'probe.join' }),
      step('disarm', 'Disarm the dead-man switch', { verb: 'node.disarmRevert' }),
      step('release', 'Take pods again', {
        verb: 'node.restoreCordon',
        undo: [undo('node.canGoBack'), undo('node.cordon'), undo('node.drain')],
      }),
      ...soakStep(strategy),
    ],
    verifyRollback: ['runtime-loaded-flannel', 'links-flannel', 'routes-flannel', ...probes, 'residue-calico'],
    finalize: [
      step('everywhere', 'Check every node on Calico', {
        verb: 'cluster.check',
        verify: ['all-nodes-calico', 'cluster-matrix'],
      }),
      step('delete-flannel', 'Remove the Flannel agents for good', {
        verb: 'cluster.deleteDaemonSet',
        with: flannelDaemonSet,
        pointOfNoReturn: true,
      }),
      step('delete-objects', 'Begin to remove the rest of Flannel', { verb: 'cluster.deleteFlannel' }),
      step('free-calico', 'Let Calico run on every node, marked or not', {
        verb: 'cluster.unselectDaemonSet',
        with: { ...calicoDaemonSet, key: networkLabel },
        // One agent after the other, 5 s each: 40 minutes on 500 nodes.
        timeoutSeconds: 3_600,
      }),
      step('unlabel-nodes', 'Remove the marks', { verb: 'cluster.unlabelNodes', with: { key: networkLabel } }),
      step('clean-nodes', "Remove Flannel's files from every node", {
        verb: 'cluster.cleanNodes',
        timeoutSeconds: 1800,
      }),
      step('remove-flannel', 'Remove the rest of Flannel', { verb: 'cluster.removeFlannel' }),
      step('residue', 'Look for anything left, on every node', {
        verb: 'cluster.check',
        verify: ['all-nodes-clean', 'cluster-matrix'],
      }),
      captureStep('after'),
      step('probes-gone', 'Remove the probe pods', { verb: 'probe.remove' }),
    ],
  }),
});

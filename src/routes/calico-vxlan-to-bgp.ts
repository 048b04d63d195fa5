import type { BgpSettings, GateSpec, RouteSettings, Runbook, Step, StepGate } from '../plan/types.ts';
import { captureStep, defineRoute, emptyNode, probesStep, step, undo } from './define.ts';
import { drainingRoute } from './preflight.ts';

/**
 * Calico VXLAN -> plain packets, with the routes told by BGP. Flips are cluster-wide, so they are cluster steps: BGP comes
 * up while VXLAN carries the traffic, then CrossSubnet, and Never only where the plan asks for it. Undo runs in reverse: the
 * encapsulation comes back before BGP goes.
 *
 * Facts: reference migrations.md §0a.7 to §0a.10 (measured on a real cluster), §2.2, §4.11.
 */
const checks = {
  bgp: ['bgp-sessions', 'bird-config-running'],
  traffic: ['routes-expected', 'cluster-matrix'],
};

/** What both ways of this stage ask before anything else. */
const preflight = ['nodes-ready', 'enough-nodes', 'single-stack', 'node-access', 'node-tools'];

/** Measured on three nodes: what a flip costs each pair of pods on different nodes (§0a.9 of the migration facts). */
const notes = {
  crossSubnet:
    'the flip to CrossSubnet replaces each route: gaps of 0.4 to 28 ms, 0 to 117 packets of 200 a second lost between a pair of pods; connections stay',
  never:
    'the flip to Never is a blackout of ALL traffic between nodes: 0.6 to 1.3 s measured, 3.6 s on a busy machine; back to VXLAN costs 2.3 to 3.2 s more. ' +
    'Where all nodes share a subnet it gains nothing over CrossSubnet. Without traffic it is taken back by itself',
  newPool:
    'from here on pods get new addresses, node by node: whatever knows pods by the old range (firewalls, ipBlocks of policies, routers) ' +
    'has to know the new one; replies come another way than packets went, which a strict rp_filter drops',
};
const probes = ['pod-to-pod', 'path-mtu', 'dns', 'cluster-ip', 'node-port', 'hairpin', 'api-server', 'host-port'];

/** What a plan without `bgp` gets; the plan's schema has the same. */
const defaults: BgpSettings = {
  encapsulation: 'CrossSubnet',
  backend: 'bird',
  asNumber: 64512,
  mesh: true,
  routeReflectors: [],
  peers: [],
  stableSeconds: 30,
  soakSeconds: 600,
  revertAfterSeconds: 30,
};

export const calicoVxlanToBgp = defineRoute({
  id: 'calico-vxlan-to-bgp',
  title: 'Calico VXLAN to plain packets, routes by BGP',
  from: 'calico',
  to: 'bgp',
  bundles: [],
  bgp: true,
  runbook: (settings) => {
    const { bgp = defaults } = settings;
    if (bgp.newPool) return nodeByNode(settings, bgp);
    const speaks = bgp.backend === 'bird';
    const bgpChecks = speaks ? checks.bgp : [];
    return {
      preflight: [...preflight, 'calico-vxlan', ...(speaks ? ['bgp-ports'] : [])],
      preflightAhead: speaks ? ['bgp-ports'] : [],
      prepare: [
        ...beginSteps(speaks),
        ...(speaks ? speakSteps(bgp) : []),
        step('cross-subnet', 'Send plain packets within a subnet (CrossSubnet)', {
          ...gated(settings, 'before-cross-subnet', {
            checks: [...bgpChecks, ...checks.traffic],
            note: notes.crossSubnet,
          }),
          ...flip('CrossSubnet', bgp),
        }),
        ...(speaks ? [tellRouters] : []),
        ...(bgp.encapsulation === 'Never'
          ? [
              step('bird-takes-never', 'Ask BIRD whether it would take the routes', {
                verb: 'cluster.check',
                verify: ['bird-takes-never'],
                attempts: 1,
              }),
              step('never', 'Send plain packets everywhere (Never)', {
                ...gated(settings, 'before-never', {
                  checks: [...bgpChecks, 'bird-takes-never', ...checks.traffic],
                  note: notes.never,
                }),
                ...flip('Never', bgp),
              }),
            ]
          : []),
        step('settled', 'Watch the cluster after the last flip', {
          ...gated(settings, 'after-flips', { checks: [...bgpChecks, ...checks.traffic] }),
          verb: 'cluster.check',
          verify: [...bgpChecks, ...checks.traffic],
          timeoutSeconds: 300,
        }),
      ],
      // Pods keep their addresses and their MTU: of a node there is only to see that it has what the others have.
      node: [
        step('same-node', 'Compare the machine with the plan', { verb: 'node.sameMachine', timeoutSeconds: 120 }),
        step('routes', 'Check its agent, its routes and its paths', {
          verb: 'node.check',
          verify: [
            'agent-calico',
            'runtime-loaded-calico',
            'node-routes-expected',
            'pod-to-pod',
            'path-mtu',
            'dns',
            'cluster-ip',
          ],
        }),
      ],
      verifyRollback: ['agent-calico', 'runtime-loaded-calico', 'node-routes-expected', 'pod-to-pod'],
      finalize: [
        ...endSteps(bgpChecks),
        step('keep', 'Forget what was found before', { verb: 'bgp.keep', pointOfNoReturn: true }),
      ],
    };
  },
});

/** The probes, what this stage begins on, and addresses by which CrossSubnet can tell subnets. */
const beginSteps = (speaks: boolean): Step[] => [
  probesStep,
  step('begin', 'Check that the cluster is what this stage begins on', {
    verb: 'cluster.check',
    verify: ['nodes-ready', 'calico-vxlan', ...(speaks ? ['bgp-ports'] : []), ...checks.traffic],
    timeoutSeconds: 300,
  }),
  captureStep('before'),
  step('addresses', 'Let Calico know every node by its true address', {
    verb: 'calico.trueAddresses',
    verify: ['node-addresses'],
  }),
];

/** What was gained, and no trace of the probes. */
const endSteps = (bgpChecks: readonly string[]): Step[] => [
  step('everywhere', 'Check every route and every path once more', {
    verb: 'cluster.check',
    verify: ['nodes-ready', ...bgpChecks, ...checks.traffic],
    timeoutSeconds: 300,
  }),
  captureStep('after'),
  step('probes-gone', 'Remove the probe pods', { verb: 'probe.remove' }),
];

const tellRouters = step('tell-routers', "Let routers learn the pods' routes", {
  verb: 'bgp.liftExports',
  undo: [undo('bgp.guardExports')],
});

/**
 * The same with a pool of its own for nodes that have moved: no flip, every node is drained instead. The old pool keeps its
 * VXLAN, so both kinds of nodes reach each other all the time. CrossSubnet, because Calico takes the tunnel away from a node that
 * no VXLAN pool selects (node/pkg/allocateip), and with it the way to pods of the old pool.
 */
function nodeByNode({ drain, gate }: RouteSettings, bgp: BgpSettings): Runbook {
  const speaks = bgp.backend === 'bird';
  const bgpChecks = speaks ? checks.bgp : [];
  const ofNode = ['agent-calico', 'runtime-loaded-calico', 'node-routes-expected', 'pod-pool', ...probes];
  return {
    preflight: [
      ...preflight,
      'sysctls',
      'calico-vxlan',
      'kube-proxy',
      ...drainingRoute,
      ...(speaks ? ['bgp-ports'] : []),
    ],
    preflightAhead: ['kube-proxy', ...drainingRoute, ...(speaks ? ['bgp-ports'] : [])],
    prepare: [
      ...beginSteps(speaks),
      ...(speaks ? speakSteps(bgp) : []),
      ...(speaks ? [tellRouters] : []),
      step('new-pool', 'Add the new pool, and keep the old one for nodes that have not moved', {
        ...(gate
          ? { gate: gate('before-new-pool', { checks: [...bgpChecks, ...checks.traffic], note: notes.newPool }) }
          : {}),
        verb: 'calico.addPool',
        with: { cidr: bgp.newPool!.cidr },
        undo: [undo('calico.removePool', { cidr: bgp.newPool!.cidr })],
        verify: checks.traffic,
      }),
    ],
    node: [
      step('same-node', 'Compare the machine with the plan', { verb: 'node.sameMachine', timeoutSeconds: 120 }),
      ...emptyNode(drain),
      step('pool', 'Give its pods addresses of the new pool', {
        verb: 'node.usePool',
        undo: [undo('node.leavePool'), undo('node.readdressPods')],
      }),
      step('readdress', 'Make the pods of DaemonSets anew', { verb: 'node.readdressPods', timeoutSeconds: 300 }),
      step('probe', 'Ask the network with the new addresses', { verb: 'node.check', verify: ofNode, attempts: 2 }),
      step('join', "Take its probe into the probes' Service again", { verb: 'probe.join' }),
      step('release', 'Take pods again', {
        verb: 'node.restoreCordon',
        undo: [undo('node.cordon'), undo('node.drain')],
      }),
    ],
    verifyRollback: ofNode,
    finalize: [
      ...endSteps(bgpChecks),
      step('old-pool', 'Retire the old pool', {
        verb: 'calico.retirePools',
        with: { cidr: bgp.newPool!.cidr },
        pointOfNoReturn: true,
      }),
      step('keep', 'Forget what was found before', { verb: 'bgp.keep' }),
    ],
  };
}

/** BGP up beside VXLAN: one roll of all agents at once, reflectors and routers if the plan has any, then sessions that stay. */
function speakSteps({ asNumber, stableSeconds, routeReflectors, peers }: BgpSettings): Step[] {
  return [
    // Before BIRD runs: a session with a router that is there already comes up guarded.
    step('guard', 'Tell routers no pod route', {
      verb: 'bgp.guardExports',
      undo: [undo('bgp.unguardExports')],
    }),
    step('bgp-up', 'Bring BGP up while VXLAN carries the traffic', {
      verb: 'bgp.enable',
      with: { asNumber },
      undo: [undo('bgp.disable')],
      timeoutSeconds: 900,
    }),
    ...(routeReflectors.length > 0
      ? [
          step('reflectors', 'Let route reflectors pass the routes on', {
            verb: 'bgp.reflect',
            undo: [undo('bgp.unreflect')],
            attempts: 1,
          }),
        ]
      : []),
    ...(peers.length > 0
      ? [
          step('routers', 'Peer with the routers', {
            verb: 'bgp.peer',
            undo: [undo('bgp.unpeer')],
            attempts: 1,
          }),
        ]
      : []),
    step('sessions', 'Watch the sessions for a while', {
      verb: 'bgp.watchSessions',
      with: { seconds: stableSeconds },
      verify: ['bgp-sessions', 'bird-config-running', 'cluster-matrix'],
      timeoutSeconds: stableSeconds + 300,
      attempts: 1,
    }),
  ];
}

/** One try: a flip that was taken back is for a person to read. */
const flip = (mode: 'CrossSubnet' | 'Never', { revertAfterSeconds }: BgpSettings): Omit<Step, 'id' | 'title'> => ({
  verb: 'calico.setEncapsulation',
  with: { mode, revertSeconds: revertAfterSeconds },
  undo: [undo('calico.restoreEncapsulation', { mode })],
  timeoutSeconds: revertAfterSeconds + 240,
  attempts: 1,
});

const gated = ({ gate }: RouteSettings, id: string, wanted: StepGate): { gate?: GateSpec } =>
  gate ? { gate: gate(id, wanted) } : {};

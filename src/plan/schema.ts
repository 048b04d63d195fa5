import { z } from 'zod';

/**
 * The plan file that a person writes. The text of every field travels into `plans/migration-plan.schema.json`, which
 * editors show: write it for the person who fills the field in.
 *
 * Nothing is transformed here, so that a validated plan can be sent as JSON and validated again. Durations and
 * percentages stay as written; `compile.ts` resolves them.
 */

const durationPattern = /^(?=\d)(\d+h)?(\d+m)?(\d+s)?$/;

const duration = (text: string) =>
  z
    .string('must be a duration such as "90s", "5m" or "1h30m"')
    .regex(durationPattern, 'must be a duration such as "90s", "5m" or "1h30m"')
    .describe(`${text} A duration: "90s", "5m", "1h", "1h30m".`);

/** Seconds of a duration that the schema accepted. */
export function seconds(written: string): number {
  const [, hours, minutes, rest] = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(written) ?? [];
  return Number(hours ?? 0) * 3600 + Number(minutes ?? 0) * 60 + Number(rest ?? 0);
}

const dnsName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be lower-case letters, digits and "-", at most 63');

const percentageOr = (message: string) => z.string().regex(/^([1-9]\d?|100)%$/, message);
const count = z.number().int().min(1);
const labels = z.record(z.string(), z.string('must be a text; write numbers and true/false in quotes'));
const port = z.number().int().min(1).max(65535);

const nodeSelector = z
  .strictObject({ matchLabels: labels.describe('Labels that a node must carry, all of them.') })
  .describe('Workers that carry these labels and are in no earlier wave.');

const gateFields = {
  approvals: z
    .number()
    .int()
    .min(0)
    .max(20)
    .describe('People who must approve. 0 asks nobody: time and checks decide.'),
  approvers: z.array(z.string().min(1)).describe('Names that may approve. Empty: anybody who may sign in.'),
  requesterMayApprove: z
    .boolean()
    .describe('Whether the person who launched may approve too. False keeps two people in every decision.'),
  soak: duration('The gate stays closed at least this long; the checks are asked again at the end of it.'),
  checks: z.array(z.string().min(1)).describe('Checks taken as evidence. One that blocks keeps the gate closed.'),
  timeout: duration('After this long without a decision `onTimeout` happens. "0s" waits for ever.'),
  evidenceMaxAge: duration(
    'Evidence that is older than this must be taken anew (`cutover gates refresh`) before anybody approves.',
  ),
  onTimeout: z
    .enum(['hold', 'rollback-wave'])
    .describe('hold: pause for a person. rollback-wave: take the wave before the gate back.'),
};

const gateOf = (text: string) => z.strictObject(gateFields).partial().describe(text);

const gateDefaults = z
  .strictObject({
    approvals: gateFields.approvals.default(1),
    approvers: gateFields.approvers.default([]),
    requesterMayApprove: gateFields.requesterMayApprove.default(false),
    soak: gateFields.soak.default('0s'),
    checks: gateFields.checks.default(['nodes-ready', 'blocked-workloads', 'cluster-matrix', 'continuity']),
    evidenceMaxAge: gateFields.evidenceMaxAge.default('30m'),
    timeout: gateFields.timeout.default('0s'),
    onTimeout: gateFields.onTimeout.default('hold'),
    continuity: z
      .strictObject({
        unreachable: duration('The longest time that one path between bystanders may be without an answer.').default(
          '5s',
        ),
        brokenConnections: z
          .number()
          .int()
          .min(0)
          .default(0)
          .describe('Long TCP connections between bystanders that may break, for each pair of zones.'),
      })
      .prefault({})
      .describe(
        'What nodes that are not migrated at the moment may lose between two gates, as the continuous probe counts it. More blocks the check `continuity`.',
      ),
  })
  .describe('What every gate of this plan is, unless the gate says otherwise.');

const nodesMessage = 'must be a number (1), a percentage ("25%"), "rest", a list of node names, or {matchLabels: {…}}';
const limitMessage = 'must be a whole number of at least 1, or a percentage from "1%" to "100%"';

const wave = z
  .strictObject({
    name: dnsName.describe('Name of the wave, unique in the plan: `canary`.'),
    nodes: z
      .union([count, percentageOr(nodesMessage), z.literal('rest'), nodeSelector, z.array(z.string().min(1)).min(1)], {
        error: nodesMessage,
      })
      .describe(
        'Which workers: a number; a percentage of all nodes of the stage, rounded up; `rest` for all that are left; a list of names; or `matchLabels`. ' +
          'Control-plane nodes always go last, one by one, in waves of their own.',
      ),
    gate: gateOf(
      'Gate that opens when this wave is done. Without it the next wave begins by itself. `{}` takes `spec.gates` as it is.',
    ).optional(),
  })
  .describe('Nodes that are migrated between two gates.');

const asNumber = z
  .number('must be an AS number from 1 to 4294967294')
  .int('must be an AS number from 1 to 4294967294')
  .min(1, 'must be an AS number from 1 to 4294967294')
  .max(4294967294, 'must be an AS number from 1 to 4294967294');

const bgp = z
  .strictObject({
    encapsulation: z
      .enum(['CrossSubnet', 'Never'])
      .default('CrossSubnet')
      .describe(
        'Where the stage ends. CrossSubnet: plain packets within a subnet, VXLAN between subnets; nearly free. ' +
          'Never: plain packets everywhere; the flip is a blackout of all traffic between nodes of 0.6 to 1.3 s, and gains nothing where all nodes share one subnet.',
      ),
    backend: z
      .enum(['bird', 'vxlan'])
      .default('bird')
      .describe(
        'bird: routes are told by BGP. vxlan: no BGP at all, for networks whose routers refuse it; ends in CrossSubnet.',
      ),
    asNumber: asNumber.default(64512).describe('AS number of the nodes.'),
    mesh: z.boolean().default(true).describe('Every node speaks to every other. False needs routeReflectors.'),
    routeReflectors: z
      .array(z.string().min(1))
      .default([])
      .describe('Nodes that pass routes on to all others; at least two, best without workload.'),
    peers: z
      .array(
        z.strictObject({
          address: z
            .ipv4('must be an IPv4 address such as 10.0.0.1')
            .describe('Address of the router, in a subnet of a node.'),
          asNumber: asNumber.describe('AS number of the router.'),
          nodes: z
            .array(z.string().min(1))
            .min(1)
            .optional()
            .describe('Nodes that speak to it. Without it: all nodes.'),
        }),
      )
      .default([])
      .describe(
        'Routers outside of the cluster. They are told no pod route before the flip: a filter guards the exports.',
      ),
    stable: duration('How long every session must have been up without a break before anything is flipped.').default(
      '30s',
    ),
    soak: duration('Soak of the gates after BGP is up and after each flip.').default('10m'),
    revertAfter: duration(
      'A flip after which routes and traffic between nodes do not come back within this time is taken back by itself.',
    ).default('30s'),
    newPool: z
      .strictObject({
        cidr: z.cidrv4('must be an IPv4 range such as 10.245.0.0/16').describe('Addresses that nothing else uses.'),
      })
      .optional()
      .describe(
        'Node by node instead of a flip for all: pods of a node that has moved get addresses of this new pool with CrossSubnet, those of other nodes keep ' +
          'the old one with VXLAN. Every pod moves once. Costs a free range that routers, firewalls and kube-proxy have to know. Ends in CrossSubnet.',
      ),
    mtu: z
      .enum(['keep', 'host'])
      .default('keep')
      .describe(
        "MTU of pods. keep: as it is. host: that of the node's own network, 50 bytes more; a stage of its own follows, in which every pod is made anew, " +
          'node by node in the waves of the plan. From there no rollback leads to VXLAN. Refused where packets between nodes are encapsulated.',
      ),
    gates: z
      .strictObject(gateFields)
      .partial()
      .default({})
      .describe('The gates before the flips. Empty takes `spec.gates` as it is.'),
  })
  .describe('Settings of the route calico-vxlan-to-bgp.');

const stage = z
  .strictObject({
    route: z.string().min(1).describe('The kind of change: `flannel-to-calico`.'),
    with: z
      .record(
        z.string(),
        z.strictObject({
          path: z.string().min(1).describe('Folder of manifests, relative to this file.'),
          sha256: z
            .string()
            .regex(/^(sha256:)?[0-9a-fA-F]{64}$/, 'must be a SHA-256: 64 hex digits')
            .describe('Digest of the folder. When it is wrong, the error message names the right one.'),
        }),
      )
      .default({})
      .describe('The bundles that the route needs, by name.'),
    bgp: bgp.optional(),
    finalizeGate: gateOf(
      'Gate before the finalize steps, after which the old network cannot be had back. `{}` takes `spec.gates` as it is.',
    ).optional(),
  })
  .describe('One change of the network, done by one route.');

const strategy = z
  .strictObject({
    waves: z
      .array(wave)
      .min(1)
      .default([
        { name: 'canary', nodes: 1, gate: {} },
        { name: 'rest', nodes: 'rest' },
      ])
      .describe('The waves, in order. Workers that no wave takes follow in a wave `rest`, then the control plane.'),
    maxUnavailable: z
      .union([count, percentageOr(limitMessage)], { error: limitMessage })
      .default(1)
      .describe('Nodes out of service at once: a number, or a percentage of all nodes, rounded down but at least 1.'),
    maxUnavailablePerZone: count
      .optional()
      .describe('The same within one zone. Default: an equal share of maxUnavailable for each zone, rounded up.'),
    spreadBy: z
      .string()
      .min(1)
      .default('topology.kubernetes.io/zone')
      .describe('Node label that says which zone a node is in.'),
    failureBudget: z
      .number()
      .int()
      .min(0)
      .default(2)
      .describe(
        'Failed attempts of all nodes together that the whole migration may have; one more pauses it for a person.',
      ),
    onFailure: z
      .enum(['rollback', 'hold'])
      .default('rollback')
      .describe(
        'rollback: a failed node goes back to the old network by itself. hold: it stays as it is for a person.',
      ),
    nodeAttempts: z
      .number()
      .int()
      .min(1)
      .max(10)
      .default(2)
      .describe('Attempts of a node, with a rollback between them, before it waits for a person.'),
    nodeSoak: duration('How long a node is watched under load before it counts as migrated.').default('60s'),
  })
  .describe('Which nodes, in which order, how many at a time, and what a failure does.');

export const planSchema = z
  .strictObject({
    apiVersion: z.literal('cutover.dev/v1alpha1').describe('Version of this file format.'),
    kind: z.literal('MigrationPlan').describe('Always `MigrationPlan`.'),
    metadata: z
      .strictObject({ name: dnsName.describe('Name of the plan; runs are named after it.') })
      .describe('What the plan is called.'),
    spec: z
      .strictObject({
        cluster: z
          .strictObject({
            kubeconfig: z
              .string()
              .default('')
              .describe(
                'Path of the kubeconfig, relative to this file. Empty: KUBECONFIG, or ~/.kube/config, of the worker.',
              ),
            context: z.string().default('').describe('Context in the kubeconfig. Empty: its current context.'),
          })
          .prefault({})
          .describe('Which cluster.'),
        access: z
          .strictObject({
            ssh: z
              .strictObject({
                configFile: z
                  .string()
                  .default('')
                  .describe(
                    'OpenSSH client config, relative to this file. Empty: ~/.ssh/config of the worker. Host keys are always checked.',
                  ),
                user: z.string().min(1).default('root').describe('User on the nodes.'),
                sudo: z.boolean().default(false).describe('Prefix what runs on a node with `sudo -n`.'),
                connectTimeout: duration('How long to wait for a connection.').default('10s'),
              })
              .prefault({})
              .describe('SSH to the nodes.'),
          })
          .prefault({})
          .describe('How nodes are reached.'),
        stages: z
          .array(stage)
          .min(1)
          .describe('The changes, in order. Each begins on the network that the one before ended on.'),
        strategy: strategy.prefault({}),
        gates: gateDefaults.prefault({}),
        policies: z
          .strictObject({
            flows: z
              .string()
              .min(1)
              .optional()
              .describe(
                'File of flows that must keep working, relative to this file: `flows:` with a list of `{ from, to, port, protocol }`.',
              ),
            conntrack: z
              .boolean()
              .default(true)
              .describe('Ask the nodes which connections of pods they have seen, and judge those too.'),
          })
          .optional()
          .describe(
            'Which flows network policies are judged by, beside those that are implied (DNS, probes, webhooks) and the ' +
              'clients that Services name in their annotation `cutover.dev/clients`.',
          ),
        drain: z
          .strictObject({
            timeout: duration('How long evictions may take before the node waits for a person.').default('10m'),
            retry: duration(
              'Longest time between two tries of an eviction that a PodDisruptionBudget refused; it is tried at once when the budget opens.',
            ).default('1s'),
            deleteEmptyDirData: z.boolean().default(false).describe('Evict pods although their emptyDir data is lost.'),
            force: z.boolean().default(false).describe('Evict pods that no controller will bring back.'),
          })
          .prefault({})
          .describe('How pods leave a node. Budgets are always respected.'),
        probe: z
          .strictObject({
            image: z
              .string()
              .min(1)
              .default('registry.k8s.io/e2e-test-images/agnhost:2.53')
              .describe("Image of the probe pods: Kubernetes' own test image, or a copy of it."),
            namespace: dnsName
              .default('cutover-probe')
              .describe('Namespace of the probe pods; it is removed at the end.'),
            hostPort: port.default(18080).describe('TCP port that the probe pods bind on every node.'),
            nodePort: z.number().int().min(30000).max(32767).default(31280).describe('NodePort of the probe Service.'),
          })
          .prefault({})
          .describe('The pods that send and answer probes.'),
        capture: z
          .strictObject({
            runs: z.number().int().min(3).max(20).default(3).describe('How often each figure is measured; 3 to 20.'),
            seconds: z
              .number()
              .int()
              .min(1)
              .max(60)
              .default(2)
              .describe(
                'Seconds that each run of TCP throughput counts; one more is thrown away, in which TCP finds its window.',
              ),
            nodes: z
              .array(z.string().min(1))
              .length(2, 'must name two nodes')
              .optional()
              .describe(
                'The two nodes between which is measured. Default: two workers, of different zones where there are.',
              ),
            skip: z
              .boolean()
              .default(false)
              .describe('Measure nothing. For some seconds a capture fills the network between its two nodes.'),
          })
          .prefault({})
          .describe('Bandwidth, latency and bytes on the wire, measured before and after each stage.'),
        traffic: z
          .strictObject({
            pricePerGB: z
              .number('must be a number, the price of one GB: 0.01')
              .min(0, 'must not be negative')
              .describe('What one GB between zones costs: 0.01. A GB is 10^9 bytes.'),
            currency: z.string().min(1).max(8).default('USD').describe('Of the price: `USD`, `EUR`.'),
            crossZoneShare: z
              .number('must be a share between 0 and 1: 0.3')
              .min(0, 'must be a share between 0 and 1')
              .max(1, 'must be a share between 0 and 1')
              .describe(
                'Share of the traffic between pods of different nodes that crosses zones and is paid for: 0.3.',
              ),
            gbPerMonth: z
              .number('must be a number of GB')
              .min(0, 'must not be negative')
              .optional()
              .describe(
                'Traffic between pods of different nodes in a month, GB. Default: what the capture counts in a quiet moment, for all nodes.',
              ),
          })
          .optional()
          .describe(
            'What traffic costs: for the estimate of what a leaner encapsulation saves. Without it nothing is estimated.',
          ),
        exclude: z
          .strictObject({
            names: z.array(z.string().min(1)).default([]).describe('Nodes by name.'),
            matchLabels: labels.default({}).describe('Nodes that carry all of these labels.'),
          })
          .prefault({})
          .describe('Nodes that are not touched. They stay on the old network, so finalize waits until they are gone.'),
        acknowledge: z
          .array(
            z
              .strictObject({
                id: z
                  .string()
                  .min(1)
                  .describe(
                    'Id of a check, as `cutover preflight` shows it; `check/part` names one part of it: `policy-hazards/<hazard>`.',
                  ),
                reason: z
                  .string()
                  .regex(/\S/, 'must say why this is no reason to stop')
                  .describe('Why this is no reason to stop. It is kept with the evidence.'),
              })
              .describe('One warning that somebody has read.'),
          )
          .default([])
          .describe('Warnings of preflight that are known and accepted. One that is not here stops the launch.'),
      })
      .describe('The migration.'),
  })
  .describe('A migration of the network of a running cluster.');

/** A validated plan file with its defaults filled in. */
export type MigrationPlan = z.output<typeof planSchema>;
export type PlanWave = MigrationPlan['spec']['strategy']['waves'][number];
export type PlanStage = MigrationPlan['spec']['stages'][number];
export type PlanBgp = NonNullable<PlanStage['bgp']>;
export type PlanGate = NonNullable<PlanWave['gate']>;

/** JSON Schema (2020-12) of the file as a person writes it: fields with a default are optional. */
export function planJsonSchema(): { [key: string]: unknown } {
  return {
    ...z.toJSONSchema(planSchema, { io: 'input', target: 'draft-2020-12' }),
    $id: 'https://cutover.dev/schemas/v1alpha1/migration-plan.json',
    title: 'Cutover MigrationPlan',
  };
}

/** What a stage that says nothing about BGP gets. */
export const defaultBgp = (): PlanBgp => bgp.parse({});

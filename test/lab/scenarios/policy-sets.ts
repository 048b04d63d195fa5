import type { KubernetesObject } from '../../../src/kubernetes/types.ts';

/** Sets of policies to be enforced one after the other on the pods of `policy-cells.ts`; names say what each is about. */
export interface PolicySet {
  name: string;
  objects: KubernetesObject[];
}

const policy = (id: string, spec: object): KubernetesObject => {
  const [namespace, name] = id.split('/') as [string, string];
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name, namespace }, spec };
};
const calico = (kind: string, id: string, spec: object, labels: { [key: string]: string } = {}): KubernetesObject => {
  const [namespace, name] = id.includes('/') ? (id.split('/') as [string, string]) : [undefined, id];
  return {
    apiVersion: 'crd.projectcalico.org/v1',
    kind,
    metadata: { name, labels, ...(namespace === undefined ? {} : { namespace }) },
    spec,
  };
};
const app = (name: string) => ({ matchLabels: { app: name } });
const team = (name: string) => ({ namespaceSelector: { matchLabels: { team: name } } });
/** Only pods of this test: the rest of the cluster goes on as it was. */
const ours = "pcns.lab == 'policy'";

/** Dormant while the cluster runs Flannel; enforced by the migration itself. */
export const dormant: KubernetesObject[] = [
  policy('shop/deny', { podSelector: {}, policyTypes: ['Ingress'] }),
  policy('shop/web-to-api', {
    podSelector: app('api'),
    ingress: [{ from: [{ podSelector: app('web') }], ports: [{ port: 'main-http' }] }],
  }),
  policy('ops/locked', {
    podSelector: app('job'),
    policyTypes: ['Egress'],
    egress: [{ to: [team('red')], ports: [{ port: 8081, protocol: 'UDP' }] }],
  }),
];

export const policySets: readonly PolicySet[] = [
  { name: 'default deny of a namespace', objects: [policy('shop/deny', { podSelector: {} })] },
  {
    name: 'default deny both ways, and one way through',
    objects: [
      policy('shop/deny', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }),
      policy('shop/api', { podSelector: app('api'), ingress: [{ from: [{ podSelector: app('web') }] }] }),
      policy('shop/web', {
        podSelector: app('web'),
        policyTypes: ['Egress'],
        egress: [{ to: [{ podSelector: app('api') }] }],
      }),
    ],
  },
  {
    name: 'both selectors in one peer, and in two',
    objects: [
      policy('shop/api', {
        podSelector: app('api'),
        ingress: [{ from: [{ ...team('blue'), podSelector: app('monitor') }] }],
      }),
      policy('shop/db', { podSelector: app('db'), ingress: [{ from: [team('blue'), { podSelector: app('web') }] }] }),
    ],
  },
  {
    name: 'named ports, endPort, protocols',
    objects: [
      policy('shop/web', { podSelector: app('web'), ingress: [{ ports: [{ port: 'extra-http' }] }] }),
      policy('shop/api', { podSelector: app('api'), ingress: [{ ports: [{ port: 8080, endPort: 9000 }] }] }),
      policy('shop/db', { podSelector: app('db'), ingress: [{ ports: [{ protocol: 'UDP' }] }] }),
    ],
  },
  {
    name: 'empty and missing peers',
    objects: [
      policy('shop/web', { podSelector: app('web'), ingress: [{ from: [] }] }),
      policy('shop/api', { podSelector: app('api'), ingress: [] }),
      policy('shop/db', { podSelector: app('db'), ingress: [{}], egress: [] }),
    ],
  },
  {
    name: 'ipBlock over pods, with an exception',
    objects: [
      policy('shop/web', {
        podSelector: app('web'),
        ingress: [{ from: [{ ipBlock: { cidr: '10.244.0.0/16', except: ['10.244.1.0/24'] } }] }],
      }),
      policy('ops/monitor', {
        podSelector: app('monitor'),
        policyTypes: ['Egress'],
        egress: [{ to: [{ ipBlock: { cidr: '10.96.0.0/16' } }] }],
      }),
    ],
  },
  {
    name: 'egress to a Service is judged at its pods',
    objects: [
      policy('ops/job', {
        podSelector: app('job'),
        policyTypes: ['Egress'],
        egress: [{ to: [{ ...team('red'), podSelector: app('api') }], ports: [{ port: 8080 }] }],
      }),
    ],
  },
  {
    name: "Calico's Deny before a NetworkPolicy that allows, and after",
    objects: [
      policy('shop/web', { podSelector: app('web'), ingress: [{}] }),
      policy('shop/api', { podSelector: app('api'), ingress: [{}] }),
      calico('GlobalNetworkPolicy', 'lab-early', {
        selector: "app == 'web'",
        namespaceSelector: "lab == 'policy'",
        order: 10,
        types: ['Ingress'],
        ingress: [{ action: 'Deny', source: { selector: "app == 'monitor'" } }],
      }),
      calico('GlobalNetworkPolicy', 'lab-late', {
        selector: "app == 'api'",
        namespaceSelector: "lab == 'policy'",
        order: 2000,
        types: ['Ingress'],
        ingress: [{ action: 'Deny', source: { selector: "app == 'monitor'" } }],
      }),
    ],
  },
  {
    name: 'Pass, Log and the order of names',
    objects: [
      calico('NetworkPolicy', 'shop/a-pass', {
        selector: "app == 'web'",
        order: 5,
        types: ['Ingress'],
        ingress: [{ action: 'Log' }, { action: 'Pass', source: { namespaceSelector: "team == 'blue'" } }],
      }),
      calico('NetworkPolicy', 'shop/b-deny', {
        selector: 'all()',
        order: 5,
        types: ['Ingress'],
        ingress: [{ action: 'Deny' }],
      }),
    ],
  },
  {
    name: 'network sets and the addresses of tunnels',
    objects: [
      calico(
        'GlobalNetworkSet',
        'lab-tunnels',
        { nets: ['10.244.0.0/32', '10.244.1.0/32', '10.244.2.0/32', '10.244.3.0/32'] },
        { role: 'tunnel' },
      ),
      calico('NetworkPolicy', 'shop/tunnels', {
        selector: "app in { 'web', 'api' }",
        types: ['Ingress'],
        ingress: [
          { action: 'Allow', source: { selector: "role == 'tunnel'", namespaceSelector: 'global()' } },
          { action: 'Allow', source: { selector: "app == 'db'" } },
        ],
      }),
    ],
  },
  {
    name: 'service accounts and notSelector',
    objects: [
      calico('NetworkPolicy', 'shop/robots', {
        selector: "app == 'db'",
        types: ['Ingress'],
        ingress: [{ action: 'Allow', source: { serviceAccounts: { names: ['robot'] }, namespaceSelector: 'all()' } }],
      }),
      calico('NetworkPolicy', 'shop/not-api', {
        selector: "app == 'web'",
        types: ['Ingress'],
        ingress: [{ action: 'Allow', source: { selector: 'all()', notSelector: "app == 'api'" } }],
      }),
    ],
  },
  {
    name: 'port ranges, notPorts, notNets, a protocol by number',
    objects: [
      calico('GlobalNetworkPolicy', 'lab-ports', {
        selector: `app == 'monitor' && ${ours}`,
        types: ['Ingress'],
        ingress: [
          { action: 'Allow', protocol: 'TCP', destination: { ports: ['8000:8100'], notPorts: [8080] } },
          { action: 'Deny', protocol: 'TCP', source: { notNets: ['10.244.0.0/16'] } },
          { action: 'Allow', protocol: 'TCP', destination: { notPorts: ['main-http'] } },
          { action: 'Allow', protocol: 17, source: { selector: "tier == 'front'" } },
        ],
      }),
    ],
  },
  {
    name: 'a policy of Calico without types governs both directions',
    objects: [
      calico('NetworkPolicy', 'edge/open', {
        selector: "app == 'gateway'",
        ingress: [{ action: 'Allow' }],
        egress: [
          { action: 'Allow', destination: { namespaceSelector: "team == 'red'", selector: "app starts with 'w'" } },
        ],
      }),
    ],
  },
  {
    name: 'selectors with every operator',
    objects: [
      calico('GlobalNetworkPolicy', 'lab-selectors', {
        selector: `${ours} && (app contains 'onit' || has(tier) && !(tier == 'front') && app not in { 'api' })`,
        types: ['Ingress'],
        ingress: [
          { action: 'Allow', source: { selector: "projectcalico.org/namespace == 'shop' || app ends with 'way'" } },
        ],
      }),
    ],
  },
  {
    name: 'a rule by Service',
    objects: [
      calico('NetworkPolicy', 'ops/to-web', {
        selector: "app == 'job'",
        types: ['Egress'],
        egress: [{ action: 'Allow', destination: { services: { name: 'web', namespace: 'shop' } } }],
      }),
    ],
  },
];

import type { KubernetesObject } from '../types.ts';
import type { Scenario } from './scenario.ts';

/** What a kubeadm cluster with Flannel has before anybody runs anything on it. Names and shapes as upstream ships them. */

/** An object as it is written to the store: resource and object. */
export type Seed = [resource: string, object: KubernetesObject];

const CRITICAL = 'system-node-critical';
export const DNS_SERVICE_IP_OFFSET = 10;

export function flannelObjects({ podNetwork, images }: Scenario): Seed[] {
  const namespace = 'kube-flannel';
  const labels = { app: 'flannel', 'k8s-app': 'flannel', tier: 'node' };
  const image = imageOf(images, 'flannel-io/flannel:');
  return [
    [
      'namespaces',
      {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: {
          name: namespace,
          labels: { 'k8s-app': 'flannel', 'pod-security.kubernetes.io/enforce': 'privileged' },
        },
      },
    ],
    [
      'serviceaccounts',
      {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name: 'flannel', namespace, labels: { 'k8s-app': 'flannel' } },
      },
    ],
    ...clusterRole('flannel', namespace, [
      { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
      { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch'] },
      { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
    ]),
    [
      'configmaps',
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'kube-flannel-cfg', namespace, labels },
        data: {
          'cni-conf.json': json({
            name: 'cbr0',
            cniVersion: '0.3.1',
            plugins: [
              { type: 'flannel', delegate: { hairpinMode: true, isDefaultGateway: true } },
              { type: 'portmap', capabilities: { portMappings: true } },
            ],
          }),
          'net-conf.json': json({ Network: podNetwork, EnableNFTables: false, Backend: { Type: 'vxlan' } }),
        },
      },
    ],
    [
      'daemonsets.apps',
      {
        apiVersion: 'apps/v1',
        kind: 'DaemonSet',
        metadata: { name: 'kube-flannel-ds', namespace, labels },
        spec: {
          selector: { matchLabels: { app: 'flannel' } },
          template: {
            metadata: { labels },
            spec: {
              serviceAccountName: 'flannel',
              hostNetwork: true,
              priorityClassName: CRITICAL,
              affinity: {
                nodeAffinity: {
                  requiredDuringSchedulingIgnoredDuringExecution: {
                    nodeSelectorTerms: [
                      { matchExpressions: [{ key: 'kubernetes.io/os', operator: 'In', values: ['linux'] }] },
                    ],
                  },
                },
              },
              tolerations: [{ operator: 'Exists', effect: 'NoSchedule' }],
              initContainers: [
                {
                  name: 'install-cni-plugin',
                  image: imageOf(images, 'flannel-cni-plugin'),
                  command: ['cp'],
                  args: ['-f', '/flannel', '/opt/cni/bin/flannel'],
                  volumeMounts: [{ name: 'cni-plugin', mountPath: '/opt/cni/bin' }],
                },
                {
                  name: 'install-cni',
                  image,
                  command: ['cp'],
                  args: ['-f', '/etc/kube-flannel/cni-conf.json', '/etc/cni/net.d/10-flannel.conflist'],
                  volumeMounts: [
                    { name: 'cni', mountPath: '/etc/cni/net.d' },
                    { name: 'flannel-cfg', mountPath: '/etc/kube-flannel/' },
                  ],
                },
              ],
              containers: [
                {
                  name: 'kube-flannel',
                  image,
                  command: ['/opt/bin/flanneld'],
                  args: ['--ip-masq', '--kube-subnet-mgr'],
                  env: [
                    { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
                    { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
                    { name: 'EVENT_QUEUE_DEPTH', value: '5000' },
                  ],
                  securityContext: { privileged: false, capabilities: { add: ['NET_ADMIN', 'NET_RAW'] } },
                  resources: { requests: { cpu: '100m', memory: '50Mi' } },
                  volumeMounts: [
                    { name: 'run', mountPath: '/run/flannel' },
                    { name: 'flannel-cfg', mountPath: '/etc/kube-flannel/' },
                    { name: 'xtables-lock', mountPath: '/run/xtables.lock' },
                  ],
                },
              ],
              volumes: [
                { name: 'run', hostPath: { path: '/run/flannel' } },
                { name: 'cni-plugin', hostPath: { path: '/opt/cni/bin' } },
                { name: 'cni', hostPath: { path: '/etc/cni/net.d' } },
                { name: 'flannel-cfg', configMap: { name: 'kube-flannel-cfg' } },
                { name: 'xtables-lock', hostPath: { path: '/run/xtables.lock', type: 'FileOrCreate' } },
              ],
            },
          },
        },
      },
    ],
  ];
}

export function kubeProxyObjects({ podNetwork, images }: Scenario): Seed[] {
  const namespace = 'kube-system';
  const labels = { 'k8s-app': 'kube-proxy' };
  return [
    ['serviceaccounts', { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'kube-proxy', namespace } }],
    [
      'configmaps',
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'kube-proxy', namespace, labels: { app: 'kube-proxy' } },
        data: {
          'config.conf': [
            'apiVersion: kubeproxy.config.k8s.io/v1alpha1',
            'kind: KubeProxyConfiguration',
            'mode: iptables',
            `clusterCIDR: ${podNetwork}`,
            '',
          ].join('\n'),
        },
      },
    ],
    [
      'daemonsets.apps',
      {
        apiVersion: 'apps/v1',
        kind: 'DaemonSet',
        metadata: { name: 'kube-proxy', namespace, labels },
        spec: {
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: {
              serviceAccountName: 'kube-proxy',
              hostNetwork: true,
              priorityClassName: CRITICAL,
              nodeSelector: { 'kubernetes.io/os': 'linux' },
              tolerations: [{ operator: 'Exists' }],
              containers: [
                {
                  name: 'kube-proxy',
                  image: imageOf(images, 'kube-proxy'),
                  command: [
                    '/usr/local/bin/kube-proxy',
                    '--config=/var/lib/kube-proxy/config.conf',
                    '--hostname-override=$(NODE_NAME)',
                  ],
                  env: [{ name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
                  securityContext: { privileged: true },
                  volumeMounts: [{ name: 'kube-proxy', mountPath: '/var/lib/kube-proxy' }],
                },
              ],
              volumes: [{ name: 'kube-proxy', configMap: { name: 'kube-proxy' } }],
            },
          },
        },
      },
    ],
  ];
}

export function dnsObjects({ images, nodes }: Scenario, serviceIp: string): Seed[] {
  const namespace = 'kube-system';
  const labels = { 'k8s-app': 'kube-dns' };
  return [
    ['serviceaccounts', { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'coredns', namespace } }],
    [
      'configmaps',
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'coredns', namespace },
        data: {
          Corefile:
            '.:53 {\n    errors\n    health {\n        lameduck 5s\n    }\n    ready\n    kubernetes cluster.local in-addr.arpa ip6.arpa {\n        pods insecure\n    }\n    forward . /etc/resolv.conf\n    cache 30\n    reload\n    loadbalance\n}\n',
        },
      },
    ],
    [
      'deployments.apps',
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'coredns', namespace, labels },
        spec: {
          replicas: Math.min(2, nodes.length),
          selector: { matchLabels: labels },
          strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
          template: {
            metadata: { labels },
            spec: {
              serviceAccountName: 'coredns',
              priorityClassName: 'system-cluster-critical',
              nodeSelector: { 'kubernetes.io/os': 'linux' },
              tolerations: [
                { key: 'CriticalAddonsOnly', operator: 'Exists' },
                { key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' },
              ],
              dnsPolicy: 'Default',
              containers: [
                {
                  name: 'coredns',
                  image: imageOf(images, 'coredns'),
                  args: ['-conf', '/etc/coredns/Corefile'],
                  resources: { limits: { memory: '170Mi' }, requests: { cpu: '100m', memory: '70Mi' } },
                  ports: [
                    { containerPort: 53, name: 'dns', protocol: 'UDP' },
                    { containerPort: 53, name: 'dns-tcp', protocol: 'TCP' },
                    { containerPort: 9153, name: 'metrics', protocol: 'TCP' },
                  ],
                  // Stands for the `lameduck 5s` of the Corefile: CoreDNS answers on for that long after it was told to end.
                  lifecycle: { preStop: { sleep: { seconds: 5 } } },
                  readinessProbe: { httpGet: { path: '/ready', port: 8181 } },
                  volumeMounts: [{ name: 'config-volume', mountPath: '/etc/coredns', readOnly: true }],
                },
              ],
              volumes: [
                {
                  name: 'config-volume',
                  configMap: { name: 'coredns', items: [{ key: 'Corefile', path: 'Corefile' }] },
                },
              ],
            },
          },
        },
      },
    ],
    [
      'services',
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: {
          name: 'kube-dns',
          namespace,
          labels: { ...labels, 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
        },
        spec: {
          clusterIP: serviceIp,
          selector: labels,
          ports: [
            { name: 'dns', port: 53, protocol: 'UDP', targetPort: 53 },
            { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 53 },
            { name: 'metrics', port: 9153, protocol: 'TCP', targetPort: 9153 },
          ],
        },
      },
    ],
  ];
}

/** Service `kubernetes`, whose endpoints are the API servers of the control-plane nodes. */
export function apiServiceObjects({ nodes }: Scenario, serviceIp: string): Seed[] {
  const labels = { component: 'apiserver', provider: 'kubernetes' };
  const ports = [{ name: 'https', port: 6443, protocol: 'TCP' }];
  const addresses = nodes.filter(({ controlPlane }) => controlPlane).map(({ ip }) => ip);
  return [
    [
      'services',
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'kubernetes', namespace: 'default', labels },
        spec: { clusterIP: serviceIp, ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: 6443 }] },
      },
    ],
    [
      'endpoints',
      {
        apiVersion: 'v1',
        kind: 'Endpoints',
        metadata: {
          name: 'kubernetes',
          namespace: 'default',
          labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
        },
        ...(addresses.length > 0 ? { subsets: [{ addresses: addresses.map((ip) => ({ ip })), ports }] } : {}),
      },
    ],
    [
      'endpointslices.discovery.k8s.io',
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: 'kubernetes', namespace: 'default', labels: { 'kubernetes.io/service-name': 'kubernetes' } },
        addressType: 'IPv4',
        endpoints: addresses.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
        ports,
      },
    ],
  ];
}

function clusterRole(name: string, namespace: string, rules: unknown[]): Seed[] {
  const labels = { 'k8s-app': name };
  return [
    [
      'clusterroles.rbac.authorization.k8s.io',
      { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name, labels }, rules },
    ],
    [
      'clusterrolebindings.rbac.authorization.k8s.io',
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name, labels },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
        subjects: [{ kind: 'ServiceAccount', name, namespace }],
      },
    ],
  ];
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

/** The image on the nodes whose name has this part. */
const imageOf = (images: readonly string[], part: string) => images.find((each) => each.includes(part)) ?? part;

import type { JsonObject } from '../../json.ts';
import { probePorts } from '../manifests.ts';
import type { ProbeSettings } from '../manifests.ts';

/** Name of what a capture needs beside the probe pods, and the value of its `app` label. */
export const captureName = 'cutover-capture';

export const capturePorts = (probe: Pick<ProbeSettings, 'hostPort' | 'nodePort'>) => ({
  http: probePorts(probe).http,
  /** iperf in the capture's own pod: TCP and UDP. */
  iperf: 5_001,
  /** iperf on the node's address, only while the control is measured. Beyond the ports that the probes bind. */
  hostIperf: probe.hostPort + 9,
});

const labels = { app: captureName, 'app.kubernetes.io/managed-by': 'cutover' };

/**
 * The pod that answers, pinned to one node, and a Service that has nobody but it. A DaemonSet: the pod of one does not stand
 * in the way of a drain, should a capture die half way.
 */
export function captureManifests(
  probe: ProbeSettings,
  node: string,
): (JsonObject & {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace: string; labels: { [key: string]: string } };
})[] {
  const ports = capturePorts(probe);
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: captureName, namespace: probe.namespace, labels },
      spec: {
        selector: { matchLabels: { app: captureName } },
        template: {
          metadata: { labels },
          spec: {
            automountServiceAccountToken: false,
            enableServiceLinks: false,
            terminationGracePeriodSeconds: 0,
            tolerations: [{ operator: 'Exists' }],
            affinity: {
              nodeAffinity: {
                requiredDuringSchedulingIgnoredDuringExecution: {
                  nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }],
                },
              },
            },
            containers: [
              {
                name: 'probe',
                image: probe.image,
                args: ['netexec', `--http-port=${ports.http}`, '--udp-port=8081'],
                ports: [
                  { name: 'http', containerPort: ports.http, protocol: 'TCP' },
                  { name: 'iperf', containerPort: ports.iperf, protocol: 'TCP' },
                ],
                readinessProbe: { httpGet: { path: '/hostname', port: ports.http }, periodSeconds: 1 },
                resources: { requests: { cpu: '5m', memory: '16Mi' } },
                securityContext: {
                  runAsUser: 65534,
                  runAsNonRoot: true,
                  allowPrivilegeEscalation: false,
                  capabilities: { drop: ['ALL'] },
                  seccompProfile: { type: 'RuntimeDefault' },
                },
              },
            ],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: captureName, namespace: probe.namespace, labels },
      spec: {
        selector: { app: captureName },
        ports: [
          { name: 'http', port: ports.http, targetPort: ports.http, protocol: 'TCP' },
          { name: 'iperf', port: ports.iperf, targetPort: ports.iperf, protocol: 'TCP' },
        ],
      },
    },
  ];
}

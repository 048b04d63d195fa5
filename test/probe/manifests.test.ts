import { describe, expect, it } from 'vitest';
import { probeManifests, probePorts } from '../../src/probe/manifests.ts';

const settings = {
  image: 'registry.k8s.io/e2e-test-images/agnhost:2.53',
  namespace: 'probes',
  hostPort: 18080,
  nodePort: 30480,
};

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- Kubernetes objects are open
const find = (kind: string, name: string): any =>
  probeManifests(settings).find(
    (object) => object.kind === kind && (object['metadata'] as { name?: string }).name === name,
  );

describe('probeManifests', () => {
  it('starts with the namespace, which lets hostPort and hostNetwork in', () => {
    const [first] = probeManifests(settings);

    expect(first).toMatchObject({
      kind: 'Namespace',
      metadata: { name: 'probes', labels: { 'pod-security.kubernetes.io/enforce': 'privileged' } },
    });
  });

  it('puts everything else into that namespace', () => {
    expect(
      probeManifests(settings)
        .slice(1)
        .map((object) => (object['metadata'] as { namespace?: string }).namespace),
    ).toEqual(['probes', 'probes', 'probes', 'probes', 'probes', 'probes']);
  });

  it('binds the ports of the plan', () => {
    const pod = find('DaemonSet', 'cutover-probe').spec.template.spec;
    const service = find('Service', 'cutover-probe').spec;

    expect(pod.containers[0].ports[0]).toMatchObject({ containerPort: 8080, hostPort: 18080 });
    expect(service).toMatchObject({
      type: 'NodePort',
      selector: { app: 'cutover-probe', 'cutover.dev/serving': 'yes' },
    });
    expect(service.ports[0]).toMatchObject({ port: 8080, nodePort: 30480 });
  });

  it('keeps the two probes of a node off each other’s ports, which are the node’s own for one of them', () => {
    const host = find('DaemonSet', 'cutover-probe-host').spec.template.spec;
    const ports = Object.values(probePorts(settings));

    expect(host.hostNetwork).toBe(true);
    expect(host.containers[0].args).toContain('--http-port=18081');
    expect(new Set(ports).size).toBe(ports.length);
  });

  it('runs on nodes that are cordoned or without a network', () => {
    for (const name of ['cutover-probe', 'cutover-probe-host']) {
      expect(find('DaemonSet', name).spec.template.spec.tolerations).toEqual([{ operator: 'Exists' }]);
    }
  });
});

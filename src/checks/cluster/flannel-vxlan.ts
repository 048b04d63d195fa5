import { block, defineCheck, pass, some } from '../define.ts';
import { flannel, sharedVxlan } from '../names.ts';

type Facts = {
  daemonSet: boolean;
  configMap: boolean;
  /** `` when net-conf.json cannot be read. */
  backend: string;
  vni: number;
  port: number;
  directRouting: boolean;
  network: string;
  /** `worker-1: host-gw`, for nodes whose annotation says another backend, VNI or nothing. */
  otherNodes: string[];
  nodes: number;
};

/**
 * Flannel runs its VXLAN backend with the VNI and port that Calico will speak, on every node and without direct routes.
 * Anything else and the two halves of the cluster do not hear each other (§2.1 of the migration facts).
 */
export const flannelVxlan = defineCheck<Facts>({
  id: 'flannel-vxlan',
  layer: 'cluster',
  title: 'Flannel runs VXLAN as Calico will',
  scope: 'cluster',
  ask: async ({ kubernetes, nodeObjects }) => {
    const place = { namespace: flannel.namespace };
    const [daemonSet, configMap, nodes] = await Promise.all([
      kubernetes.get({ apiVersion: 'apps/v1', kind: 'DaemonSet', name: flannel.daemonSet, ...place }),
      kubernetes.get({ apiVersion: 'v1', kind: 'ConfigMap', name: flannel.configMap, ...place }),
      nodeObjects(),
    ]);
    return {
      daemonSet: daemonSet !== undefined,
      configMap: configMap !== undefined,
      ...readNetConf(configMap?.['data']?.['net-conf.json']),
      otherNodes: nodes.flatMap((node) => {
        const said = otherBackend(node.metadata.annotations ?? {});
        return said === undefined ? [] : [`${node.metadata.name}: ${said}`];
      }),
      nodes: nodes.length,
    };
  },
  judge: (facts) => {
    if (!facts.daemonSet || !facts.configMap) {
      const missing = facts.daemonSet ? `ConfigMap ${flannel.configMap}` : `DaemonSet ${flannel.daemonSet}`;
      return block(`there is no ${missing} in the namespace ${flannel.namespace}`, {
        remedy:
          'this route is for Flannel installed by its own manifest or chart; k3s and RKE2 embed it and need another way',
      });
    }
    if (facts.backend !== 'vxlan') {
      return block(`Flannel's backend is ${facts.backend === '' ? 'unreadable' : facts.backend}, not vxlan`, {
        remedy: `look at net-conf.json in the ConfigMap ${flannel.namespace}/${flannel.configMap}; this route needs Backend.Type vxlan`,
      });
    }
    if (facts.vni !== sharedVxlan.vni || facts.port !== sharedVxlan.port) {
      return block(
        `Flannel uses VNI ${facts.vni} and UDP port ${facts.port}; this route speaks VNI ${sharedVxlan.vni} and port ${sharedVxlan.port}`,
        {
          remedy:
            "this route cannot take over another VNI or port yet; do not change Flannel's on a running cluster, it is an outage",
        },
      );
    }
    if (facts.directRouting) {
      return block('Flannel has DirectRouting on: nodes of one subnet talk without VXLAN, which Calico would not', {
        remedy: 'set Backend.DirectRouting to false and restart the Flannel pods one by one',
      });
    }
    if (facts.otherNodes.length > 0) {
      return block(
        `${facts.otherNodes.length} of ${facts.nodes} nodes do not say vxlan with VNI 1: ${some(facts.otherNodes)}`,
        {
          remedy: `look at the annotations ${flannel.annotations}* of these nodes and at their Flannel pods`,
        },
      );
    }
    return pass(
      `Flannel runs VXLAN with VNI ${facts.vni} on UDP ${facts.port} for ${facts.network} on all ${facts.nodes} nodes`,
    );
  },
});

interface NetConf {
  Network?: string;
  Backend?: { Type?: string; VNI?: number; Port?: number; DirectRouting?: boolean };
}

/** Defaults as flanneld on Linux has them: VNI 1, the kernel's own port 8472. */
export function readNetConf(text: unknown): Pick<Facts, 'backend' | 'vni' | 'port' | 'directRouting' | 'network'> {
  let conf: NetConf = {};
  try {
    conf = JSON.parse(String(text)) as NetConf;
  } catch {
    // An unreadable file is an unreadable backend, which blocks.
  }
  return {
    backend: conf.Backend?.Type ?? '',
    vni: conf.Backend?.VNI ?? sharedVxlan.vni,
    port: conf.Backend?.Port || sharedVxlan.port,
    directRouting: conf.Backend?.DirectRouting === true,
    network: conf.Network ?? '',
  };
}

function otherBackend(annotations: { [key: string]: string }): string | undefined {
  const type = annotations[`${flannel.annotations}backend-type`];
  if (type !== 'vxlan') return type ?? 'no annotation';
  const data = backendData(annotations);
  if (data === undefined) return 'backend-data is unreadable';
  // flanneld before 0.10 wrote no VNI into it.
  return data.VNI === undefined || data.VNI === sharedVxlan.vni ? undefined : `VNI ${data.VNI}`;
}

/** `{"VNI":1,"VtepMAC":"…"}`, as flanneld writes it on its node. */
export function backendData(annotations: { [key: string]: string }): { VNI?: number; VtepMAC?: string } | undefined {
  try {
    return JSON.parse(annotations[`${flannel.annotations}backend-data`] ?? '') as { VNI?: number; VtepMAC?: string };
  } catch {
    return undefined;
  }
}

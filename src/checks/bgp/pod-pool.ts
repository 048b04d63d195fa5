import { kinds } from '../../kubernetes/kinds.ts';
import { podPoolLabel } from '../../kubernetes/marks.ts';
import { contains, parseCidr } from '../cidr.ts';
import { block, count, defineCheck, pass, some } from '../define.ts';

type Facts = {
  node: string;
  cidr: string;
  /** Whether the node is marked for the new pool. */
  moved: boolean;
  pods: number;
  /** `shop/web-1 10.244.1.7`: of the pool that is not this node's. */
  astray: string[];
};

/** Every pod of this node has an address of the pool that selects it: a pod keeps the one that it was made with. */
export const podPool = defineCheck<Facts>({
  id: 'pod-pool',
  layer: 'pod-network',
  title: "Pods have addresses of their node's pool",
  scope: 'node',
  patient: true,
  ask: async ({ kubernetes, nodeObject, stage }, { name }) => {
    const cidr = stage.bgp?.newPool?.cidr ?? '';
    const [node, pods] = await Promise.all([
      nodeObject(name),
      kubernetes.list(kinds.pod, { fieldSelector: `spec.nodeName=${name}` }),
    ]);
    const moved = node.metadata.labels?.[podPoolLabel] !== undefined;
    const range = parseCidr(cidr);
    const connected = pods.flatMap(({ metadata, spec, status }) =>
      spec?.hostNetwork === true || metadata.deletionTimestamp !== undefined || !status?.podIP
        ? []
        : [{ pod: `${metadata.namespace}/${metadata.name}`, ip: String(status.podIP) }],
    );
    const isNew = (ip: string): boolean => {
      const address = parseCidr(ip);
      return range !== undefined && address !== undefined && contains(range, address);
    };
    return {
      node: name,
      cidr,
      moved,
      pods: connected.length,
      astray: connected.filter(({ ip }) => isNew(ip) !== moved).map(({ pod, ip }) => `${pod} ${ip}`),
    };
  },
  judge: ({ node, cidr, moved, pods, astray }) =>
    astray.length === 0
      ? pass(`${count(pods, 'pod')} of ${node} ${moved ? `have addresses of ${cidr}` : `have none of ${cidr}`}`)
      : block(
          `${astray.length} of ${count(pods, 'pod')} of ${node} have ${moved ? 'no address' : 'one'} of ${cidr}: ${some(astray)}`,
          {
            remedy:
              'delete these pods, so that they are made anew; a pod with an annotation of Calico that names a pool or an address needs another one',
          },
        ),
});

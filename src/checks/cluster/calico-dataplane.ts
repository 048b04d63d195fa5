import { block, defineCheck, pass, warn } from '../define.ts';

type Facts = { bpf: boolean; wireguard: boolean; dataplane: string };

const enabled = (value: unknown): boolean => value === true || value === 'true';

/** Calico runs its ordinary data path: with BPF, VPP or WireGuard other rules, routes and MTUs hold than these routes check. */
export const calicoDataplane = defineCheck<Facts>({
  id: 'calico-dataplane',
  layer: 'cluster',
  title: "Calico's data path is the ordinary one",
  scope: 'cluster',
  ask: async ({ all }) => {
    const [felix, installations] = await Promise.all([
      all({ apiVersion: 'crd.projectcalico.org/v1', kind: 'FelixConfiguration' }),
      all({ apiVersion: 'operator.tigera.io/v1', kind: 'Installation' }),
    ]);
    return {
      bpf: felix.some(({ spec }) => enabled(spec?.bpfEnabled)),
      wireguard: felix.some(({ spec }) => enabled(spec?.wireguardEnabled) || enabled(spec?.wireguardEnabledV6)),
      dataplane:
        installations
          .map(({ spec }) => String(spec?.calicoNetwork?.linuxDataplane ?? ''))
          .find((each) => each !== '') ?? '',
    };
  },
  judge: ({ bpf, wireguard, dataplane }) => {
    const other = bpf ? 'BPF' : ['BPF', 'VPP', 'Nftables'].includes(dataplane) ? dataplane : '';
    if (other !== '') {
      return block(`Calico's data path is ${other}: this route changes and checks the one of iptables`, {
        remedy: 'there is no route for that data path yet; do not switch it off on a running cluster for this',
      });
    }
    if (wireguard) {
      return warn(
        'Calico encrypts between nodes with WireGuard, which costs 60 bytes of each packet and a port of its own',
        {
          remedy: 'see that UDP 51820 stays open between all nodes, and that the MTU of the plan leaves room for it',
        },
      );
    }
    return pass('neither BPF, VPP nor WireGuard is configured');
  },
});

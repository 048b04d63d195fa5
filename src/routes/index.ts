import type { Route } from '../plan/types.ts';
import { calicoHostMtu } from './calico-host-mtu.ts';
import { calicoVxlanToBgp } from './calico-vxlan-to-bgp.ts';
import { flannelToCalico } from './flannel-to-calico.ts';

/** Every route there is. A new one is one file beside this and one line here. */
export const routes: readonly Route[] = [flannelToCalico, calicoVxlanToBgp, calicoHostMtu];

export const findRoute = (id: string): Route | undefined => routes.find((route) => route.id === id);

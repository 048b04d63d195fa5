/** Marks that Cutover sets on objects of the cluster. */

/** Annotation on what Cutover created: the migration that did. Undo deletes nothing without it. */
export const createdBy = 'cutover.dev/migration';
/** Beside it: the installation of Cutover whose migration that is. */
export const createdFrom = 'cutover.dev/installation';
/** Annotation on what existed before: what was found there, as JSON, so that it can be put back. Written once, never overwritten. */
export const foundState = 'cutover.dev/found';
/** The same for the MTU of pods, on calico-config and on FelixConfiguration: these may carry `foundState` of another change. */
export const foundMtu = 'cutover.dev/found-mtu';
/**
 * Label of a node: `flannel`, `none` or `calico`. It is the one of Calico's own migration controller, whose block garbage
 * collector spares nodes that carry it (§0a.15 of the migration facts).
 */
export const networkLabel = 'projectcalico.org/node-network-during-migration';
/** Label of a node whose pods get addresses of the new pool (`bgp.newPool`); its value does not matter. */
export const podPoolLabel = 'cutover.dev/pod-pool';
/** Annotation on a pool: the nodeSelector that was found, as JSON. It may carry `cutover.dev/found-modes` beside it. */
export const foundSelector = 'cutover.dev/found-selector';
/** Service controllers of clouds leave nodes with this label out of load balancers; its value does not matter (KEP-1143). */
export const excludeLabel = 'node.kubernetes.io/exclude-from-external-load-balancers';

import { kubernetesVersion } from '../settings.ts';

/** One Go program of the lab: built from a package of one of the modules beside this folder. */
export interface Program {
  /** File name in the folder of programs. */
  name: string;
  module: string;
  package: string;
  /** Values of variables that the linker sets: versions, which the programs report. */
  set?: Record<string, string>;
  tags?: string[];
  cgo?: boolean;
  /** Further names: the program does what the name says that it is called by. */
  alsoNamed?: string[];
}

const version = 'k8s.io/component-base/version';
const kubernetesVariables = {
  [`${version}.gitVersion`]: kubernetesVersion,
  [`${version}.gitMajor`]: '1',
  [`${version}.gitMinor`]: kubernetesVersion.split('.')[1]!,
  [`${version}.gitTreeState`]: 'clean',
};

const calico = 'github.com/projectcalico/calico';
const calicoVersion = 'v3.28.5';
const calicoVariables = {
  [`${calico}/node/buildinfo.GitVersion`]: calicoVersion,
  [`${calico}/node/pkg/lifecycle/startup.VERSION`]: calicoVersion,
  [`${calico}/calicoctl/calicoctl/commands.VERSION`]: calicoVersion,
  'main.VERSION': calicoVersion,
};

const containerd = 'github.com/containerd/containerd/v2';
const containerdBuild = {
  module: 'containerd',
  set: { [`${containerd}/version.Version`]: 'v2.1.9' },
  tags: ['no_btrfs', 'no_devmapper', 'no_zfs'],
};

const plugins = 'github.com/containernetworking/plugins/plugins';

/** Small ones first: what is wrong with the set-up shows early. */
export const programs: readonly Program[] = [
  ...[
    'ipam/host-local',
    'main/bridge',
    'main/loopback',
    'main/ptp',
    'meta/bandwidth',
    'meta/portmap',
    'meta/tuning',
  ].map((path) => ({ name: `cni-${path.split('/')[1]}`, module: 'cni-plugins', package: `${plugins}/${path}` })),
  // Flannel's own plugin is not served as a module; it lived here until v0.9.1 and works with a conf of CNI 0.3.1.
  { name: 'cni-flannel', module: 'flannel-cni', package: `${plugins}/meta/flannel` },
  { name: 'labprobe', module: 'labprobe', package: '.' },
  {
    name: 'crictl',
    module: 'cri-tools',
    package: 'sigs.k8s.io/cri-tools/cmd/crictl',
    set: { 'sigs.k8s.io/cri-tools/pkg/version.Version': 'v1.34.0' },
  },
  { name: 'etcd', module: 'etcd', package: 'go.etcd.io/etcd/server/v3' },
  { name: 'etcdctl', module: 'etcd', package: 'go.etcd.io/etcd/etcdctl/v3' },
  { name: 'containerd', package: `${containerd}/cmd/containerd`, ...containerdBuild },
  { name: 'containerd-shim-runc-v2', package: `${containerd}/cmd/containerd-shim-runc-v2`, ...containerdBuild },
  { name: 'ctr', package: `${containerd}/cmd/ctr`, ...containerdBuild },
  {
    name: 'flanneld',
    module: 'flannel',
    package: 'github.com/flannel-io/flannel',
    set: { 'github.com/flannel-io/flannel/pkg/version.Version': 'v0.28.9' },
    cgo: true,
  },
  {
    name: 'kubernetes',
    module: 'kubernetes',
    package: '.',
    set: kubernetesVariables,
    alsoNamed: ['kube-apiserver', 'kube-controller-manager', 'kube-proxy', 'kube-scheduler', 'kubectl', 'kubelet'],
  },
  {
    name: 'agnhost',
    module: 'kubernetes',
    package: 'k8s.io/kubernetes/test/images/agnhost',
  },
  { name: 'coredns', module: 'coredns', package: 'github.com/coredns/coredns' },
  ...[
    ['calico-node', 'node/cmd/calico-node'],
    ['calico-cni', 'cni-plugin/cmd/calico'],
    ['calico-cni-install', 'cni-plugin/cmd/install'],
    ['calico-kube-controllers', 'kube-controllers/cmd/kube-controllers'],
    ['calico-check-status', 'kube-controllers/cmd/check-status'],
    ['calicoctl', 'calicoctl/calicoctl'],
  ].map(([name, path]) => ({
    name: name!,
    module: 'calico',
    package: `${calico}/${path}`,
    set: calicoVariables,
  })),
];

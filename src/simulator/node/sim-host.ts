import type { SimHost } from '../types.ts';

/** A Debian with containerd, as kubeadm wants it; a scenario says what is different. */
export const defaultHost = (): SimHost => ({
  clockAheadSeconds: 0,
  confDir: '/etc/cni/net.d',
  binDirs: ['/opt/cni/bin'],
  maxConfNum: 1,
  listeners: [
    { protocol: 'tcp', port: 22, program: 'sshd' },
    { protocol: 'tcp', port: 10248, program: 'kubelet' },
    { protocol: 'tcp', port: 10249, program: 'kube-proxy' },
    { protocol: 'tcp', port: 10250, program: 'kubelet' },
    { protocol: 'tcp', port: 10256, program: 'kube-proxy' },
  ],
  icmp: true,
  sysctls: {
    'net/ipv4/ip_forward': '1',
    'net/bridge/bridge-nf-call-iptables': '1',
    'net/ipv4/conf/all/rp_filter': '0',
    'net/ipv4/conf/uplink/rp_filter': '2',
    'fs/inotify/max_user_instances': '8192',
  },
  services: [],
  conntrackCount: 420,
  conntrackMax: 262_144,
  conntrackDrops: 3,
  diskFreePercent: 61,
  images: [],
});

import { baseline } from './baseline.ts';
import { startAgent, stopAgent } from './agent.ts';
import { disableBgp, enableBgp, keepBgp } from './bgp.ts';
import { applyBundle, deleteBundle } from './bundle.ts';
import { takeCapture } from './capture.ts';
import { adoptFlannelIpam, releaseFlannelIpam } from './calico.ts';
import { labelNodes, selectDaemonSet, unlabelNodes, unselectDaemonSet } from './cluster.ts';
import { drain } from './drain.ts';
import { cleanNodes, deleteDaemonSet, deleteFlannel, forget, removeFlannel } from './finalize.ts';
import { restoreEncapsulation, setEncapsulation, trueAddresses } from './encapsulation.ts';
import { recyclePods, repinMtu, unpinMtu } from './mtu.ts';
import {
  armRevert,
  canGoBack,
  checkOnly,
  cleanCalico,
  cordon,
  disarmRevert,
  fence,
  purge,
  restoreCordon,
  sameMachine,
  snapshot,
  startKubelet,
  unfence,
} from './node.ts';
import {
  guardExports,
  liftExports,
  peerWithRouters,
  reflect,
  unguardExports,
  unpeerRouters,
  unreflect,
} from './peers.ts';
import { addPool, leavePool, readdressPods, removePool, retirePools, usePool } from './pools.ts';
import { deployProbes, joinProbe, leaveProbe, removeProbes } from './probe.ts';
import { watchSessions } from './sessions.ts';
import { settle } from './settle.ts';
import type { Verb } from './types.ts';

/** Every verb that a route can name. */
export const verbs: { readonly [name: string]: Verb } = {
  'probe.deploy': deployProbes,
  'probe.remove': removeProbes,
  'capture.take': takeCapture,
  'probe.leave': leaveProbe,
  'probe.join': joinProbe,

  'cluster.check': checkOnly,
  'cluster.baseline': baseline,
  'cluster.labelNodes': labelNodes,
  'cluster.unlabelNodes': unlabelNodes,
  'cluster.selectDaemonSet': selectDaemonSet,
  'cluster.unselectDaemonSet': unselectDaemonSet,
  'cluster.applyBundle': applyBundle,
  'cluster.deleteBundle': deleteBundle,
  'cluster.deleteDaemonSet': deleteDaemonSet,
  'cluster.cleanNodes': cleanNodes,
  'cluster.deleteFlannel': deleteFlannel,
  'cluster.removeFlannel': removeFlannel,
  'cluster.forget': forget,

  'calico.adoptFlannelIpam': adoptFlannelIpam,
  'calico.releaseFlannelIpam': releaseFlannelIpam,

  'calico.trueAddresses': trueAddresses,
  'calico.setEncapsulation': setEncapsulation,
  'calico.restoreEncapsulation': restoreEncapsulation,

  'calico.unpinMtu': unpinMtu,
  'calico.repinMtu': repinMtu,

  'calico.addPool': addPool,
  'calico.removePool': removePool,
  'calico.retirePools': retirePools,
  'node.usePool': usePool,
  'node.leavePool': leavePool,
  'node.readdressPods': readdressPods,

  'bgp.enable': enableBgp,
  'bgp.disable': disableBgp,
  'bgp.guardExports': guardExports,
  'bgp.unguardExports': unguardExports,
  'bgp.liftExports': liftExports,
  'bgp.peer': peerWithRouters,
  'bgp.unpeer': unpeerRouters,
  'bgp.reflect': reflect,
  'bgp.unreflect': unreflect,
  'bgp.keep': keepBgp,
  'bgp.watchSessions': watchSessions,

  'node.snapshot': snapshot,
  'node.sameMachine': sameMachine,
  'node.cordon': cordon,
  'node.restoreCordon': restoreCordon,
  'node.canGoBack': canGoBack,
  'node.drain': drain,
  'node.recyclePods': recyclePods,
  'node.armRevert': armRevert,
  'node.disarmRevert': disarmRevert,
  'node.stopAgent': stopAgent,
  'node.startAgent': startAgent,
  'node.purge': purge,
  'node.fence': fence,
  'node.unfence': unfence,
  'node.startKubelet': startKubelet,
  'node.cleanCalico': cleanCalico,
  'node.settle': settle,
  'node.check': checkOnly,
};

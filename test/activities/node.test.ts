import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { excludeLabel, foundState } from '../../src/kubernetes/marks.ts';
import { startWorld, type World } from './world.ts';

let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.stop());

const cordoned = (name: string): boolean => world.node(name)['spec'].unschedulable === true;
const calls = (): string[] => world.nodes.calls.map(({ verb }) => verb);
const failure = (running: Promise<unknown>) => running.catch((error: unknown) => error);
const person = (change: (node: { [key: string]: any }) => void): void =>
  void world.store.mutate('nodes', undefined, 'w1', change);

describe('the snapshot', () => {
  it('keeps what rollback needs on the node, once, and no mark on the Node object that no undo would take away', async () => {
    expect(await world.run('node.snapshot', { node: 'w1' })).toMatchObject({ changed: true });
    expect(await world.run('node.snapshot', { node: 'w1' })).toMatchObject({
      changed: false,
      summary: expect.stringContaining('of an earlier attempt stands'),
    });
    expect(world.node('w1').metadata.annotations).not.toHaveProperty([foundState]);
  });

  it('stops a node that is not as planned, field by field, before anything is kept', async () => {
    world.nodes.state('w1').confs = [
      { name: '05-cilium.conflist', sha256: 'c1', network: 'cilium', firstPlugin: 'cilium' },
    ];
    person((node) => void (node['status'].nodeInfo.kernelVersion = '6.2.0'));

    expect(await failure(world.run('node.snapshot', { node: 'w1' }))).toMatchObject({
      type: 'DriftFound',
      nonRetryable: true,
      message: expect.stringContaining('kernel was 6.1.0, is 6.2.0'),
      details: [
        {
          diff: expect.arrayContaining([
            { field: 'kernel', before: '6.1.0', after: '6.2.0' },
            { field: 'cniConfs["10-flannel.conflist"]', before: 'f1', after: null },
            { field: 'cniConfs["05-cilium.conflist"]', before: null, after: 'c1' },
          ]),
        },
      ],
    });
    expect(calls()).toEqual(['inspect']);
    expect(world.node('w1').metadata.annotations![foundState]).toBeUndefined();
  });

  it('accepts on a later attempt a conf that a rollback left, but no change of the machine', async () => {
    world.nodes
      .state('w1')
      .confs.push({ name: '10-calico.conflist', sha256: 'c1', network: 'k8s-pod-network', firstPlugin: 'calico' });

    expect(await failure(world.run('node.snapshot', { node: 'w1' }))).toMatchObject({ type: 'DriftFound' });
    await world.run('node.snapshot', { node: 'w1', nodeAttempt: 2 });
    world.nodes.state('w1').confs[0]!.sha256 = 'edited';

    expect(await failure(world.run('node.snapshot', { node: 'w1', nodeAttempt: 2 }))).toMatchObject({
      type: 'DriftFound',
      message: expect.stringContaining('10-flannel.conflist'),
    });
  });
});

describe('before a node goes back', () => {
  it('it has all that Flannel needs, or is left as it is', async () => {
    expect(await world.run('node.canGoBack', { node: 'w1', direction: 'back' })).toMatchObject({ changed: false });

    Object.assign(world.nodes.state('w1'), { confs: [], flannelBinary: false });

    expect(await failure(world.run('node.canGoBack', { node: 'w1', direction: 'back' }))).toMatchObject({
      type: 'DriftFound',
      message:
        'w1 cannot go back to Flannel and is left as it is: it lacks 10-flannel.conflist in /etc/cni/net.d and the CNI plugin flannel in /opt/cni/bin',
    });
    expect(calls()).toEqual(['inspect', 'inspect']);
  });
});

describe('cordon and its undo', () => {
  it('give the node back to the scheduler and to load balancers', async () => {
    await world.run('node.cordon', { node: 'w1' });
    expect(cordoned('w1')).toBe(true);
    expect(JSON.parse(world.node('w1').metadata.annotations![foundState]!)).toMatchObject({
      unschedulable: false,
      excludeFromLoadBalancers: null,
    });
    expect(world.node('w1').metadata.labels![excludeLabel]).toBe('true');

    const result = await world.run('node.restoreCordon', { node: 'w1' });

    expect(result).toMatchObject({ changed: true, summary: 'w1 takes pods again' });
    expect(cordoned('w1')).toBe(false);
    expect(world.node('w1').metadata.labels).not.toHaveProperty([excludeLabel]);
    expect(world.node('w1').metadata.annotations).not.toHaveProperty([foundState]);
  });

  it('leave a node cordoned, and out of load balancers, that a person had taken out before', async () => {
    person((node) => {
      node['spec'].unschedulable = true;
      node['metadata'].labels[excludeLabel] = 'ada';
    });

    await world.run('node.cordon', { node: 'w1' });
    const result = await world.run('node.restoreCordon', { node: 'w1' });

    expect(result.summary).toBe('w1 stays cordoned, as it was found');
    expect(cordoned('w1')).toBe(true);
    expect(world.node('w1').metadata.labels![excludeLabel]).toBe('ada');
  });

  it('remember the node as it was found, however often they are run', async () => {
    await world.run('node.snapshot', { node: 'w1' });
    for (let times = 0; times < 3; times++) await world.run('node.cordon', { node: 'w1' });

    expect(await world.run('node.cordon', { node: 'w1' })).toMatchObject({ changed: false });
    await world.run('node.restoreCordon', { node: 'w1' });
    expect(cordoned('w1')).toBe(false);
    expect(await world.run('node.restoreCordon', { node: 'w1' })).toMatchObject({ changed: false });
  });

  it('touch nothing when the cordon never ran', async () => {
    person((node) => void (node['spec'].unschedulable = true));

    expect(await world.run('node.restoreCordon', { node: 'w1', direction: 'back' })).toMatchObject({ changed: false });
    expect(cordoned('w1')).toBe(true);
  });

  it('survive somebody who writes to the node at the same moment', async () => {
    let raced = false;
    world.between.kubernetes = (client) => ({
      ...client,
      mergePatch: (ref, patch, options) => {
        if (!raced) person((node) => void (node['metadata'].labels['raced'] = 'yes'));
        raced = true;
        return client.mergePatch(ref, patch, options);
      },
    });

    await world.run('node.cordon', { node: 'w1' });

    expect(world.node('w1').metadata.labels).toMatchObject({ raced: 'yes', [excludeLabel]: 'true' });
  });
});

describe('the dead-man switch', () => {
  it('is armed with the old network and the time of the step', async () => {
    await world.run('node.armRevert', { node: 'w1', with: { seconds: 900 } });

    expect(world.nodes.calls[0]).toMatchObject({ verb: 'arm-revert', input: { seconds: 900, old: 'flannel' } });
  });

  it('that has fired fails the way forward, and only that', async () => {
    world.nodes.state('w1').revertFired = true;

    expect(await failure(world.run('node.disarmRevert', { node: 'w1' }))).toMatchObject({
      type: 'DriftFound',
      message: expect.stringContaining('has fired'),
    });
    expect(await world.run('node.disarmRevert', { node: 'w1', direction: 'back' })).toMatchObject({
      summary: 'the switch had fired; it is cleared',
    });
  });
});

describe('purge, fence, unfence', () => {
  it("clear Flannel's rules after the fence stands, and not before, and leave its links", async () => {
    await world.run('node.fence', { node: 'w1', with: { confName: '10-calico.conflist', clean: 'flannel' } });

    expect(calls()).toEqual(['fence', 'clean-flannel']);
    expect(world.nodes.state('w1').links.map(({ name }) => name)).toContain('flannel.1');
    expect(
      await world.run('node.fence', { node: 'w1', with: { confName: '10-calico.conflist', clean: 'flannel' } }),
    ).toMatchObject({ changed: false });
  });

  it('leave Flannel alone when the fence is for a rollback', async () => {
    await world.run('node.fence', { node: 'w1', with: { confName: '10-calico.conflist', clean: 'none' } });

    expect(calls()).toEqual(['fence']);
  });

  it('do not believe a runtime that loaded something else', async () => {
    world.nodes.state('w1').loadedNetworks = ['stuck'];

    const failed = await failure(
      world.run('node.unfence', { node: 'w1', with: { confName: '10-calico.conflist', expect: 'cbr0' } }),
    );

    expect(failed).toMatchObject({
      type: 'RuntimeNotLoaded',
      nonRetryable: false,
      message: 'the runtime of w1 has loaded stuck, not cbr0',
    });
  });

  it('go on where a lost connection left them', async () => {
    let cut = true;
    world.nodes.before.run = (_node, verb) => {
      if (verb === 'clean-flannel' && cut) throw Object.assign(new Error('cut'), { name: 'Error' });
    };
    await failure(world.run('node.fence', { node: 'w1', with: { confName: '10-calico.conflist', clean: 'flannel' } }));
    cut = false;

    expect(
      await world.run('node.fence', { node: 'w1', with: { confName: '10-calico.conflist', clean: 'flannel' } }),
    ).toMatchObject({ summary: expect.stringContaining('the fence stands') });
    expect(calls()).toEqual(['fence', 'clean-flannel', 'fence', 'clean-flannel']);
  });

  it('stop kubelet once and start it once', async () => {
    await world.run('node.purge', { node: 'w1' });
    expect(world.nodes.state('w1').kubeletActive).toBe(false);

    expect(await world.run('node.startKubelet', { node: 'w1' })).toMatchObject({ changed: true });
    expect(await world.run('node.startKubelet', { node: 'w1' })).toMatchObject({ changed: false });
  });
});

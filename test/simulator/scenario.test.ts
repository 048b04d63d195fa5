import { describe, expect, it } from 'vitest';

import { CutoverError } from '../../src/errors.ts';
import { createFaults, faultNames } from '../../src/simulator/scenario/faults.ts';
import { loadScenario, parseScenario } from '../../src/simulator/scenario/load.ts';

function failureOf(run: () => unknown): CutoverError {
  try {
    run();
  } catch (error) {
    if (error instanceof CutoverError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('a scenario', () => {
  it('counts its nodes, control plane first, round the zones, each with an address and a /24', () => {
    const { nodes } = parseScenario('name: x\nnodes: { workers: 3, zones: [a, b] }');

    expect(nodes.map(({ name, zone, ip, podCIDR, controlPlane }) => [name, zone, ip, podCIDR, controlPlane])).toEqual([
      ['control-plane-1', 'a', '10.99.0.11', '10.244.0.0/24', true],
      ['worker-1', 'a', '10.99.0.12', '10.244.1.0/24', false],
      ['worker-2', 'b', '10.99.0.13', '10.244.2.0/24', false],
      ['worker-3', 'a', '10.99.0.14', '10.244.3.0/24', false],
    ]);
  });

  it('lets one node differ', () => {
    const { nodes } = parseScenario(
      'name: x\nnodes: { workers: 2, overrides: { worker-2: { cordoned: true, zone: z, labels: { disk: ssd } } } }',
    );

    expect(nodes[2]).toMatchObject({ name: 'worker-2', cordoned: true, zone: 'z', labels: { disk: 'ssd' } });
    expect(nodes[1]).toMatchObject({ name: 'worker-1', cordoned: false });
  });

  it('takes a duration as a number or as a range', () => {
    const { timing } = parseScenario(
      'name: x\nnodes: { workers: 1 }\ntiming: { kubeletStop: 500, agentStart: [1000, 2000] }',
    );

    expect(timing).toMatchObject({ kubeletStop: [500, 500], agentStart: [1000, 2000], sandboxRemoval: [40, 90] });
  });

  it.each([
    ['an unknown field', 'name: x\nnodes: { workers: 1 }\nspede: 3\n', 'here.yaml:1:1', 'spede'],
    ['a wrong value', 'name: x\nnodes:\n  workers: 1\nspeed: fast\n', 'here.yaml:4:8', 'speed'],
    [
      'an unknown fault',
      'name: x\nnodes: { workers: 1 }\nfaults:\n  - name: gremlins\n',
      'here.yaml:4:11',
      'unknown fault',
    ],
    [
      'a fault on a stranger',
      'name: x\nnodes: { workers: 1 }\nfaults:\n  - name: node-dead\n    nodes: [worker-9]\n',
      'here.yaml:5:12',
      'no node is named worker-9',
    ],
    [
      'a budget without a number',
      'name: x\nnodes: { workers: 1 }\nbudgets:\n  - { name: b, app: web }\n',
      'here.yaml:4:5',
      'minAvailable or maxUnavailable',
    ],
    ['broken YAML', 'name: x\nnodes: { workers: 1\n', 'here.yaml:', ''],
  ])('is refused because of %s, with file, line and column', (_what, text, place, words) => {
    const failure = failureOf(() => parseScenario(text, 'here.yaml'));

    expect(failure.type).toBe('PlanInvalid');
    expect(failure.message).toContain(place);
    expect(failure.message).toContain(words);
  });

  it.each(['three-nodes', 'six-nodes', 'no-yield', 'bench-50', 'bench-500'])(
    'named %s is shipped and valid',
    (name) => {
      expect(loadScenario(name).name).toBe(name);
    },
  );

  it('that does not exist is said not to exist', () => {
    expect(failureOf(() => loadScenario('no-such-thing')).type).toBe('NotFound');
  });
});

describe('faults', () => {
  it('wear off after their times, on their nodes only', () => {
    const faults = createFaults([{ name: 'ssh-lost', nodes: ['a'], times: 2 }]);

    expect(faults.take('ssh-lost', 'b')).toBeUndefined();
    expect(faults.take('ssh-lost', 'a')).toMatchObject({ times: 2 });
    expect(faults.take('ssh-lost', 'a')).toMatchObject({ times: 1 });
    expect(faults.take('ssh-lost', 'a')).toBeUndefined();
  });

  it('without times stay until they are cleared, and looking uses nothing up', () => {
    const faults = createFaults([{ name: 'api-500' }, { name: 'api-429', times: 1 }]);

    for (let at = 0; at < 3; at++)
      expect([faults.has('api-429'), faults.take('api-500') !== undefined]).toEqual([true, true]);
    faults.clear('api-500');
    expect(faults.has('api-500')).toBe(false);
  });

  it('tell when they come, go and wear off', () => {
    const faults = createFaults();
    const told: string[] = [];
    faults.onChange(({ type, fault }) => told.push(`${type} ${fault.name}`));

    faults.inject({ name: 'node-dead', nodes: ['a'] });
    faults.clear();
    faults.inject({ name: 'ssh-refused', times: 1 });
    faults.take('ssh-refused', 'a');

    expect(told).toEqual(['injected node-dead', 'cleared node-dead', 'injected ssh-refused', 'cleared ssh-refused']);
  });

  it('of an unknown name are refused with the list of known ones', () => {
    const failure = failureOf(() => createFaults().inject({ name: 'gremlins' }));

    expect(failure.type).toBe('NotFound');
    expect(failure.remedy).toContain(faultNames[0]);
  });
});

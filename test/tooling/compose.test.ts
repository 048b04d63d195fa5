import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

/**
 * docker-compose.yml and the Dockerfile, held to the rules of the Compose specification that can be checked without a
 * Docker engine (https://github.com/compose-spec/compose-spec/blob/main/spec.md). No image is looked at.
 */
interface Service {
  image?: string;
  build?: string;
  command?: unknown;
  container_name?: string;
  depends_on?: { [name: string]: { condition: string } };
  environment?: { [name: string]: unknown };
  env_file?: string[];
  ports?: string[];
  volumes?: string[];
  secrets?: string[];
  configs?: { source: string; target: string }[];
  healthcheck?: { test: string[] };
  restart?: string;
}
interface Compose {
  services: { [name: string]: Service };
  volumes: object;
  secrets: object;
  configs: object;
}

const root = new URL('../../', import.meta.url);
const read = (name: string) => readFileSync(new URL(name, root), 'utf8');
const text = read('docker-compose.yml');
const compose = parse(text, { merge: true }) as Compose;
const services = Object.entries(compose.services);
const conditions = ['service_started', 'service_healthy', 'service_completed_successfully'];

describe('docker-compose.yml', () => {
  it('has the services that a production installation needs', () => {
    expect(Object.keys(compose.services)).toEqual([
      'postgresql',
      'schema',
      'temporal',
      'namespace',
      'temporal-ui',
      'server',
      'worker',
    ]);
  });

  it('waits only for services that exist, and for a condition that they can meet', () => {
    for (const [, service] of services) {
      for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
        const target = compose.services[name];
        expect(target, name).toBeDefined();
        expect(conditions).toContain(condition);
        if (condition === 'service_healthy') expect(target?.healthcheck, name).toBeDefined();
        // A job that is restarted when it succeeds never counts as completed.
        if (condition === 'service_completed_successfully')
          expect(['no', undefined, 'on-failure:10']).toContain(target?.restart);
      }
    }
  });

  it('declares every volume, secret and config that a service uses, and uses every one that it declares', () => {
    const named = services.flatMap(([, { volumes = [] }]) =>
      volumes.map((volume) => volume.split(':')[0]!).filter((source) => !source.startsWith('.')),
    );
    const secrets = services.flatMap(([, service]) => service.secrets ?? []);
    const configs = services.flatMap(([, service]) => (service.configs ?? []).map(({ source }) => source));

    expect(new Set(named)).toEqual(new Set(Object.keys(compose.volumes)));
    expect(new Set(secrets)).toEqual(new Set(Object.keys(compose.secrets)));
    expect(new Set(configs)).toEqual(new Set(Object.keys(compose.configs)));
  });

  it('opens ports on loopback alone, and none of Temporal’s own', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? []);

    expect(ports.length).toBeGreaterThan(0);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
    expect(compose.services['temporal']?.ports).toBeUndefined();
  });

  it('holds no password', () => {
    const written = services.flatMap(([, { environment = {} }]) => Object.keys(environment));

    expect(written.filter((name) => /PASSWORD|PWD|SECRET|TOKEN$/.test(name))).toEqual([]);
    for (const name of ['postgresql', 'schema', 'temporal'])
      expect(compose.services[name]?.env_file).toEqual(['postgres.env']);
  });

  it('pins every image that it pulls to a version', () => {
    const pulled = services
      .filter(([, service]) => service.build === undefined)
      .map(([, service]) => service.image ?? '');

    for (const image of pulled) expect(image).toMatch(/:\d+(\.\d+)*$/);
  });

  it('lets workers be scaled: no fixed name, no port, a home that they share with the server', () => {
    const { server, worker } = compose.services;

    expect(worker?.container_name).toBeUndefined();
    expect(worker?.ports).toBeUndefined();
    expect(worker?.image).toBe(server?.image);
    for (const name of ['TEMPORAL_ADDRESS', 'TEMPORAL_NAMESPACE', 'CUTOVER_HOME', 'CUTOVER_TOKEN_FILE']) {
      expect(worker?.environment?.[name]).toBe(server?.environment?.[name]);
    }
    expect(worker?.volumes).toContain('cutover:/var/lib/cutover');
    expect(server?.volumes).toContain('cutover:/var/lib/cutover');
  });
});

describe('Dockerfile', () => {
  const instructions = read('Dockerfile')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => /^[A-Z]+ /.test(line));
  const of = (name: string) =>
    instructions.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));

  it('runs the CLI without privileges, on the Node major that the packages are pinned to', () => {
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: { node: string } };

    expect(of('FROM')).toEqual([`node:${dependencies.node.split('.')[0]}-slim`]);
    expect(of('USER')).toEqual(['node']);
    expect(instructions.indexOf('USER node')).toBeGreaterThan(
      instructions.findLastIndex((line) => line.startsWith('RUN ')),
    );
    expect(of('ENTRYPOINT')).toEqual(['["/app/bin/cutover"]']);
    expect(existsSync(new URL('bin/cutover', root))).toBe(true);
  });

  it('copies files that exist', () => {
    const sources = of('COPY').flatMap((line) => line.split(/\s+/).slice(0, -1));

    for (const source of sources) expect(existsSync(new URL(source, root)), source).toBe(true);
  });
});

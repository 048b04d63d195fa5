import { CutoverError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { kinds } from './kinds.ts';
import { createdBy, createdFrom } from './marks.ts';
import { codeOf } from './transport.ts';
import type { KubernetesClient, KubernetesObject } from './types.ts';

/**
 * The lock of a cluster that several installations of Cutover can reach: a Lease in kube-system, as leader election keeps
 * one. Who holds it renews it; every write is conditional on the resourceVersion that was read, so of two writers one loses.
 * Nobody compares clocks: a holder is dead when the lease was seen unchanged for its whole duration (client-go,
 * tools/leaderelection, does the same), and even then only a person takes it over.
 */
export const leaseRef = { ...kinds.lease, namespace: 'kube-system', name: 'cutover' } as const;

/** A holder that has not renewed for so long may be taken over. */
export const leaseDurationMs = 60_000;
export const renewEveryMs = 10_000;
/**
 * What this process renewed within that time is still its own, without asking: nobody takes over a lease that changed within
 * `leaseDurationMs`, and the difference is for the request that then begins.
 */
export const trustMs = 20_000;

export interface Holder {
  installation: string;
  migration: string;
  /** Who launched it. */
  person: string;
}

export interface Lease extends Holder {
  /** False once it was given back; the rest then says who held it last. */
  held: boolean;
  /** By the holder's clock. */
  since: string;
  renewedAt: string;
  /** How often it went from one installation to another. */
  transitions: number;
}

const annotation = {
  installation: createdFrom,
  migration: createdBy,
  person: 'cutover.dev/person',
} as const;

/** Of an object that somebody else wrote, the holder stands for the installation: it is in any case not us. */
export function readLease({ metadata, spec }: KubernetesObject): Lease {
  const { annotations = {} } = metadata;
  const holder = String(spec?.holderIdentity ?? '');
  return {
    installation: annotations[annotation.installation] ?? holder,
    migration: annotations[annotation.migration] ?? '',
    person: annotations[annotation.person] ?? '',
    held: holder !== '',
    since: String(spec?.acquireTime ?? ''),
    renewedAt: String(spec?.renewTime ?? ''),
    transitions: Number(spec?.leaseTransitions ?? 0),
  };
}

/** A merge patch of the Lease, or what it is created from. */
type Change = { metadata?: { annotations: { [key: string]: string } }; spec: JsonObject };

/** metav1.MicroTime: exactly six digits. */
const microTime = (now: number): string => new Date(now).toISOString().replace('Z', '000Z');

function acquired(lease: Lease | undefined, me: Holder, now: number): Change {
  const moved = lease !== undefined && lease.installation !== me.installation;
  return {
    metadata: {
      annotations: {
        [annotation.installation]: me.installation,
        [annotation.migration]: me.migration,
        [annotation.person]: me.person,
      },
    },
    spec: {
      holderIdentity: `${me.installation}/${me.migration}`,
      leaseDurationSeconds: leaseDurationMs / 1000,
      acquireTime: microTime(now),
      renewTime: microTime(now),
      leaseTransitions: (lease?.transitions ?? 0) + (moved ? 1 : 0),
    },
  };
}

const holds = (lease: Lease, me: Pick<Holder, 'installation' | 'migration'>): boolean =>
  lease.held && lease.installation === me.installation && lease.migration === me.migration;

/**
 * What the holder writes to go on holding it. A lease that is not there is made: a person has deleted it, or the migration
 * is older than leases.
 *
 * @param isOver whether another migration of this installation has ended, or never began
 * @throws CutoverError LeaseLost
 */
export function renewal(
  lease: Lease | undefined,
  me: Holder,
  isOver: (migration: string) => boolean,
  now: number,
): Change {
  if (lease === undefined) return acquired(lease, me, now);
  if (holds(lease, me)) return { spec: { renewTime: microTime(now) } };
  const sameInstallation = lease.installation === me.installation;
  if (sameInstallation && lease.migration !== me.migration && (!lease.held || isOver(lease.migration)))
    return acquired(lease, me, now);
  throw new CutoverError(
    'LeaseLost',
    sameInstallation
      ? lease.held
        ? `${lease.migration} of this installation holds the lease of the cluster, not ${me.migration}`
        : `${me.migration} has ended and given the lease of the cluster back`
      : `${wordsOf(lease)} took this cluster over at ${time(lease.since)}${lease.held ? '' : ' and has ended since'}; ${me.migration} does nothing more there`,
    sameInstallation
      ? { details: { ...lease } }
      : {
          remedy: `ask ${lease.person || 'the people there'} what was done since; end this one with \`cutover abort --mode hold\`, then plan again`,
          details: { ...lease },
        },
  );
}

/**
 * What a launch writes to take it.
 *
 * @param overridden the holder that was seen not to renew, when a person asked to take over from it
 * @throws CutoverError LeaseHeld | MigrationRunning
 */
export function taking(
  lease: Lease | undefined,
  me: Holder,
  isOver: (migration: string) => boolean,
  now: number,
  overridden?: Lease,
): Change {
  if (lease === undefined || !lease.held || holds(lease, me)) return acquired(lease, me, now);
  if (lease.installation === me.installation) {
    if (isOver(lease.migration)) return acquired(lease, me, now);
    throw new CutoverError('MigrationRunning', `${lease.migration} is under way on this cluster`, {
      details: { migration: lease.migration },
    });
  }
  if (overridden && sameTerm(lease, overridden)) return acquired(lease, me, now);
  throw new CutoverError(
    'LeaseHeld',
    overridden
      ? `${wordsOf(lease)} still holds this cluster: it renewed its lease at ${time(lease.renewedAt)}, while this was waiting for it to expire`
      : `${wordsOf(lease)} holds this cluster since ${time(lease.since)}, and last renewed its lease at ${time(lease.renewedAt)}`,
    {
      remedy: overridden
        ? 'stop its workers first, or let it end'
        : 'work there; if that installation is gone for good, repeat the launch with --take-over and --reason "why"',
      details: { ...lease },
    },
  );
}

/** Whether nothing was written between two looks. */
export const sameTerm = (a: Lease, b: Lease): boolean =>
  a.installation === b.installation &&
  a.migration === b.migration &&
  a.since === b.since &&
  a.renewedAt === b.renewedAt &&
  a.held === b.held;

/** What the end of a migration writes; undefined when it is no longer its own. The rest stays: it says who was here last. */
export const givingBack = (lease: Lease | undefined, me: Pick<Holder, 'installation' | 'migration'>, now: number) =>
  lease !== undefined && holds(lease, me) ? { spec: { holderIdentity: '', renewTime: microTime(now) } } : undefined;

const maxTries = 8;

/**
 * Reads the lease, lets `change` say what to write (nothing when undefined), and writes it only when it is still as it was
 * read.
 *
 * @returns the lease as it was read
 * @throws what `change` throws; CutoverError ClusterUnreachable | KubernetesRefused
 */
export async function writeLease(
  client: KubernetesClient,
  change: (lease: Lease | undefined) => Change | undefined,
): Promise<Lease | undefined> {
  for (let tried = 1; ; tried++) {
    const found = await client.get(leaseRef);
    const lease = found && readLease(found);
    const next = change(lease);
    if (next === undefined) return lease;
    try {
      const { resourceVersion } = found?.metadata ?? {};
      if (resourceVersion === undefined) await client.create(objectOf(next));
      else
        await client.mergePatch(leaseRef, {
          ...(next as JsonObject),
          metadata: { ...next.metadata, resourceVersion },
        });
      return lease;
    } catch (error) {
      // Written or deleted by another in between: what holds now is read again.
      if (![404, 409].includes(codeOf(error)) || tried >= maxTries) throw error;
    }
  }
}

const objectOf = ({ metadata, spec }: Change): KubernetesObject => ({
  apiVersion: leaseRef.apiVersion,
  kind: leaseRef.kind,
  metadata: { name: leaseRef.name, namespace: leaseRef.namespace, ...metadata },
  spec,
});

const wordsOf = ({ installation, migration, person }: Lease): string =>
  `${migration === '' ? 'a program' : migration} of installation ${installation}${person === '' ? '' : ` (launched by ${person})`}`;

const time = (at: string): string => (at === '' ? 'an unknown time' : at.replace(/\.\d+Z$/, 'Z'));

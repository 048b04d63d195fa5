/**
 * Versions that are known to be trouble, or the least that a route needs, as data: what `versions` and `kernel` judge by.
 * Each row has its source; a row without one does not belong here. Sections are those of the migration facts.
 */
export interface KnownVersion {
  component: Component;
  /** It concerns versions from this one on; from the first one when absent. */
  from?: string;
  /** And below this one. */
  below: string;
  /** `-el8` kernels and the like, to which the row does not apply. */
  except?: RegExp;
  verdict: 'warn' | 'block';
  /** What goes wrong: `makes a new MAC …`. */
  says: string;
  remedy: string;
  source: string;
}

export type Component = 'kubernetes' | 'flannel' | 'calico' | 'kernel';

export const knownVersions: readonly KnownVersion[] = [
  {
    component: 'kubernetes',
    below: '1.22.0',
    verdict: 'block',
    says: 'has no policy/v1 Eviction, by which pods are moved',
    remedy: 'upgrade the control plane first',
    source: 'Kubernetes deprecated API migration guide, v1.25: policy/v1 Eviction is available since v1.22',
  },
  {
    component: 'flannel',
    below: '0.9.1',
    verdict: 'block',
    says: 'does not write its VXLAN identity onto the nodes, which Calico has to take over',
    remedy: 'upgrade Flannel first',
    source: "Calico's documentation, migration from Flannel: 0.9.1 or later (§2.1, §3.1)",
  },
  {
    component: 'flannel',
    from: '0.9.1',
    below: '0.25.2',
    verdict: 'warn',
    says: 'makes a new VXLAN MAC at each start: after a rollback, nodes on Calico would send to the old one',
    remedy: 'upgrade Flannel to 0.25.2 or later first, or go without rollback of single nodes',
    source: '§2.1, rollback: flannel reuses the MAC of its annotation since 0.25.2',
  },
  {
    component: 'calico',
    below: '3.29.0',
    verdict: 'warn',
    says: 'is older than 3.29 and gets no corrections any more',
    remedy: 'take manifests of a release that is still maintained; this one works, but plan its upgrade',
    source: '§3.1; 3.28.5 is what was measured (§0a)',
  },
  {
    component: 'kernel',
    below: '5.10.0',
    except: /^4\.18\.0-.*\.el8/,
    verdict: 'warn',
    says: "is older than 5.10, the least that Calico's documentation names",
    remedy: 'upgrade the kernel of these nodes, or try the plan on one of them first',
    source: '§3.26',
  },
];

/** Numbers of a version: `v1.34.10+k3s1` -> [1, 34, 10]; undefined when it begins with none. */
export function versionNumbers(text: string): number[] | undefined {
  const match = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?/.exec(text);
  return match === null ? undefined : match.slice(1).map((part) => Number(part ?? 0));
}

/** Less than 0 when `a` is the older one. Versions that cannot be read are equal to everything. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [versionNumbers(a), versionNumbers(b)];
  if (left === undefined || right === undefined) return 0;
  const at = left.findIndex((part, index) => part !== right[index]);
  return at < 0 ? 0 : left[at]! - right[at]!;
}

/** The rows that speak of this version, the worst first. */
export const troubleWith = (component: Component, version: string): KnownVersion[] =>
  knownVersions
    .filter(
      (row) =>
        row.component === component &&
        row.except?.test(version) !== true &&
        compareVersions(version, row.below) < 0 &&
        (row.from === undefined || compareVersions(version, row.from) >= 0),
    )
    .toSorted((a, b) => a.verdict.localeCompare(b.verdict));

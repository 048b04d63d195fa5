import { imagesOf } from '../plan/images.ts';
import { findRoute } from '../routes/index.ts';
import { readBundle } from '../plan/bundle.ts';
import type { BundleFile } from '../plan/bundle.ts';
import type { CompiledPlan } from '../plan/types.ts';
import { captureReports } from '../report/captures.ts';
import { makeReport } from '../report/model.ts';
import type { CaptureReport, Report } from '../report/types.ts';
import type { Store } from '../store/types.ts';
import { planOfMigration } from './migration-views.ts';

const titleOf = (route: string): string => findRoute(route)?.title ?? route;

/** @param id as `resolveMigration` answers it */
export function reportOf(store: Store, id: string): Report {
  const { plan, planHash } = planOfMigration(store, id);
  const records = store.records({ migration: id });
  const launchedAt = records.find(({ kind }) => kind === 'migration.requested')?.at;
  const preflight = store
    .records({ kind: ['preflight.ended'] })
    .findLast((record) => record.planHash === planHash && (launchedAt === undefined || record.at <= launchedAt));
  return makeReport({
    plan,
    records,
    preflight,
    images: bundledImages(store, plan),
    titleOf,
    verified: store.verify(),
    now: Date.now(),
  });
}

/** What was measured before and after each stage, and what that says. */
export function viewCaptures(store: Store, id: string): CaptureReport[] {
  const { plan } = planOfMigration(store, id);
  return captureReports(plan, store.records({ migration: id, kind: ['step.ended'] }), titleOf);
}

/** Images that the bundles' DaemonSets bring; a bundle that is gone from the store or cannot be read brings none. */
function bundledImages(store: Store, plan: CompiledPlan): string[] {
  return Object.values(plan.bundles).flatMap(({ sha256 }) => {
    const document = store.getDocument<{ files: BundleFile[] }>('bundle', sha256);
    try {
      return readBundle(document?.files ?? [])
        .filter(({ kind }) => kind === 'DaemonSet')
        .flatMap(imagesOf);
    } catch {
      return [];
    }
  });
}

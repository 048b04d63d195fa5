import type { Evidence, ObserveInput, PolicyReportInput, TakeLeaseInput, TakenLease } from '../activities/types.ts';
import { inspecting } from './stubs.ts';

/** Reads the cluster for the compiler; only the worker touches it. Answers the digest under which the facts are stored. */
export function observeCluster(input: ObserveInput): Promise<{ factsSha256: string }> {
  return inspecting.observeCluster(input);
}

/** Judges the policies of the cluster of a stored plan. Answers the digest under which the report is stored. */
export function policyReport(input: PolicyReportInput): Promise<{ reportSha256: string }> {
  return inspecting.policyReport(input);
}

/** Runs the preflight checks of a stored plan. Changes nothing. */
export function preflight(input: { planHash: string }): Promise<Evidence> {
  return inspecting.preflight(input);
}

/** Takes the lease of a cluster, before its migration is started. */
export function takeLease(input: TakeLeaseInput): Promise<TakenLease> {
  return inspecting.takeLease(input);
}

/** Gives it back, when the migration did not start after all. */
export function giveBackLease(input: { planHash: string; migration: string }): Promise<void> {
  return inspecting.giveBackLease(input);
}

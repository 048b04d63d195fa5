import type { Evidence, ObserveInput, PolicyReportInput } from '../activities/types.ts';
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

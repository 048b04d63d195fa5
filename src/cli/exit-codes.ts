/** 0 and 1 and 2 always; the others only with --detailed-exitcode, since naive scripts take any of them for a failure. */
export const exitCodes = {
  ok: 0,
  error: 1,
  usage: 2,
  changesPending: 10,
  waitingAtGate: 11,
  rejected: 12,
  rolledBack: 13,
  blockedByPreflight: 14,
  timeout: 124,
} as const;

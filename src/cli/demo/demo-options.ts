export interface DemoOptions {
  /** A person decides at the gates. */
  interactive: boolean;
  /** Keeps the folder with logs and records. */
  keep: boolean;
  /** Name of the simulated cluster. */
  scenario: string;
  /** 0 for no limit. */
  timeoutSeconds: number;
}

/** Launches; somebody else has to approve. */
export const requester = 'ana';
export const approver = 'ben';

/** What is asked. The first four have two ends, so they are asked in every direction; the others only from somewhere. */
export const matrixColumns = [
  'pod',
  'mtu',
  'node-port',
  'egress',
  'dns',
  'cluster-ip',
  'hairpin',
  'api-server',
] as const;
export type MatrixColumn = (typeof matrixColumns)[number];

export type MatrixCell = { asked: number; failed: number };
/** By row (`flannel -> calico`, or `flannel` for what has one end only) and column; a cell that is missing was not asked. */
export type Matrix = { [row: string]: { [column in MatrixColumn]?: MatrixCell } };

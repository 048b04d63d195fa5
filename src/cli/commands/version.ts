import type { Register } from '../command.ts';
import { printObject } from '../output.ts';
import { cutoverVersion } from '../version.ts';

export const version: Register = (command, cli) => {
  command.action(async () => {
    const found = { cutover: cutoverVersion(), node: process.versions.node };
    await printObject(cli, found, found.cutover, () => [`cutover ${found.cutover} (node ${found.node})`]);
  });
};

import type { VerbModel } from './model.ts';
import {
  confFiles,
  confFolder,
  confNetwork,
  failure,
  fenceNetwork,
  loadedText,
  replaceFile,
  waitLoaded,
} from './model.ts';
import { number, plainName } from './input.ts';

const fenceConf = `{"cniVersion":"0.3.1","name":"${fenceNetwork}","plugins":[{"type":"${fenceNetwork}"}]}\n`;

/** Model of fence.sh. */
export const fence: VerbModel<'fence'> = async (run, input) => {
  const { node } = run;
  const confName = plainName(input, 'confName');
  const seconds = number(input, 'waitSeconds');
  const conf = `${confFolder}/${confName}`;
  const existed = confNetwork(node, conf) === fenceNetwork;
  if (!existed) {
    run.guard();
    replaceFile(node, conf, fenceConf);
  }
  const first = confFiles(node)[0] ?? '';
  if (first !== conf) {
    throw failure(
      'FenceNotFirst',
      `the fence ${confName} does not come first in ${confFolder}: ${first.split('/').pop()} does`,
    );
  }
  if (!(await waitLoaded(run, fenceNetwork, seconds))) {
    throw failure(
      'NotLoaded',
      `after ${seconds} s the runtime has not loaded the fence ${confName}; it has: ${loadedText(node)}`,
    );
  }
  return { loaded: [...node.loadedNetworks], existed };
};

/** Model of unfence.sh. */
export const unfence: VerbModel<'unfence'> = async (run, input) => {
  const { node } = run;
  const confName = plainName(input, 'confName');
  const expect = plainName(input, 'expect');
  const seconds = number(input, 'waitSeconds');
  const conf = `${confFolder}/${confName}`;
  const existed = node.files.has(conf);
  if (existed) {
    if (confNetwork(node, conf) === expect)
      throw failure('WrongConf', `${confName} is the conf of ${expect} itself: it stays`);
    run.guard();
    node.unlink(conf);
  }
  const kubeconfig = `${confFolder}/calico-kubeconfig`;
  if (node.files.has(kubeconfig)) {
    run.guard();
    node.unlink(kubeconfig);
  }
  if (!(await waitLoaded(run, expect, seconds))) {
    throw failure('NotLoaded', `after ${seconds} s the runtime has not loaded ${expect}; it has: ${loadedText(node)}`);
  }
  return { loaded: [...node.loadedNetworks], existed };
};

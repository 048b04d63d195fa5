import { calico } from '../names.ts';
import { loadedNetwork } from './loaded-network.ts';

export const runtimeLoadedCalico = loadedNetwork(
  'runtime-loaded-calico',
  "The runtime uses Calico's conf",
  calico.network,
);

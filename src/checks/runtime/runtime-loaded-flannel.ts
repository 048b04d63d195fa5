import { flannel } from '../names.ts';
import { loadedNetwork } from './loaded-network.ts';

export const runtimeLoadedFlannel = loadedNetwork(
  'runtime-loaded-flannel',
  "The runtime uses Flannel's conf",
  flannel.network,
);

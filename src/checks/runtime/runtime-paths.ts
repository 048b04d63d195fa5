import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { notAsked, saying, unasked } from '../surveyed.ts';

type Facts = {
  nodes: number;
  /** `worker-1: docker://20.10`. */
  otherRuntime: string[];
  otherPaths: string[];
  severalConfs: string[];
  unknown: string[];
};

const confDir = '/etc/cni/net.d';
const binDir = '/opt/cni/bin';

/** The container runtime is one that loads confs by itself, from the folder that both networks write to. */
export const runtimePaths = defineCheck<Facts>({
  id: 'runtime-paths',
  layer: 'runtime',
  title: 'The runtime reads the folders that the networks write',
  scope: 'cluster',
  ask: async ({ nodeObjects, surveyAll }) => {
    const [nodes, surveyed] = await Promise.all([nodeObjects(), surveyAll()]);
    return {
      nodes: surveyed.length,
      otherRuntime: nodes.flatMap((node) => {
        const version = String(node['status']?.nodeInfo?.containerRuntimeVersion ?? '');
        return version === '' || /^(containerd|cri-o):\/\//.test(version) ? [] : [`${node.metadata.name}: ${version}`];
      }),
      otherPaths: saying(surveyed, ({ confDir: confs, binDirs }) =>
        [
          confs !== '' && confs !== confDir && `confs in ${confs}`,
          binDirs.length > 0 && !binDirs.includes(binDir) && `plugins in ${binDirs.join(' ')}`,
        ]
          .filter((each) => each !== false)
          .join(', '),
      ),
      severalConfs: saying(
        surveyed,
        ({ maxConfNum }) => (maxConfNum === 0 || maxConfNum > 1) && `max_conf_num ${maxConfNum}`,
      ),
      unknown: unasked(surveyed),
    };
  },
  judge: ({ nodes, otherRuntime, otherPaths, severalConfs, unknown }) => {
    if (otherRuntime.length > 0) {
      return block(
        `the runtime of ${count(otherRuntime.length, 'node')} of ${nodes} is neither containerd nor CRI-O: ${some(otherRuntime)}`,
        {
          remedy:
            'move these nodes to containerd first: with dockershim kubelet itself keeps the conf that it read at its start',
        },
      );
    }
    if (otherPaths.length > 0) {
      return block(
        `the runtime looks elsewhere than in ${confDir} and ${binDir} on ${count(otherPaths.length, 'node')} of ${nodes}: ${some(otherPaths)}`,
        {
          remedy: 'set conf_dir and bin_dir of the runtime to these folders: what is written there would never be read',
        },
      );
    }
    if (unknown.length > 0) return block(...notAsked(unknown, nodes));
    if (severalConfs.length > 0) {
      return warn(
        `the runtime loads more than one conf at a time on ${count(severalConfs.length, 'node')} of ${nodes}: ${some(severalConfs)}`,
        {
          remedy: 'set max_conf_num to 1: with more, pods get an interface of each network while both confs are there',
        },
      );
    }
    return pass(`the runtimes of all ${nodes} nodes read ${confDir} and ${binDir}`);
  },
});

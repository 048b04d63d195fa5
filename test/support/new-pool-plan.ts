/** The range that no plan of another test knows. */
export const newPool = '10.245.0.0/16';

const stage = `    - route: calico-vxlan-to-bgp
      bgp:
        soak: 0s
        stable: 1s
        gates: { approvals: 1 }
        newPool: { cidr: ${newPool} }
`;

/** No clusterCIDR here has both pools. */
const known = (yaml: string): string =>
  yaml.replace(
    'acknowledge:\n',
    "acknowledge:\n    - { id: kube-proxy, reason: 'no policy here looks at who asks a Service' }\n",
  );

/** A second stage that moves every node to a new pool. */
export const thenNewPool = (yaml: string): string => known(yaml.replace('  strategy:\n', `${stage}  strategy:\n`));

/** That stage alone. */
export const onlyNewPool = (yaml: string): string =>
  known(yaml.replace(/ {2}stages:\n[\s\S]*? {2}strategy:\n/, `  stages:\n${stage}  strategy:\n`));

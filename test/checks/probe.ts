/** What the cases probe with. The ports are free in the simulator's scenarios and in the lab. */
export const probe = {
  image: 'registry.k8s.io/e2e-test-images/agnhost:2.53',
  namespace: 'cutover-probe',
  hostPort: 18280,
  nodePort: 31280,
};

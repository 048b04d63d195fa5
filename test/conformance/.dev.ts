import { startTarget } from '/work/main/test/conformance/target.ts';
const t = await startTarget();
console.log(t.kubeconfig);

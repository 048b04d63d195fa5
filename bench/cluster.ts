import { startSimulation } from '../src/simulator/simulate.ts';

/** A simulated cluster in a process of its own, so that what it costs is not counted as the worker's. */
const simulation = await startSimulation(process.argv[2] ?? 'bench-50');
process.on('SIGTERM', () => void simulation.stop().then(() => process.exit(0)));
console.log(JSON.stringify({ kubeconfig: simulation.kubeconfig, sshConfig: simulation.sshConfig }));

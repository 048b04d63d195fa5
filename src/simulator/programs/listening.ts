import type { KubernetesObject } from '../types.ts';

interface ContainerSpec {
  image?: string;
  command?: string[];
  args?: string[];
  ports?: { containerPort: number; protocol?: string }[];
}

/** TCP and UDP ports of agnhost netexec in this pod. */
export function netexecPorts(pod: KubernetesObject): { tcp: number[]; udp: number[] } {
  const tcp: number[] = [];
  const udp: number[] = [];
  for (const { image = '', command = [], args = [] } of pod['spec'].containers as ContainerSpec[]) {
    const words = [...command, ...args];
    if (!image.includes('agnhost') || !words.includes('netexec')) continue;
    const flag = (name: string, otherwise: string) =>
      words.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3) ??
      words[words.indexOf(`--${name}`) + 1 || words.length] ??
      otherwise;
    tcp.push(Number(flag('http-port', '8080')));
    udp.push(
      ...flag('udp-port', '8081')
        .split(',')
        .map(Number)
        .filter((port) => port > 0),
    );
  }
  return { tcp, udp };
}

/** Whether anything in the pod takes TCP connections on that port. */
export function listens(pod: KubernetesObject, port: number, protocol: 'tcp' | 'udp' = 'tcp'): boolean {
  if (netexecPorts(pod)[protocol].includes(port)) return true;
  return (pod['spec'].containers as ContainerSpec[]).some(({ ports = [] }) =>
    ports.some((each) => each.containerPort === port && (each.protocol ?? 'TCP').toLowerCase() === protocol),
  );
}

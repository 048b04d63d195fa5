import { count, defineCheck, pass, some, warn } from '../define.ts';

type Facts = { services: number; sticky: string[] };

/** Services that keep a client with one pod: the client loses that pod, and what it remembered, when its node migrates. */
export const sessionAffinity = defineCheck<Facts>({
  id: 'session-affinity',
  layer: 'cluster',
  title: 'No Service binds clients to one pod',
  scope: 'cluster',
  ask: async ({ all, plan }) => {
    const services = await all({ apiVersion: 'v1', kind: 'Service' });
    return {
      services: services.length,
      sticky: services
        // The probes have one of their own, for the check `affinity`.
        .filter(
          ({ metadata, spec }) => spec?.sessionAffinity === 'ClientIP' && metadata.namespace !== plan.probe.namespace,
        )
        .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
    };
  },
  judge: ({ services, sticky }) =>
    sticky.length > 0
      ? warn(
          `${count(sticky.length, 'Service')} with sessionAffinity ClientIP: sessions end as pods move, and new ones follow the source address that the new network shows: ${some(sticky)}`,
          { remedy: 'tell the owners; where sessions must survive, keep them outside of the pod' },
        )
      : pass(`none of ${count(services, 'Service')} has sessionAffinity`),
});

# Cutover: one image for the server, the workers and the CLI. Everything runs from source; there is no build step.
#
# Not built yet: there was no Docker engine where this was written. test/tooling/compose.test.ts reads it, no more.
FROM node:24-slim

# TLS to the Kubernetes API and to registries of CAs that a kubeconfig names.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /app

# First the packages: this layer stays as long as the lock file does. Install scripts that may run are listed in
# package.json (allowScripts); glibc is needed, Temporal's native core has no build for musl.
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --no-audit --no-fund

COPY . .

# Plans, records and the token live here; a named volume takes over the owner of this folder.
RUN install --directory --owner=node --group=node --mode=0700 /var/lib/cutover
ENV CUTOVER_HOME=/var/lib/cutover \
    NODE_ENV=production
VOLUME /var/lib/cutover

USER node
ENTRYPOINT ["/app/bin/cutover"]
CMD ["--help"]

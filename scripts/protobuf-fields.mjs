#!/usr/bin/env node
/**
 * Writes src/simulator/api/protobuf-fields.txt: which field has which number in the protobuf form of Kubernetes
 * objects, as the generated.proto files of k8s.io/api and k8s.io/apimachinery (Apache-2.0) say.
 * Run it by hand when the simulator has to read a newer version of the API; nothing else calls it, and the result is
 * kept in the repository. The two folders are the Go modules of that version, as `go mod download` leaves them.
 * Usage: scripts/protobuf-fields.mjs <k8s.io/api folder> <k8s.io/apimachinery folder>
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Groups whose objects clients may send; what these objects refer to comes along. */
const ROOTS =
  /^(core\.v1\.(Namespace|Node|Pod|Service|Endpoints|Event|ConfigMap|Secret|ServiceAccount|Binding)|apps\.v1\.(Deployment|DaemonSet|ReplicaSet|StatefulSet|ControllerRevision)|batch\.v1\.Job|policy\.v1\.(Eviction|PodDisruptionBudget)|rbac\.v1\.(Role|ClusterRole|RoleBinding|ClusterRoleBinding)|authorization\.v1\.\w+Review|authentication\.v1\.SelfSubjectReview|coordination\.v1\.Lease|discovery\.v1\.EndpointSlice|networking\.v1\.NetworkPolicy|scheduling\.v1\.PriorityClass|events\.v1\.Event|admissionregistration\.v1\.\w+WebhookConfiguration|autoscaling\.v1\.Scale|meta\.v1\.DeleteOptions)$/;

const [api, machinery] = process.argv.slice(2);
if (api === undefined || machinery === undefined) {
  process.stderr.write('usage: scripts/protobuf-fields.mjs <k8s.io/api folder> <k8s.io/apimachinery folder>\n');
  process.exit(2);
}

/** @type {Map<string, string[]>} */
const messages = new Map();
for (const folder of [api, machinery]) {
  for (const file of await readdir(folder, { recursive: true })) {
    if (file.endsWith('generated.proto')) read(await readFile(join(folder, file), 'utf8'));
  }
}

/** @type {Set<string>} */
const reached = new Set();
for (const name of messages.keys()) if (ROOTS.test(name)) reach(name);
const lines = [...reached].toSorted().map((name) => [name, ...(messages.get(name) ?? [])].join(' '));
await writeFile('src/simulator/api/protobuf-fields.txt', `${lines.join('\n')}\n`);
process.stdout.write(`${lines.length} messages\n`);

/** @param {string} text */
function read(text) {
  const home = short(`${/^package ([\w.]+);/m.exec(text)?.[1]}.`);
  for (const [, name, body] of text.matchAll(/^message (\w+) \{([\s\S]*?)^\}/gm)) {
    const fields = [];
    const pattern = /^\s+(?:(optional|repeated) ([\w.]+)|map<string, ([\w.]+)>) (\w+) = (\d+);/gm;
    for (const [, label, type, value, field, number] of String(body).matchAll(pattern)) {
      const full = resolve(String(type ?? value), home);
      fields.push(`${number}:${field}:${full}${value === undefined ? (label === 'repeated' ? '[]' : '') : '{}'}`);
    }
    messages.set(`${home}${name}`, fields);
  }
}

/** @param {string} type @param {string} home */
function resolve(type, home) {
  if (/^(string|bytes|bool|double|u?int(32|64))$/.test(type)) return type;
  return type.includes('.') ? short(type.replace(/^\./, '')) : `${home}${type}`;
}

/** `k8s.io.api.core.v1.Pod` -> `core.v1.Pod`. @param {string} name */
function short(name) {
  return name.replace(/^k8s\.io\.api\./, '').replace(/^k8s\.io\.apimachinery\.pkg\.(apis\.|api\.|util\.)?/, '');
}

/** @param {string} name */
function reach(name) {
  if (reached.has(name) || !messages.has(name)) return;
  reached.add(name);
  for (const field of messages.get(name) ?? []) reach(String(field.split(':')[2]).replace(/(\[\]|\{\})$/, ''));
}

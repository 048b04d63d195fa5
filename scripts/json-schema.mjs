#!/usr/bin/env node
// Writes the JSON Schema of the plan file for editors; with --check only says whether the committed one is stale.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import prettier from 'prettier';
import { planJsonSchema } from '../src/plan/schema.ts';

const target = fileURLToPath(new URL('../plans/migration-plan.schema.json', import.meta.url));
const options = await prettier.resolveConfig(target);
const text = await prettier.format(JSON.stringify(planJsonSchema()), { ...options, parser: 'json' });

if (!process.argv.includes('--check')) {
  await writeFile(target, text);
} else if ((await readFile(target, 'utf8').catch(() => '')) !== text) {
  console.error('plans/migration-plan.schema.json is stale: run `node scripts/json-schema.mjs`');
  process.exitCode = 1;
}

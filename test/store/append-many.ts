// Run by tests as a process of its own: appends records to the store at argv[2] until `count`, says so, and ends.
import { openStore } from '../../src/store/sqlite.ts';

const [path = '', name = '', count = '0'] = process.argv.slice(2);
const store = openStore(path);
process.stdout.write('ready\n');
await new Promise((resolve) => process.stdin.once('data', resolve));
for (let index = 0; index < Number(count); index++) {
  // Every third key is the same in every process: whoever comes second must get the first one's record.
  const key = index % 3 === 0 ? `shared-${index}` : `${name}-${index}`;
  const { seq } = store.append({
    key,
    kind: 'step.ended',
    at: new Date().toISOString(),
    actor: `worker:${name}`,
    migration: 'm',
    node: name,
    message: 'x'.repeat(200),
  });
  process.stdout.write(`${key} ${seq}\n`);
}
store.close();
process.stdin.destroy();

import { layers, type CheckResult } from '../../checks/types.ts';

/**
 * Checks as JUnit XML, which CI systems show: one test suite for each layer, one test case for each check. A block is a
 * failure; so is a warning that nobody has acknowledged, since a launch is refused for it. An acknowledged one is skipped, with
 * its reason. The format has no standard: this is the part that Jenkins, GitLab and GitHub's reporters agree on.
 */
export function junit(name: string, checks: readonly CheckResult[], at: string): string {
  const suites = [...new Set([...layers, ...checks.map(({ layer }) => layer)])]
    .map((layer) => ({ layer, ofLayer: checks.filter((check) => check.layer === layer) }))
    .filter(({ ofLayer }) => ofLayer.length > 0);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${attributes({ name, ...counts(checks) })}>`,
    ...suites.flatMap(({ layer, ofLayer }) => [
      `  <testsuite${attributes({ name: layer, ...counts(ofLayer), errors: 0, timestamp: at })}>`,
      ...ofLayer.flatMap((check) => testCase(check)),
      '  </testsuite>',
    ]),
    '</testsuites>',
  ].join('\n');
}

function testCase(check: CheckResult): string[] {
  const { id, layer, title, node, verdict, message, remedy, acknowledged } = check;
  const name = `${id}${node === undefined ? '' : ` on ${node}`}: ${title}`;
  const open = `    <testcase${attributes({ classname: `cutover.${layer}`, name })}`;
  if (isFailure(check))
    return [
      `${open}>`,
      `      <failure${attributes({ type: verdict, message })}>${escape(remedy ?? '')}</failure>`,
      '    </testcase>',
    ];
  if (acknowledged !== undefined)
    return [
      `${open}>`,
      `      <skipped${attributes({ message: `${message} (acknowledged: ${acknowledged})` })}/>`,
      '    </testcase>',
    ];
  return [`${open}>`, `      <system-out>${escape(message)}</system-out>`, '    </testcase>'];
}

const isFailure = ({ verdict, acknowledged }: CheckResult): boolean => verdict !== 'pass' && acknowledged === undefined;

const counts = (checks: readonly CheckResult[]) => ({
  tests: checks.length,
  failures: checks.filter(isFailure).length,
  skipped: checks.filter(({ acknowledged }) => acknowledged !== undefined).length,
});

const attributes = (values: { [name: string]: string | number }): string =>
  Object.entries(values)
    .map(([name, value]) => ` ${name}="${escape(String(value))}"`)
    .join('');

const entities: { [character: string]: string } = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/** Text for XML 1.0: what it cannot carry at all (most control characters, lone surrogates) becomes U+FFFD. */
const escape = (text: string): string =>
  text
    .toWellFormed()
    // oxlint-disable-next-line no-control-regex -- they are what is replaced
    .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
    .replaceAll(/[&<>"']/g, (character) => entities[character]!);

/** What curl prints for a command of `curlCommand`, when `answer` decides what each URL says; undefined is silence. */
export function fakeCurl(command: string[], answer: (url: string) => string | undefined) {
  const format = command[command.indexOf('-w') + 1]!.replaceAll('\\n', '\n');
  const line = (status: string, code: string, time: string) =>
    format.replace('%{http_code}', status).replace('%{exitcode}', code).replace('%{time_total}', time);
  let stdout = '';
  let stderr = '';
  for (const url of command.filter((word) => /^https?:/.test(word))) {
    const body = answer(url);
    stdout += body === undefined ? line('000', '28', '2.0') : body + line('200', '0', '0.001');
    if (body === undefined) stderr += 'curl: (28) Connection timed out\n';
  }
  return { stdout, stderr, exitCode: stderr === '' ? 0 : 28 };
}

/** Of `'curl' … || 'curl' …`: until one of them succeeds. */
export function fakeCurls(lines: string[], answer: (url: string) => string | undefined) {
  const all = { stdout: '', stderr: '', exitCode: 0 };
  for (const line of lines) {
    const { stdout, stderr, exitCode } = fakeCurl(line.slice(1, -1).split("' '"), answer);
    all.stdout += stdout;
    all.stderr += stderr;
    all.exitCode = exitCode;
    if (exitCode === 0) break;
  }
  return all;
}

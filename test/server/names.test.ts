import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hiddenCharacter, sameSubject } from '../../src/names.ts';
import { loadPlan } from '../../src/plan/load.ts';
import { validateDecision } from '../../workflows/gate.ts';
import type { DecideArgs, OpenGate } from '../../workflows/messages.ts';
import { gateSpec } from './fixture.ts';

describe('two names', () => {
  it.each([
    ['ana', 'Ana'],
    ['ana', ' ANA '],
    ['ana', 'a\u200bna'],
    ['ana', '\u202eana\u2069'],
    ['ana', 'an\u00ada'],
    ['ana', 'ａｎａ'],
    ['jürgen', 'Ju\u0308rgen'],
    ['straße', 'STRASSE'],
    ['ﬁn', 'FIN'],
    ['ΟΔΟΣ', 'οδος'],
    ['ana b', 'ana\u00a0\u3000b'],
  ])('are one person: %j and %j', (a, b) => expect(sameSubject(a, b)).toBe(true));

  it.each([
    ['ana', 'anna'],
    ['ana', 'аnа'], // Cyrillic
    ['ana b', 'anab'],
  ])('are two: %j and %j', (a, b) => expect(sameSubject(a, b)).toBe(false));
});

it('every control, bidi and zero-width character is hidden, and no letter is', () => {
  for (const code of [
    0x00, 0x0a, 0x1b, 0x7f, 0x80, 0x9b, 0xad, 0x61c, 0x200b, 0x200f, 0x202e, 0x2028, 0x2066, 0xfeff, 0xe0041,
  ])
    expect(hiddenCharacter(`a${String.fromCodePoint(code)}b`), code.toString(16)).toMatch(/^U\+/);
  for (const text of ['Jürgen Ō', '李雷', 'محمد', 'ana@example.com', 'no reason ✓ 🚀', '50 % of “it”'])
    expect(hiddenCharacter(text), text).toBeUndefined();
  expect(hiddenCharacter('a\nb\tc', { multiline: true })).toBeUndefined();
});

describe('a gate', () => {
  const gate = (change: Partial<OpenGate['spec']>, approvals: OpenGate['approvals'] = []): OpenGate => ({
    id: 'after-canary',
    spec: { ...gateSpec, ...change },
    openedAt: '',
    soakUntil: '',
    expiresAt: '',
    evidenceDigest: 'e',
    evidenceVerdict: 'pass',
    approvals,
  });
  const by = (actor: string): DecideArgs => ({
    gate: 'after-canary',
    verdict: 'approve',
    planHash: 'p',
    evidenceDigest: 'e',
    onReject: 'hold',
    actor,
    reason: '',
    at: '',
  });

  it.each(['Ana', 'ANA', 'a\u200dna', 'ａｎａ'])('is not approved by %j when ana launched', (actor) => {
    expect(() => validateDecision(gate({}), by(actor), 'ana', 'p')).toThrow(/launched this migration/);
  });

  it('takes one approval of one person, however they write themselves', () => {
    const open = gate({ approvals: 2 }, [{ actor: 'Ben', at: '', reason: '' }]);

    expect(() => validateDecision(open, by('BEN'), 'ana', 'p')).toThrow(/has approved gate after-canary already/);
  });

  it('knows its approvers, however they write themselves, and no others', () => {
    const open = gate({ approvers: ['Ben'] });

    validateDecision(open, by('ben'), 'ana', 'p');
    expect(() => validateDecision(open, by('bén'), 'ana', 'p')).toThrow(/not among the approvers/);
  });
});

describe('a plan', () => {
  const text = readFileSync(new URL('../../plans/flannel-to-calico.yaml', import.meta.url), 'utf8');
  const load = (approvers: string, approvals = 1) =>
    loadPlan(
      text
        .replace('approvers: [alice, bob]', `approvers: ${approvers}`)
        .replace(/approvals: 1/g, `approvals: ${approvals}`),
      { file: 'plan.yaml' },
    );

  it('that names one person twice has one approver', () => {
    expect(() => load('[ana, Ana]', 2)).toThrow(/asks for 2 approvals but names only 1 approver;/);
    load('[ana, ben]', 2);
  });

  it('with a character that nobody sees is refused, at its place', () => {
    expect(() => load('["an\\u200Ba"]')).toThrow(
      /^plan\.yaml:\d+:\d+: spec\.gates\.approvers\[0\] has a character that cannot be seen \(U\+200B\); type it again$/,
    );
    expect(() => loadPlan(text.replace('reason: Calico', 'reason: "\\e[31mfine" # '), { file: 'plan.yaml' })).toThrow(
      /cannot be seen \(U\+001B\)/,
    );
  });
});

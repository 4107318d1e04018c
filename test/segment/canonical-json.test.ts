import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/segment/canonical-json.ts';

/** jq's output, its final newline removed. */
function jq(json: string): string {
  const result = spawnSync('jq', ['-cS', '.'], { input: json, encoding: 'utf8' });
  expect(result.stderr).toBe('');
  return result.stdout.replace(/\n$/, '');
}

const hasJq = spawnSync('jq', ['--version']).status === 0;

describe('canonical JSON', () => {
  it('keys are sorted, nothing stands between tokens, absent values are left out', () => {
    expect(canonicalJson({ b: 1, a: [true, null, 'x'], c: { z: '', y: undefined } })).toBe('{"a":[true,null,"x"],"b":1,"c":{"z":""}}');
  });

  it('keys sort by the bytes of their UTF-8, not by UTF-16 units', () => {
    expect(canonicalJson({ '\u{1f600}': 1, '\uffee': 2, é: 3, z: 4 })).toBe('{"z":4,"é":3,"\uffee":2,"\u{1f600}":1}');
  });

  it('fractions, unsafe integers, minus zero and what JSON has no word for are E_INTERNAL and say where', () => {
    for (const value of [0.5, Number.NaN, 2 ** 53, -0, 1n, Symbol('x'), () => 1]) {
      expect(() => canonicalJson({ a: [{ b: value }] })).toThrow(
        expect.objectContaining({ code: 'E_INTERNAL', message: expect.stringContaining('.a[0].b') }),
      );
    }
  });

  it.skipIf(!hasJq)('jq -cS prints the same bytes for strings of every kind', () => {
    const strings = [
      '',
      'é',
      '日本',
      '\u{1f600}',
      '"\\/',
      '\b\f\n\r\t',
      '\u0001\u001f',
      '\u0080\u009f',
      '\u2028\u2029',
      '\ufeff',
      '</script>',
    ];
    const value = {
      strings,
      numbers: [0, -1, 2 ** 53 - 1, -(2 ** 53 - 1), 1e15],
      ...Object.fromEntries(strings.map((text, i) => [`k${text}`, i])),
    };
    expect(jq(canonicalJson(value))).toBe(canonicalJson(value));
    expect(jq(JSON.stringify(value, null, 2))).toBe(canonicalJson(value));
  });

  it('half a character becomes U+FFFD', () => {
    expect(canonicalJson({ a: '\ud800x' })).toBe('{"a":"\ufffdx"}');
  });

  it.skipIf(!hasJq)('jq -cS prints the same bytes for any document', () => {
    const text = fc.string({ unit: 'grapheme' }).filter((one) => !one.includes('\x7f'));
    const document = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        text,
        fc.maxSafeInteger().map((n) => (n === 0 ? 0 : n)),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('value')),
        fc.dictionary(text, tie('value')),
      ),
    })).value;
    // One jq for many documents: it is started once.
    const samples = fc.sample(document, 300);
    const lines = jq(samples.map((one) => JSON.stringify(one)).join('\n')).split('\n');
    expect(lines).toEqual(samples.map((one) => canonicalJson(one)));
  });
});

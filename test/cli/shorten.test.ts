// Names on a terminal: bytes become text, nothing moves the cursor, nothing is wider than it should be.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { displayPath, shorten, textWidth } from '../../src/cli/shorten.ts';

/** As sources give paths. */
const bytePath = (text: string): string => Buffer.from(text).toString('latin1');

describe('a path for people', () => {
  it.each([
    ['UTF-8', bytePath('img/été/猫.jpg'), 'img/été/猫.jpg'],
    ['bytes that are no UTF-8', 'caf\u00e9/x', 'café/x'],
    ['a name that is text already', '注文', '注文'],
    ['plain ASCII', 'img/p/1-home.jpg', 'img/p/1-home.jpg'],
    ['a newline and an escape', 'a\nb\u001b[2Jc', 'a\\x0ab\\x1b[2Jc'],
    ['an escape of one byte', 'a\u009b2J', 'a\\x9b2J'],
    ['text turned around', bytePath('a\u202egpj.exe'), 'a?gpj.exe'],
    ['half a surrogate pair', 'a\ud800b', 'a\ufffdb'.replace('\ufffd', '?')],
  ])('%s', (_what, path, shown) => {
    expect(displayPath(path)).toBe(shown);
  });

  it('any bytes - hold no control character afterwards', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
        expect(displayPath(Buffer.from(bytes).toString('latin1'))).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/);
      }),
    );
  });
});

describe('shortened', () => {
  it.each([
    ['img/p/1/2/12-home.jpg', 30, 'img/p/1/2/12-home.jpg'],
    ['img/p/1/2/12-home.jpg', 12, '…12-home.jpg'],
    ['img/猫猫猫', 8, '…/猫猫猫'],
    ['img/猫猫猫', 7, '…猫猫猫'],
    ['img/猫猫猫', 6, '…猫猫'],
    ['abc', 1, '…'],
    ['abc', 0, ''],
  ])('%s in %d columns - %s', (text, columns, shown) => {
    expect(shorten(text, columns)).toBe(shown);
  });

  it('anything - fits, and is an end of what it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.integer({ min: 1, max: 40 }), (text, columns) => {
        const shown = shorten(text, columns);
        expect(textWidth(shown)).toBeLessThanOrEqual(columns);
        expect(text.endsWith(shown.replace(/^…/, ''))).toBe(true);
      }),
    );
  });
});

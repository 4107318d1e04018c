// Which values of two settings files end up in the one: those of the machine, with those that the database was written with.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { phpSettings } from '../../../src/source/shop/php-settings.ts';
import { CONSTANTS, mergeSettings, PARAMETERS } from '../../../src/target/shop/settings-merge.ts';
import { settingsOf } from '../../servers/php-shop.ts';

const DATABASE = { socketPath: '/run/here.sock', name: 'here', user: 'here', password: "p'w\\1" };
const ELSEWHERE = { socketPath: '/run/there.sock', name: 'there', user: 'there', password: 'other' };
const RESTORED = { databaseRestored: true };
const NOT_RESTORED = { databaseRestored: false };

const file = (version: string, cookieKey: string, prefix: string, database = DATABASE): Buffer =>
  Buffer.from(settingsOf({ version, cookieKey, prefix, database }));

const parametersOf = (text: Buffer): Record<string, unknown> => {
  const { returned } = phpSettings(text.toString('latin1'));
  return Object.fromEntries((returned as Map<string, Map<string, unknown>>).get('parameters') ?? []);
};

describe('settings of two origins', () => {
  it('the same keys - the machine’s file, byte for byte', () => {
    const ours = file('8.1.2', 'same', 'ps_');
    expect(mergeSettings(PARAMETERS, ours, file('8.1.2', 'same', 'ps_', ELSEWHERE), RESTORED)).toEqual({
      is: 'kept',
      text: ours,
      taken: [],
    });
  });

  it('other keys and prefix, and the database comes too - those of the archive, all else the machine’s', () => {
    const ours = file('8.1.2', 'ours', 'ps_');
    const merged = mergeSettings(PARAMETERS, ours, file('8.1.2', "th\\eir's", 'old_', ELSEWHERE), RESTORED);
    if (merged.is !== 'merged') throw new Error(merged.is);
    expect(merged.taken).toEqual(['database_prefix', 'cookie_key', 'new_cookie_key']);
    expect(parametersOf(merged.text)).toEqual({
      ...parametersOf(ours),
      database_prefix: 'old_',
      cookie_key: "th\\eir's",
      new_cookie_key: "defth\\eir's",
    });
  });

  it('other keys, and only files come - the machine’s, which its database was written with', () => {
    const ours = file('8.1.2', 'ours', 'ps_');
    expect(mergeSettings(PARAMETERS, ours, file('8.1.2', 'theirs', 'ps_'), NOT_RESTORED)).toMatchObject({ is: 'kept', text: ours });
  });

  it('1.6 - the version is that of the files in any case, keys that of the database', () => {
    const ours = file('1.6.1.24', 'ours', 'ps_');
    const theirs = file('1.6.0.14', 'theirs', 'ps_', ELSEWHERE);
    const without = mergeSettings(CONSTANTS, ours, theirs, NOT_RESTORED);
    const together = mergeSettings(CONSTANTS, ours, theirs, RESTORED);
    if (without.is !== 'merged' || together.is !== 'merged') throw new Error('not merged');
    const constants = (text: Buffer) => Object.fromEntries(phpSettings(text.toString('latin1')).constants);
    expect(constants(without.text)).toEqual({ ...constants(ours), _PS_VERSION_: '1.6.0.14' });
    expect(constants(together.text)).toEqual({ ...constants(ours), _PS_VERSION_: '1.6.0.14', _COOKIE_KEY_: 'theirs' });
  });

  it.each([
    ['computed by PHP', "<?php return array('parameters' => array('cookie_key' => getenv('KEY'), 'database_prefix' => 'ps_'));"],
    ['missing', "<?php return array('parameters' => array('database_prefix' => 'ps_'));"],
    [
      'written twice',
      "<?php /* 'cookie_key' => 'x', */ return array('parameters' => array('cookie_key' => 'a', 'database_prefix' => 'ps_'));",
    ],
  ])('the machine’s key is %s - unfit, and it says which', (_, text) => {
    const theirs = Buffer.from("<?php return array('parameters' => array('cookie_key' => 'b', 'database_prefix' => 'ps_'));");
    expect(mergeSettings(PARAMETERS, Buffer.from(text), theirs, RESTORED)).toEqual({ is: 'unfit', differing: ['cookie_key'] });
  });

  it.each([
    ['no PHP', 'parameters: {}'],
    ['cut off', "<?php return array('parameters' => array('cookie_key' => 'a"],
  ])('a file that is %s - unfit, nothing is known', (_, text) => {
    expect(mergeSettings(PARAMETERS, file('8.1.2', 'a', 'ps_'), Buffer.from(text), RESTORED)).toEqual({ is: 'unfit', differing: null });
  });

  it('any keys - what PHP reads of the merged file is them, and nothing else changed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii' }), fc.string({ unit: 'binary-ascii' }), (mine, theirs) => {
        const ours = file('9.0.0', mine, 'ps_');
        const merged = mergeSettings(PARAMETERS, ours, file('9.0.0', theirs, 'x_', ELSEWHERE), RESTORED);
        if (merged.is === 'unfit') throw new Error('unfit');
        expect(parametersOf(merged.text)).toEqual({
          ...parametersOf(ours),
          database_prefix: 'x_',
          cookie_key: theirs,
          new_cookie_key: `def${theirs}`,
        });
      }),
    );
  });
});

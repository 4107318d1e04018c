// The configuration file: the example loads, and each mistake is named by line, value and what is allowed.
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig, parseConfig } from '../../src/config/load.ts';
import { tempDir } from '../temp-dir.ts';
import { FILE, refusal } from './refusal.ts';

const EXAMPLE = resolve(import.meta.dirname, '../../config/coffre.example.yaml');

const GOOD = `encryption: none
vaults:
  nas: { type: filesystem, path: /srv/coffre }
plans:
  standard: { retention: 14d }
shops:
  dupont:
    plan: standard
    vaults: [nas]
    files: { root: /var/www/dupont }
`;

describe('the example', () => {
  it('config/coffre.example.yaml - loads without a warning', () => {
    const config = loadConfig(EXAMPLE, {});
    expect(config.warnings).toEqual([]);
    expect([...config.shops.keys()]).toEqual(['dupont', 'martin', 'petit']);
    expect(config.shops.get('dupont')?.plan.retentionMs).toBe(14 * 86_400_000);
    expect(config.contracts.get('csi-001')?.price).toEqual({ perTBMonth: '23.00', currency: 'EUR', stepTB: 1 });
    expect(config.limits.bandwidthBytes).toBe(50e6);
    expect(config.shops.get('martin')?.database?.password?.from).toBe('systemd credential martin-db');
  });

  it('memory - the least that works when the default would be too little for so many runs; that much is accepted', () => {
    const memory = (limits: string): number => parseConfig(`${GOOD}limits: ${limits}\n`, FILE, {}).limits.memoryBytes;
    expect(memory('{}')).toBe(512e6);
    expect(memory('{ concurrency: 4 }')).toBe(636e6);
    expect(memory('{ concurrency: 4, memory: 636MB }')).toBe(636e6);
    expect(memory('{ concurrency: 1, memory: 2GiB }')).toBe(2 * 1024 ** 3);
  });

  it('every default that the example names - is what an empty key gives', async () => {
    const lines = (await readFile(EXAMPLE, 'utf8')).split('\n');
    const bare = parseConfig(GOOD, FILE, {});
    const example = loadConfig(EXAMPLE, {});
    expect(lines.some((line) => line.includes('Default: 90d'))).toBe(true);
    expect({ ...bare.limits, bandwidthBytes: 50e6, reuseMaxAgeMs: 7 * 86_400_000 }).toEqual(example.limits);
    expect(bare.plans.get('standard')?.schedule).toEqual(example.plans.get('infogerance')?.schedule);
    expect({ ...bare.plans.get('standard')?.rto, zone: example.timezone }).toEqual(example.plans.get('boutique')?.rto);
    expect(bare.stateDir).toBe(example.stateDir);
    expect(bare.listen.socket).toBe(example.listen.socket);
    expect(bare.signing.keyFile).toBe(example.signing.keyFile);
    expect(bare.timezone).toBe('UTC');
  });
});

describe('messages', () => {
  const withPlan = (plan: string): string => GOOD.replace('{ retention: 14d }', plan);

  it.each([
    [
      'a duration without unit',
      withPlan('{ retention: 14 }'),
      'coffre.yaml:5: plans.standard.retention is 14: a duration with its unit is expected, such as 14d, 4h, 90m, 20s or 1h30m',
    ],
    [
      'a duration in words',
      withPlan('{ retention: 14 days }'),
      'coffre.yaml:5: plans.standard.retention is "14 days": a duration with its unit is expected, such as 14d, 4h, 90m, 20s or 1h30m',
    ],
    [
      'no retention',
      withPlan('{ quota: 20GB }'),
      'coffre.yaml:5: plans.standard.retention is missing: a duration with its unit is expected, such as 14d, 4h, 90m, 20s or 1h30m',
    ],
    [
      'a retention of nothing',
      withPlan('{ retention: 0d }'),
      'coffre.yaml:5: plans.standard.retention is "0d": a duration with its unit is expected, such as 14d, 4h, 90m, 20s or 1h30m',
    ],
    [
      'a size without unit',
      withPlan('{ retention: 14d, quota: 20 }'),
      'coffre.yaml:5: plans.standard.quota is 20: a size with its unit is expected, such as 512MB, 20GB or 32MiB',
    ],
    [
      'a word that is none of those allowed',
      withPlan('{ retention: 14d, full: frsh }'),
      'coffre.yaml:5: plans.standard.full is "frsh": fresh or reread is expected',
    ],
    [
      'a minute that does not exist',
      withPlan('{ retention: 14d, schedule: { database: "61 * * * *" } }'),
      'coffre.yaml:5: plans.standard.schedule.database is "61 * * * *": a cron expression of five fields is expected, such as "30 2 * * *", or off (Invalid value for minute: 61)',
    ],
    [
      'a date that never comes',
      withPlan('{ retention: 14d, schedule: { files: "0 0 31 2 *" } }'),
      'coffre.yaml:5: plans.standard.schedule.files is "0 0 31 2 *": a cron expression of five fields is expected, such as "30 2 * * *", or off; this one never comes',
    ],
    [
      'seconds in a schedule',
      withPlan('{ retention: 14d, schedule: { files: "0 0 0 * * *" } }'),
      'coffre.yaml:5: plans.standard.schedule.files is "0 0 0 * * *": a cron expression of five fields is expected, such as "30 2 * * *", or off',
    ],
    [
      'a key that is nearly right',
      withPlan('{ retention: 14d, qota: 20GB }'),
      'coffre.yaml:5: plans.standard.qota is not a known key: did you mean quota?',
    ],
    [
      'a key that is nothing like any',
      withPlan('{ retention: 14d, zzzzzzzz: 1 }'),
      'coffre.yaml:5: plans.standard.zzzzzzzz is not a known key: retention, rto, quota, full, schedule, drill, report, maintenance are',
    ],
    ['a section that is nearly right', GOOD.replace('shops:', 'shop:'), 'coffre.yaml:6: shop is not a known key: did you mean shops?'],
    [
      'a time zone that does not exist',
      `timezone: Europe/Pariss\n${GOOD}`,
      'coffre.yaml:1: timezone is "Europe/Pariss": the name of a time zone is expected, such as Europe/Paris or UTC',
    ],
    [
      'encryption not said',
      GOOD.replace('encryption: none\n', ''),
      'coffre.yaml:1: encryption is missing: { keyDir: …, recovery: [age1…] } is expected; to store without encryption say none aloud',
    ],
    [
      'encryption without recovery key',
      GOOD.replace('encryption: none', 'encryption: { keyDir: keys }'),
      'coffre.yaml:1: encryption.recovery is missing: a list of age recipients is expected',
    ],
    [
      'a vault type that does not exist',
      GOOD.replace('type: filesystem', 'type: ftp'),
      'coffre.yaml:3: vaults.nas.type is "ftp": s3 or filesystem is expected',
    ],
    [
      'a vault without type',
      GOOD.replace('type: filesystem, ', ''),
      'coffre.yaml:3: vaults.nas.type is missing: s3 or filesystem is expected',
    ],
    [
      'a shop name that cannot be a folder',
      GOOD.replace('dupont:', '_dupont:'),
      'coffre.yaml:7: shops._dupont is not a good name: a name of small letters, digits and dashes is expected, 63 at most, such as dupont or csi-001',
    ],
    [
      'a plan that is not declared',
      GOOD.replace('plan: standard', 'plan: standart'),
      'coffre.yaml:8: shops.dupont.plan is "standart", which is not declared under plans: did you mean standard?',
    ],
    [
      'a vault that is not declared',
      GOOD.replace('[nas]', '[offsite]'),
      'coffre.yaml:9: shops.dupont.vaults[0] is "offsite", which is not declared under vaults: declared are nas',
    ],
    ['a vault named twice', GOOD.replace('[nas]', '[nas, nas]'), 'coffre.yaml:9: shops.dupont.vaults[1] names nas a second time'],
    ['no vault at all', GOOD.replace('[nas]', '[]'), 'coffre.yaml:9: shops.dupont.vaults is an empty list: at least one vault is expected'],
    [
      'a shop with nothing to back up',
      GOOD.replace(/ {4}files:.*\n/, ''),
      'coffre.yaml:7: shops.dupont has nothing to back up: database, files or server is expected',
    ],
    [
      'a vault inside the shop',
      GOOD.replace('/srv/coffre', '/var/www/dupont/backups'),
      'coffre.yaml:10: shops.dupont.files.root is "/var/www/dupont" and overlaps vault nas at /var/www/dupont/backups: a vault cannot back itself up',
    ],
    [
      'a shop inside a vault',
      GOOD.replace('/srv/coffre', '/var'),
      'coffre.yaml:10: shops.dupont.files.root is "/var/www/dupont" and overlaps vault nas at /var: a vault cannot back itself up',
    ],
    [
      'a list where a mapping belongs',
      GOOD.replace('{ retention: 14d }', '[14d]'),
      'coffre.yaml:5: plans.standard is a list: a mapping of keys to values is expected',
    ],
    [
      'a key without value',
      `${GOOD}limits:\n  concurrency:\n`,
      'coffre.yaml:12: limits.concurrency is empty: a whole number from 1 to 64 is expected',
    ],
    [
      'a rate without time',
      `${GOOD}limits: { bandwidth: 50MB }\n`,
      'coffre.yaml:11: limits.bandwidth is "50MB": a rate of 100kB/s or more is expected, such as 50MB/s, or none',
    ],
    [
      'a rate that no store would wait for',
      `${GOOD}limits: { bandwidth: 99kB/s }\n`,
      'coffre.yaml:11: limits.bandwidth is "99kB/s": a rate of 100kB/s or more is expected, such as 50MB/s, or none',
    ],
    [
      'too little memory for two runs',
      `${GOOD}limits: { memory: 256MB }\n`,
      'coffre.yaml:11: limits.memory is 256MB: 2 runs at a time (limits.concurrency) need at least 489MB',
    ],
    [
      'too little memory for one run',
      `${GOOD}limits: { memory: 256MB, concurrency: 1 }\n`,
      'coffre.yaml:11: limits.memory is 256MB: a run needs at least 415MB',
    ],
    [
      'a contract for a vault that is not declared',
      `${GOOD}contracts:\n  csi: { vault: offsite, subscribedTB: 1, price: { perTBMonth: "23.00" } }\n`,
      'coffre.yaml:12: contracts.csi.vault is "offsite", which is not declared under vaults: declared are nas',
    ],
    [
      'a price that lost its quotes',
      `${GOOD}contracts:\n  csi: { vault: nas, subscribedTB: 1, price: { perTBMonth: 23.00 } }\n`,
      'coffre.yaml:12: contracts.csi.price.perTBMonth is 23.00: a decimal number in quotes is expected, such as "23.00"',
    ],
    [
      'YAML that does not close',
      `${GOOD}limits: { concurrency: 2\n`,
      'coffre.yaml:12: this is not valid YAML: Flow map in block collection must be sufficiently indented and end with a }',
    ],
    ['a key given twice', `${GOOD}encryption: none\n`, 'coffre.yaml:11: this is not valid YAML: Map keys must be unique'],
    ['not a mapping', '- a\n', 'coffre.yaml:1: the file is a list: a mapping of keys to values is expected'],
  ])('%s - named with line, value and what is allowed', (_title, text, message) => {
    expect(refusal(text)).toEqual({ code: 'E_CONFIG', message });
  });

  it('several mistakes - all told at once, in the order of the file', () => {
    const { code, message } = refusal(`timezone: Mars\n${withPlan('{ retention: 14, qota: 1 }').replace('[nas]', '[]')}`);
    expect(code).toBe('E_CONFIG');
    expect(message.split('\n').map((line) => line.trim().split(': ')[0])).toEqual([
      '4 problems in the configuration',
      'coffre.yaml:1',
      'coffre.yaml:6',
      'coffre.yaml:6',
      'coffre.yaml:10',
    ]);
  });

  it('a retention whose locks would pass the ceiling - E_LOCK_CEILING with both figures', () => {
    expect(refusal(withPlan('{ retention: 90d }'))).toEqual({
      code: 'E_LOCK_CEILING',
      message:
        'coffre.yaml:5: plans.standard.retention is 90d: its locks may last 98d12h (with a run, the reuse of segments and a day), beyond limits.lockCeiling 90d',
    });
    expect(parseConfig(`${withPlan('{ retention: 90d }')}limits: { lockCeiling: 100d }\n`, FILE, {}).plans.size).toBe(1);
  });
});

const withDatabase = (lines: string): string =>
  GOOD.replace(/ {4}files:.*\n/, `    database:\n      name: dupont\n      user: coffre\n      host: 127.0.0.1\n${lines}`);

describe('how gently a database is read', () => {
  const database = (lines: string) => parseConfig(withDatabase(lines), FILE, {}).shops.get('dupont')?.database;

  it('nothing said - two connections, no limits, locks of three seconds, every row', () => {
    expect(database('')).toMatchObject({
      threads: 2,
      gentle: { rowsPerSecond: null, bytesPerSecond: null, maxRunningQueries: null, maxLockMs: 3000 },
      profile: 'none',
      excludeData: [],
    });
  });

  it('all of it said, as in the example - read', () => {
    expect(loadConfig(EXAMPLE, {}).shops.get('dupont')?.database).toMatchObject({
      threads: 2,
      gentle: { rowsPerSecond: 200_000, bytesPerSecond: 20e6, maxRunningQueries: 40, maxLockMs: 3000 },
      profile: 'none',
      excludeData: ['ps_search_index', 'ps_*_log'],
    });
  });

  it('the profile, when it is asked for by name - taken', () => {
    expect(database('      profile: prestashop-ephemeral\n')?.profile).toBe('prestashop-ephemeral');
  });

  it('none - no limit', () => {
    const none = database('      limits: { rowsPerSecond: none, bandwidth: none, maxRunningQueries: none, maxLock: 0s }\n');
    expect(none?.gentle).toEqual({ rowsPerSecond: null, bytesPerSecond: null, maxRunningQueries: null, maxLockMs: 0 });
  });

  it.each([
    ['threads: 0', 'threads is 0: a whole number from 1 to 16 is expected'],
    ['threads: 17', 'threads is 17: a whole number from 1 to 16 is expected'],
    ['profile: prestashop', 'profile is "prestashop": none or prestashop-ephemeral is expected'],
    ['limits: { rowsPerSecond: 0 }', 'limits.rowsPerSecond is 0: a whole number from 1 to 1000000000 is expected, or none'],
    ['limits: { rowsPerSecond: "9" }', 'limits.rowsPerSecond is "9": a whole number from 1 to 1000000000 is expected, or none'],
    ['limits: { maxRunningQueries: 1.5 }', 'limits.maxRunningQueries is 1.5: a whole number from 1 to 100000 is expected, or none'],
    ['limits: { bandwidth: 20MB }', 'limits.bandwidth is "20MB": a rate is expected, such as 50MB/s or 800KiB/s, or none'],
    ['limits: { bandwidth: 0MB/s }', 'limits.bandwidth is "0MB/s": a rate is expected, such as 50MB/s or 800KiB/s, or none'],
    ['limits: { maxLock: 2m }', 'limits.maxLock is "2m": a duration from 1s to 60s is expected, or 0s for no lock at all'],
    ['limits: { maxLock: 500ms }', 'limits.maxLock is "500ms": a duration from 1s to 60s is expected, or 0s for no lock at all'],
    ['limits: { maxLock: none }', 'limits.maxLock is "none": a duration from 1s to 60s is expected, or 0s for no lock at all'],
    ['limits: { maxLok: 3s }', 'limits.maxLok is not a known key: did you mean maxLock?'],
  ])('%s - refused with what is allowed', (line, message) => {
    expect(refusal(withDatabase(`      ${line}\n`))).toEqual({
      code: 'E_CONFIG',
      message: `coffre.yaml:14: shops.dupont.database.${message}`,
    });
  });
});

describe('secrets', () => {
  it('a password written into the file - refused, and not repeated', () => {
    const { message } = refusal(withDatabase('      password: hunter2\n'));
    expect(message).toContain(
      'coffre.yaml:14: shops.dupont.database.password holds a secret: secrets do not belong here, write passwordFile: PATH',
    );
    expect(message).not.toContain('hunter2');
  });

  it.each([
    ['a number as password', withDatabase('      password: 31415926\n'), '31415926'],
    [
      'credentials in the address of a store',
      GOOD.replace(
        '{ type: filesystem, path: /srv/coffre }',
        '{ type: s3, endpoint: "https://u:hunter2@s3", bucket: b, credentialsFile: c }',
      ),
      'hunter2',
    ],
    ['a secret key in a vault', GOOD.replace('path: /srv/coffre }', 'path: /srv/coffre, secretAccessKey: hunter2 }'), 'hunter2'],
    [
      'an identity instead of its recipient',
      GOOD.replace('encryption: none', 'encryption: { recovery: [AGE-SECRET-KEY-16JTMHJ4KT8EP2TS8] }'),
      '16JTMHJ4KT8EP2TS8',
    ],
    ['a broken line around a secret', GOOD.replace('encryption: none', 'encryption: none\nx: { password: hunter2'), 'hunter2'],
    ['a token in the address of a webhook', `${GOOD}notify: { webhook: { url: "ftp://x:hunter2@y/" } }\n`, 'hunter2'],
  ])('%s - refused, and not repeated', (_title, text, secret) => {
    const { code, message } = refusal(text);
    expect(code).toBe('E_CONFIG');
    expect(message).not.toContain(secret);
  });

  it('two sources for one password - refused', () => {
    const { message } = refusal(withDatabase('      passwordFile: a\n      password: { env: B }\n'));
    expect(message).toBe('coffre.yaml:15: shops.dupont.database.password is given twice: keep password or passwordFile');
  });

  it('each form - resolved to where it comes from', () => {
    const from = (lines: string): string | undefined =>
      parseConfig(withDatabase(lines), FILE, {}).shops.get('dupont')?.database?.password?.from;
    expect(from('      passwordFile: dupont.password\n')).toBe('/etc/coffre/dupont.password');
    expect(from('      password: { file: /run/x }\n')).toBe('/run/x');
    expect(from('      password: { credential: dupont-db }\n')).toBe('systemd credential dupont-db');
    expect(from('      password: { env: DUPONT_DB }\n')).toBe('environment variable DUPONT_DB');
    expect(from('')).toBeUndefined();
  });
});

describe('resolution', () => {
  it('relative paths - start at the folder of the file', () => {
    const config = parseConfig(
      GOOD.replace('/srv/coffre', 'store').replace('encryption: none', 'encryption: none\nstateDir: ../state'),
      FILE,
      {},
    );
    expect(config.vaults.get('nas')).toMatchObject({ path: '/etc/coffre/store', media: 'disk', offsite: false });
    expect(config.stateDir).toBe('/etc/state');
  });

  it('a schedule switched off - null', () => {
    const config = parseConfig(GOOD.replace('14d }', '14d, schedule: { increments: off } }'), FILE, {});
    expect(config.plans.get('standard')?.schedule).toEqual({
      database: '30 2 * * *',
      files: '0 3 * * 0',
      increments: null,
      server: '0 5 * * 0',
      drill: null,
    });
  });

  it('what is allowed and unwise - a warning with its line', () => {
    const text = GOOD.replace('14d }', '60s, rto: { calendar: business } }').replace(
      'path: /srv/coffre }',
      'path: /srv/coffre }\n  s3: { type: s3, endpoint: "http://192.0.2.1", bucket: b, credentialsFile: c, lock: { mode: GOVERNANCE } }',
    );
    expect(parseConfig(text, FILE, {}).warnings.map((warning) => warning.replace(`${FILE}:`, '').split(' ').slice(0, 3).join(' '))).toEqual(
      [
        '4: vaults.s3.lock.mode is',
        '4: vaults.s3.endpoint is',
        '6: plans.standard.retention is',
        '6: plans.standard.rto counts',
        '1: encryption is',
      ],
    );
  });

  it('anchors and merge keys - usable for shops that are alike', () => {
    const text = GOOD.replace('dupont:', 'dupont: &shop').concat('  martin:\n    <<: *shop\n    files: { root: /var/www/martin }\n');
    expect(parseConfig(text, FILE, {}).shops.get('martin')).toMatchObject({
      name: 'martin',
      files: { root: '/var/www/martin' },
      vaults: ['nas'],
    });
  });

  it('an empty section - means none', () => {
    const config = parseConfig('encryption: none\nvaults:\nplans:\nshops:\nlimits: {}\n', FILE, {});
    expect([config.vaults.size, config.plans.size, config.shops.size]).toEqual([0, 0, 0]);
  });

  it('a shop named like the signing key - refused when its identity would be that file', () => {
    const { message } = refusal(`${GOOD.replace('dupont:', 'signing:')}
signing: { keyFile: keys/identities/signing.key }
`);
    expect(message).toContain('shops.signing cannot be named so: /etc/coffre/keys/identities/signing.key is the signing key');
  });
});

describe('the file itself', () => {
  it('missing - E_CONFIG_MISSING', () => {
    expect(() => loadConfig('/nowhere/coffre.yaml', {})).toThrow(expect.objectContaining({ code: 'E_CONFIG_MISSING', exitStatus: 2 }));
  });

  it('writable by others - a warning', async () => {
    const file = join(await tempDir(), 'coffre.yaml');
    await writeFile(file, GOOD);
    await chmod(file, 0o666);
    expect(loadConfig(file, {}).warnings.at(-1)).toBe(`${file}: group or others may write the configuration (chmod go-w)`);
  });
});

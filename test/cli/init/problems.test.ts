// What init says of wrong flags: the flags, and no line of a file that is not there.
import { expect, test } from 'vitest';
import { flagProblem, parseFlags } from '../../../src/cli/init/problems.ts';
import { CoffreError } from '../../../src/errors.ts';

const FILE = '/etc/coffre/coffre.yaml';

const saidOf = (yaml: string): CoffreError => {
  try {
    parseFlags(yaml, FILE, {});
  } catch (error) {
    return error as CoffreError;
  }
  throw new Error('it was taken');
};

test('one wrong value - its flag, what stands there, what is allowed', () => {
  const error = saidOf('plans: { standard: { retention: 14x } }\nencryption: none\n');
  expect(error.message).toMatch(/^--retention is "14x": a duration with its unit is expected/);
  expect(error).toMatchObject({ code: 'E_CONFIG', hint: 'nothing was written; coffre init --help says what each flag takes' });
});

test('several - each by its flag, a name with the flag that gave it', () => {
  const { message } = saidOf(
    'timezone: Europa/Paris\nvaults: { first: { type: filesystem, path: /v } }\nplans: { standard: {} }\nencryption: none\n' +
      'shops: { Du_Pont: { plan: standard, vaults: [first], host: { type: ssh, host: h, user: u, keyFile: /k, knownHostsFile: /n, port: 99999 } } }\n',
  );
  expect(message).toContain('--timezone is "Europa/Paris": ');
  expect(message).not.toContain(FILE);
  expect(flagProblem(new CoffreError('E_CONFIG', `${FILE}:28: shops.Du_Pont is not a good name: …`), FILE)).toMatchObject({
    message: '--shop Du_Pont is not a good name: …',
  });
  expect(
    flagProblem(
      new CoffreError(
        'E_CONFIG',
        `2 problems in the configuration\n  ${FILE}:3: shops.a.host.port is 0: …\n  ${FILE}:9: vaults.b.lock.mode is x: …`,
      ),
      FILE,
    ),
  ).toMatchObject({
    message: '2 problems with the flags\n  --ssh-port is 0: …\n  --s3-lock-mode is x: …',
  });
});

test('anything else - as it is', () => {
  const error = new CoffreError('E_KEY', 'x');
  expect(flagProblem(error, FILE)).toBe(error);
});

// What `coffre init` asks on a terminal. Each answer is tried at once by the rules of the configuration, and asked again when it breaks one.
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseConfig } from '../../config/load.ts';
import { asCoffreError } from '../../errors.ts';
import { isShopName } from '../../segment/layout.ts';
import type { FoundShop } from '../../source/shop/find-shops.ts';
import type { CliContext } from '../context.ts';
import { openQuestions, type Questions } from '../questions.ts';
import { bucketCommands, databaseCommands } from './advice.ts';
import { type InitAnswers, initConfigText, type ShopAnswers } from './config.ts';
import { withoutLines } from './problems.ts';

/** What was answered, and secrets that were typed: files that are to be made, with mode 600. */
export interface Asked {
  readonly answers: InitAnswers;
  readonly secrets: ReadonlyMap<string, string>;
}

/** `folders`: where shops are looked for; null: where they usually are. Throws E_INTERRUPTED when it is left before the last question. */
export async function askAnswers(context: CliContext, file: string, folders: readonly string[] | null): Promise<Asked> {
  using questions = openQuestions(context.io);
  const { ask } = questions;
  const secrets = new Map<string, string>();
  let answers: InitAnswers = { ...defaultAnswers(file), encryption: 'age', filesystem: null, s3: null, shops: [] };

  /** Asks until the configuration with this answer in it is a good one. */
  async function valid<D extends string | null>(
    question: string,
    byDefault: D,
    change: (answer: string) => Partial<InitAnswers>,
  ): Promise<string | D> {
    for (;;) {
      const answer = await ask(question, byDefault);
      if (answer === null) return answer;
      const changed = { ...answers, ...change(answer) };
      const problem = problemOf(changed, file, context);
      if (problem === null) {
        answers = changed;
        return answer;
      }
      context.io.err(`${problem}\n`);
    }
  }

  context.io.err(`This writes ${file}. Enter takes what stands in brackets; an empty answer without brackets skips.\n`);
  await valid('Time zone', answers.timezone, (timezone) => ({ timezone }));
  await valid('State directory', answers.stateDir, (path) => ({ stateDir: resolve(path) }));
  await valid('Key directory', answers.keyDir, (path) => ({ keyDir: resolve(path) }));
  await valid('Keep snapshots for', answers.retention, (retention) => ({ retention }));
  const calendar = await valid(
    'A restore is promised within 4 hours, round the clock (24x7) or of business hours (business)',
    '24x7',
    (said) => ({
      rto: { calendar: said, country: null },
    }),
  );
  if (calendar === 'business')
    await valid('  Country whose holidays are free, such as FR', 'FR', (country) => ({ rto: { calendar, country } }));
  await valid('Folder of a filesystem vault (NAS, second disk)', null, (path) => ({
    filesystem: { name: 'nas', path: resolve(path), media: null, offsite: false },
  }));
  const credentialsFile = secretFile(file, 'offsite.json');
  const s3 = (change: Partial<NonNullable<InitAnswers['s3']>>): Partial<InitAnswers> => ({
    s3: { ...(answers.s3 ?? { ...S3_DEFAULTS, credentialsFile }), ...change },
  });
  const endpoint = await valid('S3 endpoint of a vault with Object Lock, such as https://s3.example.net', null, (address) =>
    s3({ endpoint: address }),
  );
  if (endpoint !== null) {
    await valid('  Region', 'us-east-1', (region) => s3({ region }));
    await valid('  Bucket', 'coffre', (bucket) => s3({ bucket }));
    await valid('  Prefix of the keys', null, (prefix) => s3({ prefix }));
    await valid('  Lock mode, COMPLIANCE or GOVERNANCE', 'COMPLIANCE', (lockMode) => s3({ lockMode }));
    const kept = resolve(
      await valid('  JSON file with accessKeyId and secretAccessKey', credentialsFile, (path) => s3({ credentialsFile: resolve(path) })),
    );
    if (!existsSync(kept)) {
      const accessKeyId = await ask('  It is not there. Access key, or Enter to put the file there yourself', null);
      const secretAccessKey = accessKeyId === null ? null : await questions.askHidden('  Secret key');
      if (secretAccessKey !== null) secrets.set(kept, `${JSON.stringify({ accessKeyId, secretAccessKey })}\n`);
    }
    const { bucket } = answers.s3 ?? S3_DEFAULTS;
    context.io.err(
      `  The bucket must have Object Lock. If it is not there yet:\n${indented(bucketCommands({ bucket, endpoint, region: answers.s3?.region ?? 'us-east-1' }))}`,
    );
  }
  if (answers.filesystem === null && answers.s3 === null) {
    context.io.err(`Without a vault there is no shop to declare: declare both in ${file} later.\n`);
    return { answers, secrets };
  }
  const found = await askFound(context, questions, await context.adapters.findShops(folders));
  answers = { ...answers, shops: found };
  if (found.length === 0) await askShop(context, file, { valid, questions, secrets });
  return { answers, secrets };
}

/** Which of the shops on this machine are to be backed up, and under which names. */
async function askFound(context: CliContext, { ask }: Questions, found: readonly FoundShop[]): Promise<ShopAnswers[]> {
  if (found.length === 0) return [];
  context.io.err('On this machine there are:\n');
  found.forEach((shop, index) => {
    const database = shop.database === null ? 'no database that its configuration names' : `database ${shop.database.name}`;
    context.io.err(`  ${String(index + 1).padStart(2)}  ${shop.name.padEnd(20)}  ${shop.application}, ${database}, ${shop.root}\n`);
  });
  for (;;) {
    const answer = await ask('Back up which: all, none, or their numbers, such as 1 3', 'all');
    const chosen = chosenOf(answer, found);
    if (chosen === null) {
      context.io.err(`all, none, or numbers from 1 to ${found.length} are expected\n`);
      continue;
    }
    const shops: ShopAnswers[] = [];
    for (const shop of chosen) shops.push({ ...foundShop(shop), name: await nameFor(shop, shops) });
    return shops;
  }

  async function nameFor(shop: FoundShop, taken: readonly ShopAnswers[]): Promise<string> {
    for (;;) {
      const name = await ask(`  Name of ${shop.root}`, shop.name);
      if (isShopName(name) && taken.every((other) => other.name !== name)) return name;
      context.io.err('a name of letters, digits, - and _ that no other shop has is expected\n');
    }
  }
}

function chosenOf(answer: string, found: readonly FoundShop[]): readonly FoundShop[] | null {
  if (/^all$/i.test(answer)) return found;
  if (/^none$/i.test(answer)) return [];
  const numbers = new Set(answer.split(/[\s,]+/).map(Number));
  if (![...numbers].every((number) => Number.isInteger(number) && number >= 1 && number <= found.length)) return null;
  return found.filter((_, index) => numbers.has(index + 1));
}

/** Its database where its own configuration names one, else its files alone. */
export function foundShop({ name, root, profile, database }: FoundShop): ShopAnswers {
  return { name, host: null, filesRoot: root, filesProfile: profile, database: database === null ? null : 'shop' };
}

/** Once what is red may be mended. */
export async function askAgain(context: CliContext): Promise<boolean> {
  using questions = openQuestions(context.io);
  const answer = await questions.ask('Look again, once that is mended: yes or no', 'no').catch((error: unknown) => {
    // everything is written by now, and what is to be done with it must still be said
    if (context.io.signal.aborted) throw error;
    return 'no';
  });
  return isYes(answer);
}

type Valid = <D extends string | null>(
  question: string,
  byDefault: D,
  change: (answer: string) => Partial<InitAnswers>,
) => Promise<string | D>;

interface Asking {
  readonly valid: Valid;
  readonly questions: Questions;
  readonly secrets: Map<string, string>;
}

async function askShop(context: CliContext, file: string, { valid, questions, secrets }: Asking): Promise<void> {
  type Shop = ShopAnswers;
  const name = await valid('First shop, such as dupont', null, (shop) => ({ shops: [shopOf(shop)] }));
  if (name === null) return;
  let shop: Shop = shopOf(name);
  const change = (more: Partial<Shop>): Partial<InitAnswers> => ({ shops: [{ ...shop, ...more }] });
  const host = await valid('  Its host, where it is reached by SSH', null, (answer) =>
    change({ host: { ...sshDefaults(file), host: answer } }),
  );
  if (host !== null) {
    let ssh = { ...sshDefaults(file), host };
    ssh = { ...ssh, user: await valid('  User there', ssh.user, (user) => change({ host: { ...ssh, user } })) };
    const keyFile = await valid('  Private key for it', ssh.keyFile, (path) => change({ host: { ...ssh, keyFile: resolve(path) } }));
    ssh = { ...ssh, keyFile: resolve(keyFile) };
    const known = await valid('  known_hosts file with its key', ssh.knownHostsFile, (path) =>
      change({ host: { ...ssh, knownHostsFile: resolve(path) } }),
    );
    shop = { ...shop, host: { ...ssh, knownHostsFile: resolve(known) } };
  }
  // what stands on another host is not looked at from here
  const preview = (path: string) => (host === null ? context.adapters.previewShop(path) : Promise.resolve(null));
  let root = resolve(await valid('  Its file tree', `/var/www/${name}`, (path) => change({ filesRoot: resolve(path) })));
  let found = await preview(root);
  if (found !== null && found.root !== root) {
    context.io.err(`  There is no shop, but ${found.application} at ${found.root}.\n`);
    root = resolve(await valid('  Its file tree', found.root, (path) => change({ filesRoot: resolve(path) })));
    if (root !== found.root) found = await preview(root);
  }
  const here = found?.root === root ? found : null;
  shop = { ...shop, filesRoot: root, filesProfile: here?.profile ?? shop.filesProfile };
  if (here !== null) context.io.err(`  That is ${here.application}.\n`);
  if (here?.database) {
    const { name: database, user, address, file: settings } = here.database;
    context.io.err(`  Its database, by ${settings}: ${database} as ${user} at ${address}.\n`);
    const answer = await valid('  Read name, user, password and address there at each backup, yes or no', 'yes', (said) =>
      change({ database: isYes(said) ? 'shop' : null }),
    );
    if (isYes(answer)) return;
  }
  if (host !== null) {
    const answer = await valid(
      '  Read name, user, password and address of its database in its own configuration, yes or no',
      'yes',
      (said) => change({ database: isYes(said) ? 'shop' : null }),
    );
    if (isYes(answer)) return;
  }
  let database = {
    name,
    user: 'coffre',
    socketPath: '/run/mysqld/mysqld.sock',
    host: null,
    port: null,
    passwordFile: null as string | null,
  };
  database.name = await valid('  Its database', name, (answer) => change({ database: { ...database, name: answer } }));
  database.user = await valid('  Database user', database.user, (user) => change({ database: { ...database, user } }));
  database.socketPath = await valid('  Socket of the database server', database.socketPath, (path) =>
    change({ database: { ...database, socketPath: resolve(path) } }),
  );
  database = { ...database, socketPath: resolve(database.socketPath) };
  const passwordFile = resolve(
    await valid('  File with its password', secretFile(file, `${name}.password`), (path) =>
      change({ database: { ...database, passwordFile: resolve(path) } }),
    ),
  );
  if (!existsSync(passwordFile)) {
    const password = await questions.askHidden('  It is not there. The password, or Enter to put the file there yourself');
    if (password !== null) secrets.set(passwordFile, `${password}\n`);
    context.io.err(`  If the user is not there yet:\n${indented(databaseCommands(database.name, database.user))}`);
  }
}

/** Where the systemd unit takes secrets from: root's alone. */
const secretFile = (file: string, name: string): string => join(dirname(file), 'secrets', name);

const indented = (lines: readonly string[]): string => lines.map((line) => `    ${line}\n`).join('');

const isYes = (answer: string): boolean => /^(y|yes|o|oui)$/i.test(answer);

const shopOf = (name: string) => ({
  name,
  host: null,
  filesRoot: `/var/www/${name}`,
  filesProfile: 'prestashop',
  database: null,
});

const S3_DEFAULTS = {
  name: 'offsite',
  endpoint: '',
  region: null,
  bucket: 'coffre',
  prefix: null,
  offsite: true,
  lockMode: 'COMPLIANCE',
  pruneCredentialsFile: null,
  readCredentialsFile: null,
} as const;

/** null when the configuration is a good one. Keys are not made yet, so it is tried without encryption. */
function problemOf(answers: InitAnswers, file: string, context: CliContext): string | null {
  try {
    parseConfig(initConfigText({ ...answers, encryption: 'none' }, []), file, context.io.env);
    return null;
  } catch (error) {
    return withoutLines(asCoffreError(error).message, file);
  }
}

/** Of a shop's host; files beside the configuration. */
export function sshDefaults(file: string) {
  const folder = dirname(file);
  return { port: null, user: 'coffre', keyFile: secretFile(file, 'ssh.key'), knownHostsFile: join(folder, 'known_hosts') };
}

export function defaultAnswers(file: string) {
  return {
    timezone: new Intl.DateTimeFormat().resolvedOptions().timeZone,
    stateDir: '/var/lib/coffre',
    keyDir: join(dirname(file), 'keys'),
    socket: '/run/coffre/coffre.sock',
    retention: '14d',
    rto: { calendar: '24x7', country: null },
  } as const;
}

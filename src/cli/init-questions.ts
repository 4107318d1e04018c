// What `coffre init` asks on a terminal. Each answer is tried at once by the rules of the configuration, and asked again when it breaks one.
import { dirname, join, resolve } from 'node:path';
import { parseConfig } from '../config/load.ts';
import { asCoffreError } from '../errors.ts';
import type { CliContext } from './context.ts';
import { type InitAnswers, initConfigText } from './init-config.ts';
import { openQuestions } from './questions.ts';

/** Throws E_INTERRUPTED when it is left before the last question. */
export async function askAnswers(context: CliContext, file: string): Promise<InitAnswers> {
  using questions = openQuestions(context.io);
  const { ask } = questions;
  let answers: InitAnswers = { ...defaultAnswers(file), encryption: 'age', filesystem: null, s3: null, shop: null };

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
  await valid('Folder of a filesystem vault (NAS, second disk)', null, (path) => ({
    filesystem: { name: 'nas', path: resolve(path), media: null, offsite: false },
  }));
  const credentialsFile = join(dirname(file), 'offsite.json');
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
    await valid('  JSON file with accessKeyId and secretAccessKey', credentialsFile, (path) => s3({ credentialsFile: resolve(path) }));
  }
  if (answers.filesystem === null && answers.s3 === null) {
    context.io.err(`Without a vault there is no shop to declare: declare both in ${file} later.\n`);
    return answers;
  }
  await askShop(context, file, valid);
  return answers;
}

type Valid = <D extends string | null>(
  question: string,
  byDefault: D,
  change: (answer: string) => Partial<InitAnswers>,
) => Promise<string | D>;

async function askShop(context: CliContext, file: string, valid: Valid): Promise<void> {
  type Shop = NonNullable<InitAnswers['shop']>;
  const name = await valid('First shop, such as dupont', null, (shop) => ({ shop: shopOf(shop) }));
  if (name === null) return;
  let shop: Shop = shopOf(name);
  const change = (more: Partial<Shop>): Partial<InitAnswers> => ({ shop: { ...shop, ...more } });
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
  await valid('  File with its password', join(dirname(file), `${name}.password`), (path) =>
    change({ database: { ...database, passwordFile: resolve(path) } }),
  );
}

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
} as const;

/** null when the configuration is a good one. Keys are not made yet, so it is tried without encryption. */
function problemOf(answers: InitAnswers, file: string, context: CliContext): string | null {
  try {
    parseConfig(initConfigText({ ...answers, encryption: 'none' }, []), file, context.io.env);
    return null;
  } catch (error) {
    // lines of a file that is not there yet mean nothing
    return asCoffreError(error)
      .message.replaceAll(file, '')
      .replace(/^(\s*):\d+: /gm, '$1');
  }
}

/** Of a shop's host; files beside the configuration. */
export function sshDefaults(file: string) {
  const folder = dirname(file);
  return { port: null, user: 'coffre', keyFile: join(folder, 'ssh.key'), knownHostsFile: join(folder, 'known_hosts') };
}

export function defaultAnswers(file: string) {
  return {
    timezone: new Intl.DateTimeFormat().resolvedOptions().timeZone,
    stateDir: '/var/lib/coffre',
    keyDir: join(dirname(file), 'keys'),
    socket: '/run/coffre/coffre.sock',
    retention: '14d',
  } as const;
}

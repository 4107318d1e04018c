// A whole installation on real servers, for tests and for anyone who wants to look: shop, vaults, keys, configuration, and the real
// bin/coffre run against them.
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '../../src/clock.ts';
import { makeIdentity, recipientOf } from '../../src/segment/age.ts';
import { createIdentity } from '../../src/segment/identity-store.ts';
import { makeSigningKey, saveSigningKey } from '../../src/segment/signing-key.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import type { Bucket } from '../servers/s3.ts';
import { freshBucket } from '../servers/s3.ts';

const run = promisify(execFile);
export const COFFRE = new URL('../../bin/coffre', import.meta.url).pathname;
/** Spares each of the many starts of bin/coffre the compilation of its sources: half of its processor time. */
const COMPILE_CACHE = { NODE_COMPILE_CACHE: new URL('../../node_modules/.cache/coffre-compile', import.meta.url).pathname };

export interface WorldOptions {
  /** Vaults of the shop, in order. Default: one S3 bucket with Object Lock. */
  readonly vaults?: readonly ('nas' | 'offsite')[];
  readonly retention?: string;
  /** YAML lines of the shop's host (`sshd.hostLines`). Default: this machine. */
  readonly host?: readonly string[];
  /** At a socket, or at a port of 127.0.0.1; both as seen from the shop's host. */
  readonly database?: {
    readonly socketPath?: string;
    readonly port?: number;
    readonly user: string;
    readonly name: string;
    readonly password?: string;
  };
  readonly files?: { readonly root: string; readonly exclude?: readonly string[]; readonly profile?: string };
  /** Lines of YAML under `limits:`. */
  readonly limits?: Readonly<Record<string, string>>;
  readonly encryption?: 'none';
  readonly full?: 'fresh' | 'reread';
  /** Another way to the store (a fault proxy). */
  readonly endpoint?: string;
  readonly bucket?: Bucket;
  readonly lockMode?: 'COMPLIANCE' | 'GOVERNANCE';
  /** true: the daemon listens at `socket` of the world, and at a random port of 127.0.0.1. */
  readonly listen?: boolean;
  /** Lines of YAML below `shops:`, beside dupont. */
  readonly moreShops?: readonly string[];
  /** The folder that its folder is made in. Default: in memory, as the servers' files are (a catalog flushes each commit), where there is room. */
  readonly parent?: string;
}

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  // biome-ignore lint/suspicious/noExplicitAny: a command's document, whose parts each test names
  readonly json: any;
}

export interface World {
  readonly dir: string;
  readonly configFile: string;
  readonly stateDir: string;
  readonly keyDir: string;
  readonly nasPath: string;
  readonly socket: string;
  readonly bucket: Bucket;
  /** The agency's recovery identity, as it would be on paper. */
  readonly recovery: string;
  readonly shop: 'dupont';
  /** Runs bin/coffre with --json; its status may be anything. */
  coffre(args: readonly string[], options?: { readonly env?: Readonly<Record<string, string>> }): Promise<Outcome>;
  /** The same, and the status must be 0. */
  ok(args: readonly string[]): Promise<Outcome>;
  /**
   * Runs the same program in this process, with adapters for files, folders and stores (no --to-db, no doctor, no daemon): a tenth of what a
   * process costs. For what a test does again and again, and where it has bin/coffre do the same at least once.
   */
  here(args: readonly string[]): Promise<Outcome>;
  /** The same, and the status must be 0. */
  okHere(args: readonly string[]): Promise<Outcome>;
  /** Starts it and gives the process, for tests that kill it. */
  start(args: readonly string[]): ReturnType<typeof spawn>;
  writeConfig(options: WorldOptions): void;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function makeWorld(options: WorldOptions = {}): Promise<World> {
  const dir = mkdtempSync(join(options.parent ?? (process.env.COFFRE_TEST_RIGS || tmpdir()), 'coffre-world-'));
  const bucket = options.bucket ?? (await freshBucket());
  const configFile = join(dir, 'coffre.yaml');
  const stateDir = join(dir, 'state');
  const keyDir = join(dir, 'keys');
  const nasPath = join(dir, 'nas');
  const socket = join(dir, 'coffre.sock');
  mkdirSync(keyDir, { mode: 0o700 });
  mkdirSync(nasPath, { mode: 0o700 });
  await new FilesystemVault(
    { name: 'nas', type: 'filesystem', path: nasPath, media: 'disk', site: 'here', offsite: false },
    systemClock,
  ).initialise();
  const recovery = await makeIdentity();
  await createIdentity({ keyDir, shop: 'dupont', recoveryRecipients: [await recipientOf(recovery)], clock: systemClock });
  await saveSigningKey(join(keyDir, 'signing.key'), makeSigningKey());
  const credentials = join(keyDir, 'offsite.json');
  writeFileSync(credentials, JSON.stringify({ accessKeyId: bucket.store.accessKey, secretAccessKey: bucket.store.secretKey }), {
    mode: 0o600,
  });
  const recipient = await recipientOf(recovery);

  const writeConfig = (wanted: WorldOptions): void => {
    const vaults = wanted.vaults ?? ['offsite'];
    const lines = [
      'timezone: Europe/Paris',
      `stateDir: ${stateDir}`,
      wanted.listen ? `listen: { socket: ${socket}, http: "127.0.0.1:0" }` : 'listen: { socket: null, http: null }',
      wanted.encryption === 'none' ? 'encryption: none' : `encryption: { keyDir: ${keyDir}, recovery: [${recipient}] }`,
      `signing: { keyFile: ${join(keyDir, 'signing.key')} }`,
      'vaults:',
      `  nas: { type: filesystem, path: ${nasPath}, media: disk, site: here }`,
      `  offsite: { type: s3, endpoint: "${wanted.endpoint ?? bucket.store.endpoint}", region: ${bucket.store.region}, bucket: ${bucket.name}, prefix: prod, forcePathStyle: true, media: object, site: there, offsite: true, lock: { mode: ${wanted.lockMode ?? 'COMPLIANCE'} }, credentialsFile: ${credentials} }`,
      'plans:',
      `  plan: { retention: ${wanted.retention ?? '14d'}, rto: { target: 4h, calendar: 24x7 }, full: ${wanted.full ?? 'fresh'} }`,
      'contracts:',
      '  csi-001: { vault: offsite, subscribedTB: 1, period: month, price: { perTBMonth: "23.00", currency: EUR, stepTB: 1 } }',
      ...(wanted.limits ? ['limits:', ...Object.entries(wanted.limits).map(([key, value]) => `  ${key}: ${value}`)] : []),
      'shops:',
      '  dupont:',
      '    plan: plan',
      `    vaults: [${vaults.join(', ')}]`,
      ...(wanted.host ? ['    host:', ...wanted.host.map((line) => `      ${line}`)] : ['    host: { type: local }']),
    ];
    if (wanted.database) {
      const { socketPath, port, user, name, password } = wanted.database;
      const at = socketPath === undefined ? `host: 127.0.0.1, port: ${port}` : `socketPath: ${socketPath}`;
      const secret = join(keyDir, 'db.password');
      if (password !== undefined) writeFileSync(secret, password, { mode: 0o600 });
      lines.push(`    database: { ${at}, user: ${user}, name: ${name}${password === undefined ? '' : `, passwordFile: ${secret}`} }`);
    }
    if (wanted.files) {
      const { root, exclude = [], profile = 'generic' } = wanted.files;
      lines.push(`    files: { root: ${root}, profile: ${profile}, exclude: ${JSON.stringify(exclude)} }`);
    }
    lines.push(...(wanted.moreShops ?? []));
    writeFileSync(configFile, `${lines.join('\n')}\n`);
  };
  writeConfig(options);

  const coffre: World['coffre'] = async (args, { env = {} } = {}) => {
    let status = 0;
    let stdout = '';
    let stderr = '';
    try {
      ({ stdout, stderr } = await run(COFFRE, ['--config', configFile, '--json', ...args], {
        env: { ...process.env, ...COMPILE_CACHE, ...env },
        maxBuffer: 256 * 1024 * 1024,
      }));
    } catch (error) {
      const failed = error as { code?: number | string; stdout?: string; stderr?: string };
      if (typeof failed.code !== 'number') throw error;
      status = failed.code;
      stdout = failed.stdout ?? '';
      stderr = failed.stderr ?? '';
    }
    let json: unknown = null;
    try {
      json = JSON.parse(stdout);
    } catch {
      // left null: a test that needs it fails on it, with stdout and stderr to look at
    }
    return { status, stdout, stderr, json };
  };
  const here: World['here'] = async (args) => {
    // loaded by those who use it
    const { runHere } = await import('../crash/composition.ts');
    return await runHere(
      ['--config', configFile, ...args],
      systemClock,
      (vault) => vault,
      (folder) => folder,
    );
  };
  const succeeded = (outcome: Outcome, args: readonly string[]): Outcome => {
    if (outcome.status !== 0)
      throw new Error(`coffre ${args.join(' ')} ended with ${outcome.status}\n${outcome.stdout}\n${outcome.stderr}`);
    return outcome;
  };
  return {
    dir,
    configFile,
    stateDir,
    keyDir,
    nasPath,
    socket,
    bucket,
    recovery,
    shop: 'dupont',
    coffre,
    ok: async (args) => succeeded(await coffre(args), args),
    here,
    okHere: async (args) => succeeded(await here(args), args),
    start: (args) =>
      spawn(COFFRE, ['--config', configFile, '--json', ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, ...COMPILE_CACHE },
      }),
    writeConfig,
    async [Symbol.asyncDispose]() {
      rmSync(dir, { recursive: true, force: true });
      if (!options.bucket) await bucket.release();
    },
  };
}

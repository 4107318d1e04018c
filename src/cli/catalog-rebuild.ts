// `coffre catalog rebuild`: on an empty machine, with the paper kit alone, what coffre knew comes back from one vault. Runs in the
// restore unit, because it opens identities.
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Temporal } from 'temporal-polyfill';
import { parseDocument } from 'yaml';
import { type Rebuilt, rebuildCatalog } from '../backup/rebuild.ts';
import { type FoundCheckpoints, readCheckpoints } from '../backup/rebuild-checkpoints.ts';
import { audit } from '../catalog/audit.ts';
import { type Catalog, openCatalog } from '../catalog/open.ts';
import { lockDaemon, lockShop } from '../catalog/shop-lock.ts';
import type { StateLock } from '../catalog/state-lock.ts';
import type { Clock } from '../clock.ts';
import type { Config, Secret, VaultConfig } from '../config/config.ts';
import { loadConfig, parseConfig } from '../config/load.ts';
import { CoffreError } from '../errors.ts';
import { makeDirectory } from '../host/make-directory.ts';
import { installIdentity, type ShopIdentity } from '../segment/identity-store.ts';
import { sweepUnfinished, writeNewFile } from '../segment/key-file.ts';
import { allIdentities, keepOlderIdentity, olderIdentities } from '../segment/older-identities.ts';
import { fingerprint, trustedFingerprints, trustOlderKey } from '../segment/signing-key.ts';
import type { RestoreAdapters } from './adapters.ts';
import type { CliContext, Invocation } from './context.ts';
import { ensureSigningKey } from './keys.ts';
import { formatBytes, formatInstant, printable, type Result } from './output.ts';
import { fingerprintsOf, type RebuildOptions, recoveryIdentities, vaultFromFlags } from './rebuild-options.ts';
import { beginAddition, finishPlace, preparePlace } from './rebuild-place.ts';

/** Of tampering this much is printed; --json has all of it. */
const MOST_LINES = 40;
const MOST_AUDITED = 1_000;
const REBUILD = 'a rebuild of the catalog';

/** The action. */
export async function runRebuild(
  context: CliContext,
  invocation: Invocation,
  adapters: RestoreAdapters,
  options: RebuildOptions,
): Promise<Result> {
  const { clock, io } = context;
  const { signal } = invocation;
  const configFile = resolve(io.cwd, invocation.configFile);
  const existing = (await exists(configFile)) ? loadConfig(configFile, io.env) : null;
  const declared = vaultFromFlags(options, io.cwd, io.env) ?? existing?.vaults.get(options.from) ?? null;
  if (declared === null) throw whereIsIt(options.from, existing);
  const recovery = await recoveryIdentities(options, io.cwd);
  const fingerprints = fingerprintsOf(options);
  if (fingerprints.length === 0 && existing !== null && (await exists(existing.signing.keyFile))) {
    fingerprints.push(...(await trustedFingerprints(existing.signing.keyFile)));
  }
  if (fingerprints.length === 0) {
    throw new CoffreError('E_USAGE', '--fingerprint is missing: whose signatures count is on the recovery kit, not in the vault');
  }
  const bar = invocation.progress(`rebuild from ${options.from}`);
  const vault = await adapters.openVault(declared);
  const locks: StateLock[] = [];
  try {
    const from = { vault, clock, signal };
    // 1. What the vault holds of us, as far as it proves itself.
    const checkpoints = await readCheckpoints(from, recovery, fingerprints);
    // 2. The configuration says where everything goes.
    const { config, text } =
      existing === null ? configOf(checkpoints, options, configFile, io, recovery) : { config: existing, text: null };
    if (!config.vaults.has(options.from)) {
      throw new CoffreError('E_UNKNOWN_VAULT', `the configuration has no vault ${JSON.stringify(options.from)}`, {
        hint: `its vaults are ${[...config.vaults.keys()].join(', ')}: give the name that the recovery kit gives it`,
      });
    }
    await lockState(config, clock, locks);
    const place = await preparePlace(config.stateDir, options.from);
    const keyDir = config.encryption === 'none' ? null : config.encryption.keyDir;
    // 3. The catalog, in a place of its own. Killed in here, the state is as empty as before.
    let rebuilt: Rebuilt;
    {
      await using catalog = await openCatalog(place.stateDir);
      if (!place.isFirst) {
        if (!place.isResumed) await refuseKnownVault(catalog, options.from);
        await beginAddition(config.stateDir, options.from);
      }
      rebuilt = await rebuildCatalog({
        ...from,
        catalog,
        config,
        checkpoints,
        recovery,
        isFirst: place.isFirst,
        ownIdentities: async (shop) => (keyDir === null ? [] : await ownIdentities(keyDir, shop)),
        onShop: (shop) => bar.title(`rebuild ${shop}`),
      });
      await audit(catalog, clock, {
        who: 'cli',
        what: 'catalog rebuild',
        detail: {
          from: options.from,
          checkpoint: checkpoints.newest?.time ?? null,
          lost: rebuilt.lost,
          tampering: rebuilt.findings.slice(0, MOST_AUDITED),
        },
      });
    }
    // 4. Keys, then configuration, each only where there is none; the catalog last, since with it the machine counts as rebuilt.
    if (keyDir !== null) await giveBackKeys(keyDir, rebuilt);
    const signer = await ensureSigningKey(config.signing.keyFile);
    const present = fingerprint(signer);
    for (const older of checkpoints.trusted) {
      if (older !== present)
        await trustOlderKey(config.signing.keyFile, older, `# before the rebuild of ${clock.now().toString({ smallestUnit: 'second' })}`);
    }
    const written = await writeConfig(configFile, text, checkpoints, clock.now());
    // also where an earlier call, killed, had come to nothing more to write
    for (const folder of [...(keyDir === null ? [] : [keyDir]), dirname(configFile)]) await sweepUnfinished(folder);
    await finishPlace(config.stateDir, place, options.from);
    return report(options.from, config, checkpoints, rebuilt, { written, present, isNewSigner: !checkpoints.trusted.includes(present) });
  } finally {
    bar.stop();
    for (const lock of locks) lock.release();
    await vault.close().catch(() => {});
  }
}

function whereIsIt(from: string, existing: Config | null): CoffreError {
  const declared = existing === null ? 'there is no configuration yet' : `${existing.file} does not declare it`;
  return new CoffreError('E_USAGE', `where is vault ${JSON.stringify(from)}? ${declared}`, {
    hint: 'give --endpoint, --bucket, --prefix and --credentials-file, or --path for a folder, as the recovery kit says',
  });
}

/** The configuration of the newest checkpoint. Throws E_CONFIG_MISSING when there is none, E_CONFIG. */
function configOf(
  checkpoints: FoundCheckpoints,
  options: RebuildOptions,
  file: string,
  io: CliContext['io'],
  recovery: readonly string[],
): { config: Config; text: string } {
  const { newest } = checkpoints;
  if (newest === null) {
    const [first] = checkpoints.findings;
    const why = first === undefined ? 'the vault holds no checkpoint of the state' : `${first.key}: ${first.what}`;
    throw new CoffreError('E_CONFIG_MISSING', `no configuration can be given back: ${why}`, {
      hint:
        recovery.length === 0
          ? 'give the recovery identity with --identity-file: checkpoints are sealed to it'
          : `write one by hand that declares the vault and its shops (coffre init helps), name it with --config, and run this again`,
    });
  }
  const document = parseDocument(newest.configuration.text);
  if (options.stateDir !== undefined) document.setIn(['stateDir'], resolve(io.cwd, options.stateDir));
  if (options.keyDir !== undefined) document.setIn(['encryption', 'keyDir'], resolve(io.cwd, options.keyDir));
  const isChanged = options.stateDir !== undefined || options.keyDir !== undefined;
  // as it was, to the byte, unless something was to be changed
  const text = isChanged ? document.toString() : newest.configuration.text;
  return { config: parseConfig(text, file, io.env), text };
}

/** A vault is added to a rebuilt catalog that knows no snapshot in it. Throws E_STATE_NOT_EMPTY. */
async function refuseKnownVault(catalog: Catalog, vault: string): Promise<void> {
  const copy = await catalog.db.selectFrom('snapshotVaults').select('snapshotId').where('vault', '=', vault).limit(1).executeTakeFirst();
  if (copy) throw new CoffreError('E_STATE_NOT_EMPTY', `the catalog in ${catalog.stateDir} knows snapshots in ${vault} already`);
}

/** Nobody may work on the state meanwhile. Throws E_DAEMON_RUNNING, E_BUSY. */
async function lockState(config: Config, clock: Clock, locks: StateLock[]): Promise<void> {
  await makeDirectory(config.stateDir, 0o700);
  locks.push(await lockDaemon(config.stateDir, clock, REBUILD, config.timezone));
  for (const shop of config.shops.keys()) locks.push(await lockShop(config.stateDir, clock, shop, REBUILD, config.timezone));
}

async function ownIdentities(keyDir: string, shop: string): Promise<readonly ShopIdentity[]> {
  try {
    return await allIdentities(keyDir, shop);
  } catch (error) {
    if (error instanceof CoffreError && error.code === 'E_KEY') return await olderIdentities(keyDir, shop);
    throw error;
  }
}

async function giveBackKeys(keyDir: string, rebuilt: Rebuilt): Promise<void> {
  await makeDirectory(keyDir, 0o700);
  for (const { identity, olderIdentities: older } of rebuilt.shops) {
    // one without a sealed form lies on this machine already
    if (identity !== null && identity.version !== null) await installIdentity(keyDir, identity, identity.sealed);
    const secrets = new Set([identity?.identity]);
    for (const one of older) {
      if (secrets.has(one.identity)) continue;
      secrets.add(one.identity);
      await keepOlderIdentity(keyDir, one);
    }
  }
}

/** Where the recovered configuration is now; null: the one that is there says the same. */
async function writeConfig(
  file: string,
  text: string | null,
  { newest }: FoundCheckpoints,
  now: Temporal.Instant,
): Promise<{ file: string; isBeside: boolean } | null> {
  if (text !== null) {
    await makeDirectory(dirname(file), 0o755);
    await writeNewFile(file, text, 0o640);
    return { file, isBeside: false };
  }
  if (newest === null || newest.configuration.text === (await readFile(file, 'utf8'))) return null;
  const beside = `${file}.rebuilt-${now.toString({ smallestUnit: 'second' }).replaceAll(/[-:]/g, '')}`;
  await writeNewFile(beside, newest.configuration.text, 0o640);
  return { file: beside, isBeside: true };
}

interface GivenBack {
  readonly written: { readonly file: string; readonly isBeside: boolean } | null;
  readonly present: string;
  readonly isNewSigner: boolean;
}

function report(from: string, config: Config, checkpoints: FoundCheckpoints, rebuilt: Rebuilt, given: GivenBack): Result {
  const { newest } = checkpoints;
  const missingSecrets = secretsMissing(config);
  const otherVaults = [...new Set([...config.shops.values()].flatMap((shop) => shop.vaults))].filter((name) => name !== from);
  const shops = rebuilt.shops.map(({ shop, snapshots, identity, olderIdentities: older }) => ({
    shop,
    declared: config.shops.has(shop),
    snapshots: snapshots.length,
    newest: Object.fromEntries(
      ['database', 'files', 'server'].flatMap((source) => {
        const last = snapshots.filter((one) => one.source === source).at(-1);
        return last === undefined ? [] : [[source, { id: last.id, completedAt: last.completedAt }]];
      }),
    ),
    identity: identity === null ? null : { keyId: identity.keyId, recipient: identity.recipient },
    olderIdentities: older.length,
  }));
  const document = {
    from,
    checkpoint: newest === null ? null : { time: newest.time, count: checkpoints.all.length, coffre: newest.coffre },
    config: given.written === null ? { file: config.file, written: false } : { ...given.written, written: true },
    stateDir: config.stateDir,
    shops,
    snapshots: rebuilt.snapshots,
    objects: rebuilt.objects,
    bytes: rebuilt.bytes,
    ledger: { rows: rebuilt.ledgerRows, from: rebuilt.ledgerFrom },
    newer: rebuilt.newer.map(({ id, shop, source, completedAt }) => ({ id, shop, source, completedAt })),
    lost: rebuilt.lost,
    tampering: rebuilt.findings,
    strangers: rebuilt.strangers,
    signing: { fingerprint: given.present, isNew: given.isNewSigner, trusted: checkpoints.trusted },
    missingSecrets,
    otherVaults,
  };
  const when = (instant: string): string => formatInstant(Temporal.Instant.from(instant), config.timezone);
  const lines = [
    newest === null
      ? 'checkpoint      none: ledger, holds, shop states, audit and evidence begin anew'
      : `checkpoint      ${when(newest.time)} (${checkpoints.all.length} in all)`,
    given.written === null
      ? `configuration   ${config.file}`
      : `configuration   written to ${given.written.file}${given.written.isBeside ? ' (yours was left)' : ''}`,
    `catalog         ${config.stateDir}: ${rebuilt.snapshots} snapshots, ${rebuilt.objects} objects, ${formatBytes(rebuilt.bytes)}, ${rebuilt.ledgerRows} rows of the ledger`,
    ...shops.map(
      ({ shop, snapshots, newest: last, declared }) =>
        `shop            ${shop}: ${snapshots} snapshots; ${Object.entries(last)
          .map(([source, { completedAt }]) => `${source} of ${when(completedAt)}`)
          .join(', ')}${declared ? '' : ' (not in the configuration)'}`,
    ),
    ...(rebuilt.newer.length > 0
      ? [`newer           ${rebuilt.newer.length} snapshots are newer than the checkpoint: they came back from the vault alone`]
      : []),
    ...rebuilt.lost.map((line) => `LOST            ${line}`),
    ...rebuilt.findings
      .slice(0, MOST_LINES)
      .map(({ key, what, versionId }) => `TAMPERING       ${printable(key)}: ${what} (version ${printable(versionId)})`),
    ...(rebuilt.findings.length > MOST_LINES
      ? [`TAMPERING       … and ${rebuilt.findings.length - MOST_LINES} more: --json has them all`]
      : []),
    '',
    ...(given.isNewSigner ? [`A new signing key was made (${given.present}): print the recovery kit anew, coffre keys recovery-kit`] : []),
    ...missingSecrets.map((path) => `Still to be put in place: ${path}`),
    ...otherVaults.map(
      (name) => `Vault ${name} was not read: coffre catalog rebuild --from ${name} adds what it holds, before the next backup or prune`,
    ),
    'Next: coffre doctor; coffre restore SHOP …; coffre daemon',
  ];
  return { document, text: lines.join('\n') };
}

/** Files with secrets that the configuration names and that are not here. */
function secretsMissing(config: Config): string[] {
  const secrets: (Secret | null)[] = [];
  for (const vault of config.vaults.values()) secrets.push(...credentialsOf(vault));
  for (const { database, host } of config.shops.values()) {
    secrets.push(database?.password ?? null);
    if (host.type === 'ssh') secrets.push(...host.keys, host.passphrase);
  }
  const missing = new Set<string>();
  for (const secret of secrets) {
    try {
      secret?.read();
    } catch {
      if (secret !== null) missing.add(secret.from);
    }
  }
  return [...missing];
}

function credentialsOf(vault: VaultConfig): (Secret | null)[] {
  return vault.type === 's3' ? [vault.credentials, vault.pruneCredentials, vault.readCredentials] : [];
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

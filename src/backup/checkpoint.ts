// The daily checkpoint of the daemon's state: sealed to the recovery recipients, signed, locked, in every vault. With it and a listing
// an empty machine becomes this one again.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Temporal } from 'temporal-polyfill';
import { anchorLedger } from '../billing/anchors.ts';
import { Ledger } from '../billing/ledger.ts';
import { BEFORE_FIRST, ledgerPage } from '../billing/ledger-page.ts';
import { billingMark } from '../billing/mark.ts';
import { billingEnd, untoldVaults } from '../billing/untold.ts';
import { lastCheckpoint, type Positions, readTables } from '../catalog/checkpoint-tables.ts';
import type { Catalog } from '../catalog/open.ts';
import { lockShop } from '../catalog/shop-lock.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { checkpointLockUntil } from '../retention/checkpoint-lock.ts';
import { CHECKPOINT_FORMAT, type Checkpoint, encodeCheckpoint, signCheckpoint } from '../segment/checkpoint.ts';
import { loadRecipient } from '../segment/identity-store.ts';
import { DAEMON_SHOP, stateKey } from '../segment/layout.ts';
import { encodeMark, type LedgerMark, MARK_STANZA } from '../segment/ledger-mark.ts';
import { seal } from '../segment/seal.ts';
import { loadSigningKey, trustedFingerprints } from '../segment/signing-key.ts';
import type { Vault } from '../vault/vault.ts';
import { admitVaults, type OpenVault } from './admit.ts';
import { holds } from './locks.ts';
import type { RunLog } from './log.ts';
import { storeObject } from './store.ts';
import { VaultSet } from './vault-set.ts';

export interface CheckpointDeps {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly openVault: OpenVault;
  readonly log: RunLog;
  /** Version of this coffre. */
  readonly coffre: string;
}

export interface WrittenCheckpoint {
  readonly vault: string;
  readonly key: string;
  readonly at: string;
  readonly sizeBytes: number;
  readonly lock: { readonly mode: string; readonly retainUntil: string };
  readonly ledgerRows: number;
}

export interface CheckpointResult {
  readonly written: readonly WrittenCheckpoint[];
  readonly failed: readonly { readonly vault: string; readonly code: string; readonly message: string; readonly hint: string }[];
}

/** Another one is due this long after the last. */
export const CHECKPOINT_EVERY_MS = 24 * 3_600_000;
/** Rows of each table in one document: what is more goes into a further one, so that none grows with the years. */
const LEDGER_ROWS = 50_000;
const TABLE_ROWS = 5_000;

/** Vaults that hold something of a shop: each gets every checkpoint. */
export function checkpointVaults(config: Config): string[] {
  return [...new Set([...config.shops.values()].flatMap((shop) => shop.vaults))].sort();
}

/**
 * Those of `vaults` whose last checkpoint is a day old, tells of another configuration or other keys, or not of every statement and
 * correction. Throws E_KEY, E_STATE.
 */
export async function dueCheckpoints(
  deps: Pick<CheckpointDeps, 'config' | 'catalog' | 'clock'>,
  vaults: readonly string[],
): Promise<string[]> {
  const { setting } = await settingOf(deps.config);
  const { db } = deps.catalog;
  const untold = await untoldVaults(db, vaults, await billingEnd(db));
  const due: string[] = [];
  for (const vault of vaults) {
    const last = await lastCheckpoint(db, vault);
    const ageMs = last === null ? Number.POSITIVE_INFINITY : deps.clock.nowMs() - last.at;
    // one from the future was written under a wrong clock
    if (last === null || last.setting !== setting || ageMs >= CHECKPOINT_EVERY_MS || ageMs < -CHECKPOINT_EVERY_MS || untold.includes(vault))
      due.push(vault);
  }
  return due;
}

/**
 * Writes a checkpoint into each of `vaults`. A vault that is not fit, or fails, is in the result. Throws E_BUSY while another checkpoint
 * or a prune of the daemon's own objects is under way, E_KEY, E_STATE, and the signal's reason.
 */
export async function writeCheckpoints(deps: CheckpointDeps, vaults: readonly string[], signal: AbortSignal): Promise<CheckpointResult> {
  try {
    const result = await writeEach(deps, vaults, signal);
    await noteOutcome(deps, result);
    return result;
  } catch (error) {
    const { code, message, hint } = asCoffreError(error);
    if (code !== 'E_BUSY' && !signal.aborted) {
      await noteOutcome(deps, { written: [], failed: vaults.map((vault) => ({ vault, code, message, hint })) }).catch(() => {});
    }
    throw error;
  }
}

/** Status is red from here on for what failed, since the newest state is not in that vault; and no more for what was written. */
async function noteOutcome({ catalog, clock }: CheckpointDeps, { written, failed }: CheckpointResult): Promise<void> {
  const there = written.map(({ vault }) => vault).filter((name) => failed.every(({ vault }) => vault !== name));
  await catalog.transaction(async (tx) => {
    if (there.length > 0) await tx.deleteFrom('checkpointFailures').where('vault', 'in', there).execute();
    for (const { vault, code, message } of failed) {
      const row = { at: clock.nowMs(), code, message };
      await tx
        .insertInto('checkpointFailures')
        .values({ vault, ...row })
        .onConflict((conflict) => conflict.column('vault').doUpdateSet(row))
        .execute();
    }
  });
}

async function writeEach(deps: CheckpointDeps, vaults: readonly string[], signal: AbortSignal): Promise<CheckpointResult> {
  const { catalog, clock, config } = deps;
  const lock = await lockShop(catalog.stateDir, clock, DAEMON_SHOP, 'a checkpoint of the daemon’s state', config.timezone);
  const opened: Vault[] = [];
  const ledger = new Ledger(catalog, clock);
  const written: WrittenCheckpoint[] = [];
  const set = new VaultSet(vaults, (vault, error) =>
    deps.log.error({ event: 'checkpoint.failed', vault, code: error.code }, error.message),
  );
  try {
    // first, so that each vault's checkpoint holds the anchors of all days that have ended
    await anchorLedger(catalog, clock);
    const signingKey = await loadSigningKey(config.signing.keyFile);
    const setting = await settingOf(config);
    const to = config.encryption === 'none' ? 'none' : config.encryption.recovery;
    try {
      await admitVaults(deps, ledger, set, opened, signal);
      await set.each(signal, async (vault, vaultSignal) => {
        await ledger.resolveIntents(vault, DAEMON_SHOP, { signal: vaultSignal });
        for (let last = false; !last; ) {
          const drafted = await draft(deps, vault.name, setting);
          last = drafted.checkpoint.last;
          const plaintext = encodeCheckpoint(signCheckpoint(drafted.checkpoint, signingKey));
          // in the clear: what proves a bill must not need the recovery identity
          const note = { type: MARK_STANZA, body: encodeMark(drafted.mark, signingKey) };
          const sealed = await seal([plaintext], { recipients: to, note, signal: vaultSignal, estimatedBytes: plaintext.length });
          const time = Temporal.Instant.from(drafted.checkpoint.time);
          const retainUntil = checkpointLockUntil(config, clock.now());
          const key = stateKey(time, to !== 'none');
          const { objectId, object } = await storeObject(
            ledger,
            clock,
            vault,
            {
              shop: DAEMON_SHOP,
              key,
              kind: 'state',
              refId: drafted.checkpoint.time,
              runId: null,
              sha256: sealed.facts.storedSha256,
              retainUntil,
              signal: vaultSignal,
            },
            sealed.stored,
          );
          if (!object.lock || !holds(vault, object.lock, retainUntil)) {
            throw new CoffreError('E_LOCK_DROPPED', `${vault.name}: ${key} reads back without the lock it was given`);
          }
          // A crash before this row: the next checkpoint tells the same rows once more, and a rebuild takes each once.
          await catalog.transaction((tx) =>
            tx
              .insertInto('checkpoints')
              .values({
                vault: vault.name,
                at: time.epochMilliseconds,
                objectId,
                ledgerRow: drafted.checkpoint.ledger.until.row,
                ledgerHash: drafted.checkpoint.ledger.until.hash,
                positions: JSON.stringify(drafted.positions),
                setting: setting.setting,
              })
              .execute(),
          );
          written.push({
            vault: vault.name,
            key,
            at: drafted.checkpoint.time,
            sizeBytes: object.sizeBytes,
            lock: { mode: object.lock.mode, retainUntil: object.lock.retainUntil.toString() },
            ledgerRows: drafted.checkpoint.ledger.rows.length,
          });
          deps.log.info({ event: 'checkpoint.done', vault: vault.name, key }, 'checkpoint of the state stored');
        }
      });
    } catch (error) {
      signal.throwIfAborted();
      // every vault has left: the result names each
      if (set.left.size < vaults.length) throw error;
    }
    const failed = [...set.left].map(([vault, { code, message, hint }]) => ({ vault, code, message, hint }));
    return { written, failed };
  } finally {
    for (const vault of opened) await vault.close().catch(() => {});
    lock.release();
  }
}

/**
 * After a run: writes the checkpoints that are due in the vaults that the run could use. Never throws: what went wrong is in the result,
 * in the log, and status is red until it is mended. null: none was due.
 */
export async function checkpointAfterRun(
  deps: CheckpointDeps,
  vaults: readonly string[],
  signal: AbortSignal,
): Promise<CheckpointResult | null> {
  try {
    const due = await dueCheckpoints(deps, vaults);
    return due.length === 0 ? null : await writeCheckpoints(deps, due, signal);
  } catch (error) {
    const { code, message, hint } = asCoffreError(error);
    // somebody else is at it
    if (code === 'E_BUSY') return null;
    deps.log.error({ event: 'checkpoint.failed', code }, message);
    return { written: [], failed: vaults.map((vault) => ({ vault, code, message, hint })) };
  }
}

/** Why the checkpoints are not everywhere, or null. */
export function checkpointFailure({ failed }: CheckpointResult): CoffreError | null {
  const [first] = failed;
  if (!first) return null;
  const where = failed.map(({ vault, message, code }) => `${vault}: ${message} [${code}]`).join('; ');
  return new CoffreError('E_CHECKPOINT', `no checkpoint of the state in ${where}`, { hint: first.hint });
}

interface Setting {
  readonly configuration: Checkpoint['configuration'];
  readonly signers: Checkpoint['signers'];
  readonly keys: Checkpoint['keys'];
  /** Hash of the recipients that it is sealed to. */
  readonly recovery: string;
  /** That, and the hash of all the rest. */
  readonly setting: string;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Tells whether the recovery recipients are still the same. */
export function recoveryHash({ encryption }: Pick<Config, 'encryption'>): string {
  return sha256(JSON.stringify(encryption === 'none' ? 'none' : [...encryption.recovery].sort()));
}

/** What is written on this machine beside the catalog. */
async function settingOf(config: Config): Promise<Setting> {
  let text: string;
  try {
    text = await readFile(config.file, 'utf8');
  } catch (error) {
    throw asCoffreError(error, 'E_CONFIG_MISSING', `cannot read ${config.file}`);
  }
  const signers = await trustedFingerprints(config.signing.keyFile);
  const keys: { shop: string; keyId: string; recipient: string }[] = [];
  if (config.encryption !== 'none') {
    for (const shop of config.shops.keys()) {
      // a shop that was never backed up may have none yet
      const found = await loadRecipient(config.encryption.keyDir, shop).catch(() => null);
      if (found !== null) keys.push({ shop, keyId: found.keyId, recipient: found.recipient });
    }
  }
  const content = { configuration: { file: config.file, text }, signers, keys };
  const recovery = recoveryHash(config);
  return { ...content, recovery, setting: `${recovery} ${sha256(JSON.stringify(content))}` };
}

async function draft(
  deps: CheckpointDeps,
  vault: string,
  { configuration, signers, keys, recovery }: Setting,
): Promise<{ checkpoint: Checkpoint; mark: LedgerMark; positions: Positions }> {
  const { catalog, clock, coffre } = deps;
  return await catalog.transaction(async (tx) => {
    const last = await lastCheckpoint(tx, vault);
    // Who holds the new recovery identity may not hold the old one: what is sealed to it tells everything once more.
    const before = last?.setting.startsWith(recovery) ? last : null;
    const after = before === null ? BEFORE_FIRST : { row: before.ledgerRow, hash: before.ledgerHash };
    const page = await ledgerPage(tx, after, LEDGER_ROWS);
    const since = before === null ? {} : (JSON.parse(before.positions) as Positions);
    const { tables, positions, more } = await readTables(tx, since, TABLE_ROWS);
    // Its name is its time, so no two may have the same second, and the newest must sort last whatever the clock did.
    const nowMs = Math.floor(clock.nowMs() / 1000) * 1000;
    const atMs = Math.max(nowMs, (last?.at ?? 0) + 1000);
    const time = Temporal.Instant.fromEpochMilliseconds(atMs).toString({ smallestUnit: 'second' });
    const mark: LedgerMark = { vault, time, ...(await billingMark(tx, page.until)) };
    const checkpoint: Checkpoint = {
      format: CHECKPOINT_FORMAT,
      vault,
      time,
      last: !more && page.rows.length < LEDGER_ROWS,
      coffre,
      signers,
      keys,
      configuration,
      ledger: page,
      mark,
      tables,
    };
    return { checkpoint, mark, positions };
  });
}

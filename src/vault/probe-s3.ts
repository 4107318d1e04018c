// Tries on a live bucket what an attacker would: deleting, shortening and bypassing the lock of a tiny object.
import { randomBytes } from 'node:crypto';
import { CompleteMultipartUploadCommand, CreateMultipartUploadCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { Temporal } from 'temporal-polyfill';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import { checkSkew } from './clock-skew.ts';
import {
  EXPIRY_STEP,
  failed,
  ok,
  type PendingProbeObject,
  ProbeLog,
  type ProbeOptions,
  type ProbeResult,
  skipped,
} from './probe-report.ts';
import { ceilToSecond, holds, isRefusal, type S3Vault } from './s3.ts';
import { contentMd5 } from './s3-client.ts';
import { lockHeaders, type S3Lock } from './s3-requests.ts';
import type { StoredObject } from './vault.ts';

const DEFAULT_LOCK_MS = 60_000;
/** By how much the probe extends its lock: clearly later, and soon over. */
const EXTENSION_MS = 2_000;
/** A lock that ended by our clock may still run by the store's. */
const EXPIRY_MARGIN_MS = 2_000;

/** What the control object has shown. Without it a refused deletion may be the work of a policy and proves no lock. */
type Control = 'deletes' | 'untried';

/**
 * The probe of an S3 vault, with the prune credential where there is one. It never throws for what the store does: the
 * steps say it. Leaves two tiny locked objects behind unless `waitForExpiry` is set.
 */
export async function probeS3(vault: S3Vault, clock: Clock, options: ProbeOptions, prefix: string): Promise<ProbeResult> {
  const log = new ProbeLog(options);
  const earlier = log.left;
  const run = `${prefix}${clock.nowMs()}-${randomBytes(6).toString('hex')}`;
  const lockMs = options.lockMs ?? DEFAULT_LOCK_MS;
  let canExtend: boolean | null = null;
  let multipartLock: ProbeResult['multipartLock'] = null;

  // First: with a wrong clock every other request is refused, and no lock date means anything.
  await log.step('clock', 'E_CLOCK_SKEW', async () => {
    const skew = await checkSkew(vault, clock, options.skewLimitMs);
    return ok(`the store's clock differs from ours by ${Math.round(Math.abs(skew?.skewMs ?? 0) / 1000)} s at most`);
  });
  const hasDefaultRetention = await probeBucket(vault, log);
  const control = await probeControl(vault, log, `${run}-control`, hasDefaultRetention);

  const asked: S3Lock = { mode: vault.lockMode, retainUntil: ceilToSecond(clock.now().add({ milliseconds: lockMs })) };
  const locked = await storeLocked(vault, log, `${run}-locked`, asked);
  const missing = (): CoffreError => new CoffreError('E_LOCK_UNPROVEN', 'there is no locked object to try it on');
  if (!locked && !log.isEnded) log.end(missing());

  await log.step('deletion refused', 'E_LOCK_DROPPED', () => tryDelete(vault, log, locked ?? never(), control, false));
  await log.step('shortening refused', 'E_LOCK_DROPPED', () => tryShorten(vault, locked ?? never(), asked, lockMs));
  if (vault.lockMode === 'COMPLIANCE') {
    await log.step('bypass refused', 'E_LOCK_DROPPED', () => tryDelete(vault, log, locked ?? never(), control, true));
  }
  await log.step('multipart', 'E_LOCK_DROPPED', async () => {
    const { object, kept } = await storeMultipart(vault, log, `${run}-multipart`, asked);
    multipartLock = kept ? 'kept' : 'needs explicit lock';
    const answer = await tryDelete(vault, log, object, control, false);
    if (answer.outcome === 'failed') return answer;
    const words = kept ? 'keeps the lock given at its start' : 'needs explicit lock: the one given at its start was dropped';
    return answer.outcome === 'ok' ? ok(words) : skipped(`${words}; ${answer.detail}`);
  });
  const extension = await log.step('extension', 'E_LOCK_DROPPED', async () => {
    const object = locked ?? never();
    const until = asked.retainUntil.add({ milliseconds: EXTENSION_MS });
    const lock = await vault.extendLock(object.key, object.versionId, until);
    log.keep({ ...object, lock });
    return ok(`read back: ${lock.mode} until ${lock.retainUntil}`);
  });
  if (extension.outcome !== 'skipped') canExtend = extension.outcome === 'ok';

  await log.step(EXPIRY_STEP, 'E_LOCK_UNPROVEN', () => settle(vault, clock, log, options, earlier));
  return log.result({ multipartLock, canExtend });
}

/** Reached only if a step runs although the probe has ended. */
function never(): never {
  throw new CoffreError('E_INTERNAL', 'a probe step ran without its object');
}

/** True when the bucket locks everything by default: then no unlocked control object can be made. */
async function probeBucket(vault: S3Vault, log: ProbeLog): Promise<boolean> {
  let hasDefaultRetention = false;
  const step = await log.step('bucket', 'E_NO_OBJECT_LOCK', async () => {
    const { defaultRetention } = await vault.requireObjectLock();
    hasDefaultRetention = defaultRetention !== null;
    return ok(`Object Lock and versioning are on${defaultRetention ? `, default retention ${defaultRetention}` : ''}`);
  });
  if (step.outcome === 'failed') log.end(new CoffreError('E_NO_OBJECT_LOCK', step.detail));
  return hasDefaultRetention;
}

/** Stores an unlocked object and deletes it: the same credential's refusal later is then the lock's doing. */
async function probeControl(vault: S3Vault, log: ProbeLog, key: string, hasDefaultRetention: boolean): Promise<Control> {
  let control: Control = 'untried';
  await log.step('control', 'E_LOCK_UNPROVEN', async () => {
    if (hasDefaultRetention) {
      return skipped('the bucket locks every object by default: take its default retention away, coffre sets each lock itself');
    }
    const body = Buffer.from('coffre probe: unlocked, to be deleted at once\n');
    await log.intent(key, body.length);
    const object = await vault.put({ key, body, retainUntil: null });
    await log.stored(object);
    if (object.lock) return failed(`an object stored without lock shows ${object.lock.mode} until ${object.lock.retainUntil}`);
    try {
      await vault.requests.deleteVersion(key, object.versionId);
    } catch (error) {
      if (!(error instanceof CoffreError) || error.code !== 'E_VAULT_DENIED') throw error;
      return skipped('this credential may not delete versions, so that a refusal would prove nothing: give pruneCredentialsFile');
    }
    if (await vault.stat(key, object.versionId)) return failed('an unlocked version is still there after its deletion');
    await log.released({ ...object, lockedUntil: null });
    control = 'deletes';
    return ok('an unlocked version deletes');
  });
  return control;
}

async function storeLocked(vault: S3Vault, log: ProbeLog, key: string, asked: S3Lock): Promise<StoredObject | null> {
  let object: StoredObject | null = null;
  await log.step('lock', 'E_LOCK_DROPPED', async () => {
    const body = Buffer.from('coffre probe: locked for a short time\n');
    await log.intent(key, body.length);
    // The bare request first, so that a version that was stored is known even when its lock was not.
    const versionId = await vault.requests.put(key, body, asked);
    const head = await vault.requests.head(key, versionId);
    object = { key, versionId, sizeBytes: body.length, lock: head?.lock ?? (await vault.requests.retention(key, versionId)) };
    await log.stored(object);
    if (!holds(object.lock, asked.mode, asked.retainUntil)) {
      return failed(`asked for ${asked.mode} until ${asked.retainUntil}, read back ${shown(object)}`);
    }
    return ok(`read back: ${shown(object)}`);
  });
  return object;
}

const shown = ({ lock }: StoredObject): string => (lock ? `${lock.mode} until ${lock.retainUntil}` : 'no lock');

/** Tries to delete a locked version, by the bypass if asked, and looks whether it is still there. */
async function tryDelete(vault: S3Vault, log: ProbeLog, object: StoredObject, control: Control, bypass: boolean) {
  const { key, versionId } = object;
  let refusal: string | null = null;
  try {
    await vault.requests.deleteVersion(key, versionId, bypass);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    refusal = (error as CoffreError).message;
  }
  const still = await vault.stat(key, versionId);
  if (still === null) {
    await log.released({ ...object, lockedUntil: null });
    return failed(`a locked version was deleted${bypass ? ' by the bypass' : ''}`);
  }
  if (control !== 'deletes') return skipped('refused or not, it proves nothing without a control object that deletes');
  return ok(refusal === null ? 'the store said yes and kept it' : 'refused');
}

/** Tries to end a lock earlier, without and with the bypass; what counts is the lock read back afterwards. */
async function tryShorten(vault: S3Vault, object: StoredObject, asked: S3Lock, lockMs: number) {
  const { key, versionId } = object;
  const earlier = ceilToSecond(asked.retainUntil.subtract({ milliseconds: Math.floor(lockMs / 2) }));
  const attempts: { readonly lock: S3Lock; readonly bypass: boolean }[] = [{ lock: { ...asked, retainUntil: earlier }, bypass: false }];
  if (asked.mode === 'COMPLIANCE') {
    attempts.push({ lock: { ...asked, retainUntil: earlier }, bypass: true });
    attempts.push({ lock: { mode: 'GOVERNANCE', retainUntil: asked.retainUntil }, bypass: true });
  }
  for (const { lock, bypass } of attempts) {
    try {
      await vault.requests.putRetention(key, versionId, lock, { bypass });
    } catch (error) {
      if (!isRefusal(error)) throw error;
    }
    const after = await vault.stat(key, versionId);
    if (!after || !holds(after.lock, asked.mode, asked.retainUntil)) {
      return failed(`${bypass ? 'the bypass' : 'a plain request'} changed it to ${after ? shown(after) : 'nothing'}`);
    }
  }
  // That the credential may set retentions at all is shown by the extension.
  return ok('the lock reads back unchanged');
}

/** A multipart upload of one part with lock headers, locked explicitly when the store dropped them (Ceph up to 18 does). */
async function storeMultipart(vault: S3Vault, log: ProbeLog, key: string, asked: S3Lock): Promise<{ object: StoredObject; kept: boolean }> {
  const { requests } = vault;
  const target = { Bucket: requests.bucket, Key: requests.fullKey(key) };
  const body = Buffer.from('coffre probe: one part, locked for a short time\n');
  await log.intent(key, body.length);
  const { UploadId } = await requests.call(`start upload of ${key}`, {}, (abortSignal) =>
    requests.writer.send(new CreateMultipartUploadCommand({ ...target, ...lockHeaders(asked) }), { abortSignal }),
  );
  let versionId: string | undefined;
  try {
    const { ETag } = await requests.call(`part of ${key}`, { bytes: body.length }, (abortSignal) =>
      requests.writer.send(new UploadPartCommand({ ...target, UploadId, PartNumber: 1, Body: body, ContentMD5: contentMd5(body) }), {
        abortSignal,
      }),
    );
    const done = await requests.call(`complete ${key}`, {}, (abortSignal) =>
      requests.writer.send(
        new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] } }),
        { abortSignal },
      ),
    );
    versionId = done.VersionId;
  } catch (error) {
    if (UploadId) await requests.abortUpload(key, UploadId).catch(() => {});
    throw error;
  }
  if (!versionId) throw new CoffreError('E_NO_OBJECT_LOCK', 'the store gave no version id for a multipart upload');
  const object = await vault.stat(key, versionId);
  if (object === null) throw new CoffreError('E_OBJECT_MISSING', 'a finished multipart upload is not there');
  await log.stored(object);
  if (holds(object.lock, asked.mode, asked.retainUntil)) return { object, kept: true };
  const lock = await vault.extendLock(key, versionId, asked.retainUntil);
  const locked = { ...object, lock };
  log.keep(locked);
  if (!holds(lock, asked.mode, asked.retainUntil)) throw new CoffreError('E_LOCK_DROPPED', `explicit lock reads back as ${shown(locked)}`);
  return { object: locked, kept: false };
}

/** Deletes what is left and no longer locked: objects of earlier probes, and this one's when asked to wait for them. */
async function settle(vault: S3Vault, clock: Clock, log: ProbeLog, options: ProbeOptions, earlier: readonly PendingProbeObject[]) {
  if (options.waitForExpiry) {
    const ends = log.left.map((object) => object.lockedUntil?.epochMilliseconds ?? 0);
    const waitMs = Math.max(0, ...ends) + EXPIRY_MARGIN_MS - clock.nowMs();
    if (log.left.length > 0 && waitMs > 0) await clock.sleep(waitMs, options.signal);
  }
  let deleted = 0;
  const stuck: string[] = [];
  for (const object of log.left) {
    const endedMs = clock.nowMs() - (object.lockedUntil?.epochMilliseconds ?? 0);
    if (endedMs < EXPIRY_MARGIN_MS) continue;
    try {
      await vault.deleteVersion(object.key, object.versionId);
    } catch (error) {
      if (!(error instanceof CoffreError) || (!isRefusal(error) && error.code !== 'E_LOCKED')) throw error;
      // Without a lock it is the credential that may not delete, which the control step already said.
      if (object.lockedUntil !== null) stuck.push(object.key);
      continue;
    }
    await log.released(object);
    if (object.lockedUntil !== null) deleted++;
  }
  if (stuck.length > 0 && deleted === 0 && log.steps.some((step) => step.name === 'control' && step.outcome !== 'ok')) {
    return skipped('this credential may not delete versions');
  }
  if (stuck.length > 0) return failed(`locked past its end: ${stuck.join(', ')}`);
  const waiting = log.left.flatMap((object) => object.lockedUntil ?? []);
  const last = waiting.sort(Temporal.Instant.compare).at(-1);
  const settled = deleted === 0 ? '' : `${deleted} deleted after their locks ended`;
  if (deleted > 0 && earlier.length > 0) return ok(last ? `${settled}; the rest ends by ${last}` : settled);
  if (last) return { outcome: 'pending' as const, detail: `to be deleted after ${last}` };
  return deleted > 0 ? ok(settled) : skipped('no locked object was stored');
}

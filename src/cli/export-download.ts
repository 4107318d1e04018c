// `coffre --url … export SHOP`: has the daemon make an export, waits for it, and downloads it; cut off, the same command goes on with both.
import { constants } from 'node:fs';
import { access, type FileHandle, link, lstat, open, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { basename, dirname, join, resolve } from 'node:path';
import type { Clock } from '../clock.ts';
import { asCoffreError, CoffreError, ERRORS, type ErrorCode } from '../errors.ts';
import { isId } from '../segment/id.ts';
import { writeFailure } from '../target/frame-file.ts';
import type { CliContext, Invocation } from './context.ts';
import type { DaemonClient } from './daemon/client.ts';
import { neededDaemon } from './daemon/needed.ts';
import { parseInstant } from './instant.ts';
import { formatBytes } from './output.ts';
import type { Progress } from './progress.ts';

const ASK_EVERY_MS = 2_000;
/** A connection that is cut is opened again; without a byte between two of so many cuts nobody goes on. */
const MOST_CUTS = 8;
const AGAIN_MS = 2_000;
/** What was interrupted is queued anew at once, or when its daemon is there again. */
const TAKEN_UP_WITHIN_MS = 30_000;
/** A line that is silent for so long is taken for dead. */
const SILENT_MS = 60_000;

export interface ExportCommandOptions {
  readonly to: string;
  readonly at?: string;
  readonly snapshot: readonly string[];
  readonly from?: string;
}

/** What the daemon tells of an export. */
interface ExportTold {
  readonly id: string;
  readonly state: 'queued' | 'running' | 'done' | 'failed' | 'interrupted' | 'cancelled' | 'expired';
  readonly sizeBytes: number | null;
  readonly expiresAt: string | null;
  readonly progress: { readonly doneBytes: number; readonly totalBytes: number | null } | null;
  readonly error: { readonly code: string; readonly message: string; readonly hint: string } | null;
  /** The export that makes it anew; a daemon of an older version does not say it. */
  readonly continuedBy?: string | null;
}

export async function downloadExport(context: CliContext, invocation: Invocation, shop: string, options: ExportCommandOptions) {
  if (options.snapshot.length > 0 || options.from !== undefined)
    throw new CoffreError('E_USAGE', '--snapshot and --from are for an export on the daemon’s own machine');
  const file = resolve(options.to);
  if (!file.endsWith('.tar.zst'))
    throw new CoffreError('E_USAGE', 'what the daemon exports is compressed: give --to a name that ends with .tar.zst');
  if (await isThere(file)) {
    throw new CoffreError('E_TARGET_NOT_EMPTY', `${file} is there already`, { hint: 'an export never replaces a file: give another name' });
  }
  await demandFolder(file);
  const daemon = await neededDaemon(invocation);
  const { signal } = invocation;
  const at = options.at === undefined ? null : parseInstant(options.at, invocation.timezone()).toString();
  const part = new PartFile(file, `${daemon.where} ${shop} ${at ?? 'newest'}`);
  const bar = invocation.progress(`export ${shop}`);
  const path = `/shops/${encodeURIComponent(shop)}/exports`;
  const begun = await part.begun();
  const known = begun === null ? null : await stillThere(daemon, path, begun, signal);
  const asked = known ?? ((await daemon.order(path, { at }, signal)) as { readonly export: string }).export;
  if (asked !== begun) await part.begin(asked);
  const made = await untilMade(daemon, context.clock, path, asked, bar, signal);
  const { id } = made;
  if (id !== asked) await part.begin(id);
  bar.title(`download ${shop}`);
  const sizeBytes = made.sizeBytes ?? 0;
  await download({ daemon, clock: context.clock, path: `${path}/${id}/content`, sizeBytes, part, bar, signal });
  await part.finish(sizeBytes);
  const document = { shop, file, export: id, sizeBytes, expiresAt: made.expiresAt };
  return {
    document,
    text: `${file}: ${formatBytes(sizeBytes)}; README.txt and LISEZMOI.txt in it say how it is unpacked; it is not encrypted: keep it safe`,
  };
}

/** An export that was begun for this very file, or the one that makes it anew, and can still be had; null: a new one is needed. */
async function stillThere(daemon: DaemonClient, path: string, begun: string, signal: AbortSignal): Promise<string | null> {
  try {
    for (let id = begun; ; ) {
      const { continuedBy = null, state } = (await daemon.read(`${path}/${id}`, signal)) as ExportTold;
      if (state === 'queued' || state === 'running' || state === 'done') return id;
      if (continuedBy === null) return null;
      id = continuedBy;
    }
  } catch (error) {
    if (error instanceof CoffreError && error.code === 'E_NOT_FOUND') return null;
    throw error;
  }
}

/** What gives way to a restore, or ends with its daemon, is made anew under another id. Throws what made it fail. */
async function untilMade(
  daemon: DaemonClient,
  clock: Clock,
  path: string,
  asked: string,
  bar: Progress,
  signal: AbortSignal,
): Promise<ExportTold> {
  let id = asked;
  let interruptedAtMs: number | null = null;
  for (;;) {
    const told = (await daemon.untilAnswered(() => daemon.read(`${path}/${id}`, signal), signal)) as ExportTold;
    if (told.state === 'done') return told;
    if (told.continuedBy) {
      id = told.continuedBy;
      interruptedAtMs = null;
      continue;
    }
    interruptedAtMs = told.state === 'interrupted' ? (interruptedAtMs ?? clock.monotonicMs()) : null;
    const isTakenUp = interruptedAtMs !== null && clock.monotonicMs() - interruptedAtMs < TAKEN_UP_WITHIN_MS;
    if (told.state !== 'queued' && told.state !== 'running' && !isTakenUp) {
      const { code = 'E_INTERRUPTED', message = `the export is ${told.state}`, hint = '' } = told.error ?? {};
      throw new CoffreError(Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'E_INTERNAL', message, { hint });
    }
    if (told.progress) bar.update({ doneBytes: told.progress.doneBytes, totalBytes: told.progress.totalBytes });
    await clock.sleep(ASK_EVERY_MS, signal);
  }
}

interface Download {
  readonly daemon: DaemonClient;
  readonly clock: Clock;
  readonly path: string;
  readonly sizeBytes: number;
  readonly part: PartFile;
  readonly bar: Progress;
  readonly signal: AbortSignal;
}

/** Goes on where the part ends, as often as the connection is cut. */
async function download({ daemon, clock, path, sizeBytes, part, bar, signal }: Download): Promise<void> {
  let etag: string | null = null;
  let cuts = 0;
  for (let have = await part.open(sizeBytes); have < sizeBytes; ) {
    const before = have;
    try {
      const response: IncomingMessage = await daemon.download(path, { from: have, etag }, signal);
      const said = response.headers.etag ?? null;
      // something else than what was begun
      if (response.statusCode !== 206 || (etag !== null && said !== etag)) have = await part.restart();
      etag = said;
      for await (const chunk of watched(response, clock, signal)) {
        if (have + chunk.length > sizeBytes) throw new CoffreError('E_DAEMON_VERSION', 'the download is longer than the export');
        await part.write(chunk, have);
        have += chunk.length;
        bar.update({ doneBytes: have, totalBytes: sizeBytes });
      }
    } catch (error) {
      signal.throwIfAborted();
      const failure = asCoffreError(error, 'E_DAEMON_UNREACHABLE', 'the download was cut off');
      if (failure.code !== 'E_DAEMON_UNREACHABLE') throw failure;
      cuts = have > before ? 1 : cuts + 1;
      if (cuts >= MOST_CUTS) throw failure;
      await clock.sleep(AGAIN_MS, signal);
    }
  }
}

async function* watched(response: IncomingMessage, clock: Clock, signal: AbortSignal): AsyncGenerator<Buffer> {
  const onAbort = (): void => void response.destroy(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const arm = () =>
    clock.after(SILENT_MS, () => void response.destroy(new CoffreError('E_DAEMON_UNREACHABLE', 'the download stands still')));
  let timer = arm();
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      timer.cancel();
      yield chunk;
      timer = arm();
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof CoffreError ? error : new CoffreError('E_DAEMON_UNREACHABLE', 'the download was cut off', { cause: error });
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', onAbort);
  }
}

/** What came so far, beside the file; and what it is of, so that another command does not go on with it. */
class PartFile {
  readonly #file: string;
  readonly #part: string;
  readonly #note: string;
  readonly #of: string;
  #handle: FileHandle | null = null;

  constructor(file: string, of: string) {
    this.#file = file;
    this.#of = of;
    this.#part = join(dirname(file), `.${basename(file)}.coffre-part`);
    this.#note = join(dirname(file), `.${basename(file)}.coffre-export`);
  }

  /** Id of the export that a command for the same was downloading; null: none. */
  async begun(): Promise<string | null> {
    const note = await readFile(this.#note, 'utf8').catch(() => '');
    const [id = '', of] = note.trimEnd().split('\n');
    return isId(id) && of === this.#of ? id : null;
  }

  async begin(id: string): Promise<void> {
    try {
      await rm(this.#part, { force: true });
      await writeFile(this.#note, `${id}\n${this.#of}\n`, { mode: 0o600 });
    } catch (error) {
      throw writeFailure(this.#note, error);
    }
  }

  /** How much is there. What is longer than it may be is begun anew. */
  async open(sizeBytes: number): Promise<number> {
    try {
      this.#handle = await open(this.#part, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
      const { size } = await this.#handle.stat();
      return size > sizeBytes ? await this.restart() : size;
    } catch (error) {
      throw writeFailure(this.#part, error);
    }
  }

  async restart(): Promise<number> {
    await this.#handle?.truncate(0);
    return 0;
  }

  async write(chunk: Buffer, at: number): Promise<void> {
    try {
      for (let done = 0; done < chunk.length; )
        done += (await (this.#handle as FileHandle).write(chunk, done, chunk.length - done, at + done)).bytesWritten;
    } catch (error) {
      throw writeFailure(this.#part, error);
    }
  }

  /** Gives it its name, once it is on the disk. Throws E_TARGET_NOT_EMPTY when that was taken meanwhile. */
  async finish(sizeBytes: number): Promise<void> {
    try {
      await this.#handle?.sync();
      await this.#handle?.close();
      if ((await lstat(this.#part)).size !== sizeBytes) throw new CoffreError('E_INTERNAL', `${this.#part} is not as long as the export`);
      await link(this.#part, this.#file);
      await unlink(this.#part);
      await unlink(this.#note);
      const folder = await open(dirname(this.#file));
      await folder.sync().finally(() => folder.close());
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw new CoffreError('E_TARGET_NOT_EMPTY', `${this.#file} is there already`);
      throw writeFailure(this.#file, error);
    }
  }
}

/** Before the daemon works for hours. Throws E_TARGET_WRITE. */
async function demandFolder(file: string): Promise<void> {
  try {
    await access(dirname(file), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw writeFailure(file, error);
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch {
    return false;
  }
}

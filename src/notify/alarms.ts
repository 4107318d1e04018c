// What is red now, as it is told to people: from the survey of the shops and the state of the daemon, in words without anybody's data. Pure.

import { type BreachCase, breachState } from '../catalog/breaches.ts';
import { ERRORS, type ErrorCode } from '../errors.ts';
import type { Alarm, AlarmKind } from '../schedule/alarm.ts';
import type { Service } from '../schedule/service.ts';
import { breachDetail } from '../schedule/status-breach.ts';
import type { SourceStatus } from '../schedule/status-source.ts';
import type { ShopSurvey } from '../schedule/survey.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';

/** Kinds of a shop's status, and what is about the daemon or about not knowing. */
export type NoticeKind = AlarmKind | 'unknown' | 'config' | 'hung' | 'statement' | 'state';

/** Something red of one shop, or of the daemon (`_coffre`). */
export interface Notice {
  /** The same as long as it is the same thing, whatever its figures. */
  readonly id: string;
  readonly shop: string;
  readonly kind: NoticeKind;
  /** What is read; of an incident its kind, of a statement its contract. */
  readonly source: string | null;
  readonly vault: string | null;
  readonly code: string | null;
}

/**
 * Sentences, and not those of `coffre status`: a message leaves the machine, and an error's own text may name files, tables and hosts.
 * What is in braces is filled in.
 */
const SENTENCES: Readonly<Record<NoticeKind, string>> = {
  undeclared: 'nothing is declared to be backed up',
  snapshot: '{source}: no good snapshot that is new enough',
  full: '{source}: no good full archive that is new enough',
  run: '{source}: the last backup failed',
  lock: '{source}: the newest good snapshot is not known to be locked',
  clock: 'something is dated in the future: a clock is or was wrong',
  copies: 'the copies are not three, on two kinds of media, one off site',
  immutable: 'no copy that nobody can alter',
  verification: 'stored copies failed verification',
  lacking: 'vault {vault} lacks snapshots',
  damaged: 'vault {vault} holds snapshots with damaged objects',
  probe: 'vault {vault}: its lock is not proven',
  prune: 'prune failed or has not run',
  reconcile: 'what the vaults hold was not compared with the catalog',
  checkpoint: 'vault {vault} has no new checkpoint of the daemon’s state',
  foreign: 'versions on our keys are not ours',
  incident: 'vault {vault}: something is not as coffre left it ({source})',
  reading: 'vault {vault}: stored bytes were not read back for too long',
  recovery: 'a restore would take longer than the plan promises',
  request: 'a restore that was approved failed, is later than promised, or waits for root to begin it',
  closed: 'a restore in place was cut off or failed: the shop shows its maintenance page, and is not backed up',
  drill: 'a drill was not passed, or none came when one was due: that the shop comes back is not known',
  breach: 'vault {vault}: tampering or loss: the client has to be told, case {source}',
  'breach-overdue': 'OVERDUE: vault {vault}: tampering or loss, and the client was not told in time, case {source}',
  unknown: 'how the shop stands cannot be read',
  config: 'the configuration was refused, the one before is in force',
  hung: 'a run was told to stop and does not',
  statement: 'contract {source}: a statement that is due was not issued',
  state: 'the daemon cannot work with its state: nothing is backed up meanwhile',
};

/** What to do where no error says it. */
const REMEDIES: Readonly<Partial<Record<NoticeKind, string>>> = {
  snapshot: 'coffre run list shows what its backups ended with',
  full: 'coffre run list shows what its backups ended with',
  lock: 'coffre prune SHOP locks it again, coffre verify SHOP asks the vaults',
  clock: 'coffre doctor compares the clocks',
  copies: 'coffre doctor SHOP says which vaults count',
  immutable: 'coffre doctor SHOP says which vaults count',
  verification: 'coffre verify SHOP --read-data says which; a catch-up stores them anew from another vault',
  lacking: 'repair the vault: the daemon then copies what it lacks, coffre catch-up SHOP does it at once',
  damaged: 'the daemon stores them anew from another vault, coffre catch-up SHOP does it at once',
  probe: 'coffre doctor probes it and says which step failed',
  prune: 'coffre prune SHOP tries again',
  reconcile: 'coffre reconcile SHOP tries again',
  checkpoint: 'repair the vault, then coffre catalog checkpoint',
  foreign: 'coffre reconcile SHOP names them',
  reading: 'is the daemon running? coffre verify SHOP --read-data reads them',
  recovery: 'coffre estimate SHOP says where the time goes, and what would make it faster',
  request: 'coffre request list SHOP says which, coffre request show ID why',
  closed: 'as root: coffre restore SHOP --in-place goes on with it, with --rollback it goes back',
  breach: 'coffre breach show ID drafts the notice; coffre breach sent ID once it was sent, coffre breach close ID for a false alarm',
  'breach-overdue': 'send it now: coffre breach show ID drafts it; then coffre breach sent ID',
  drill: 'coffre drill list SHOP shows the evidence, coffre drill SHOP drills it now',
  statement: 'coffre billing statement --contract NAME --month YYYY-MM --issue says what is missing, or issues it',
  hung: 'coffre run list names it; a mount or a server that hangs holds it, and restarting coffre ends it',
};

export function describeNotice({ kind, source, vault }: Pick<Notice, 'kind' | 'source' | 'vault'>): string {
  return SENTENCES[kind].replace('{source}', source ?? 'a source').replace('{vault}', vault ?? 'of a shop');
}

/** What can be done: the error's own hint where one went wrong. */
export function remedyOf({ code, kind }: Pick<Notice, 'kind' | 'code'>): string {
  const known = code !== null && Object.hasOwn(ERRORS, code) ? ERRORS[code as ErrorCode].hint : undefined;
  return known ?? REMEDIES[kind] ?? 'coffre status says more';
}

/** What the error means, where one went wrong; null: none did, or it is not of the table. */
export function meaningOf(code: string | null): string | null {
  return code !== null && Object.hasOwn(ERRORS, code) ? ERRORS[code as ErrorCode].means : null;
}

/** Shops with the same trouble for the same reason are told of together. */
export const groupOf = ({ code, kind, shop, source, vault }: Omit<Notice, 'id'>): string =>
  [kind, source ?? '', vault ?? '', code ?? '', shop === DAEMON_SHOP ? shop : ''].join(' ');

export const noticeOf = (shop: string, alarm: Omit<Notice, 'id' | 'shop'>): Notice => {
  const { code, kind, source, vault } = alarm;
  return { id: [shop, kind, source ?? '-', vault ?? '-'].join(' '), shop, kind, source, vault, code };
};

/** Kinds that a new shop is red of for no other reason than that it has no snapshot yet. */
const UNTIL_FIRST_BACKUP: ReadonlySet<AlarmKind> = new Set<AlarmKind>(['snapshot', 'copies', 'immutable']);

/** Its first backup waits or runs, or is taken up: none has come to an end. Of a source that nobody backs up there is none to wait for. */
function awaitsFirstBackup({ lastRun, newestGood, nextRun }: SourceStatus): boolean {
  if (newestGood !== null) return false;
  return lastRun === null ? nextRun !== null : lastRun.state === 'running' || lastRun.state === 'interrupted';
}

const isOfFirstBackup = ({ kind, source }: Alarm, sources: readonly SourceStatus[]): boolean =>
  UNTIL_FIRST_BACKUP.has(kind) && sources.some((one) => awaitsFirstBackup(one) && (source === null || source === one.source));

/** What is red without being in the status of a declared shop. */
export interface OfNoShop {
  readonly unbilled?: readonly string[];
  readonly breaches?: readonly BreachCase[];
  /** Epoch milliseconds. */
  readonly nowMs?: number;
}

/**
 * Of shops that were looked at. What is not known of a shop is in `unknown`: of it nothing is said to be green again. `early`: ids of what is
 * red only until a first backup has ended. `unbilled`: contracts whose statement is overdue; `breaches`: cases that are in no shop's status.
 */
export function currentNotices(
  surveys: readonly ShopSurvey[],
  state: Pick<Service['state'], 'configProblem' | 'running'>,
  { breaches = [], nowMs = 0, unbilled = [] }: OfNoShop = {},
): { readonly red: readonly Notice[]; readonly unknown: ReadonlySet<string>; readonly early: ReadonlySet<string> } {
  const red = new Map<string, Notice>();
  const unknown = new Set<string>();
  const early = new Set<string>();
  const add = (notice: Notice): void => void (red.has(notice.id) || red.set(notice.id, notice));
  const nothing = { source: null, vault: null, code: null };
  for (const { error, shop, status } of surveys) {
    if (status === null) {
      unknown.add(shop);
      add(noticeOf(shop, { ...nothing, kind: 'unknown', code: error?.code ?? null }));
    }
    for (const alarm of status?.alarms ?? []) {
      const notice = noticeOf(shop, { ...alarm, source: alarm.detail ?? alarm.source });
      add(notice);
      if (status !== null && isOfFirstBackup(alarm, status.sources)) early.add(notice.id);
    }
  }
  if (state.configProblem !== null) add(noticeOf(DAEMON_SHOP, { ...nothing, kind: 'config', code: state.configProblem.code }));
  for (const contract of unbilled) add(noticeOf(DAEMON_SHOP, { ...nothing, kind: 'statement', source: contract }));
  for (const row of breaches) {
    const about = { source: breachDetail(row), vault: row.vault, code: null };
    add(noticeOf(DAEMON_SHOP, { ...about, kind: 'breach' }));
    if (breachState(row, nowMs) === 'overdue') add(noticeOf(DAEMON_SHOP, { ...about, kind: 'breach-overdue' }));
  }
  for (const run of state.running) if (run.hung) add(noticeOf(run.shop, { ...nothing, kind: 'hung', source: run.source }));
  return { red: [...red.values()], unknown, early };
}

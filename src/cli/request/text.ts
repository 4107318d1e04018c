// Restore requests in words: what one would mean, how it stands, and what its clock says.
import { Temporal } from 'temporal-polyfill';
import { isOpen } from '../../restore/request-life.ts';
import type { RequestPreview } from '../../restore/request-preview.ts';
import type { PreviewNow } from '../../schedule/request-desk.ts';
import type { HistoryDocument, RequestClock, RequestDocument, ResultDocument } from '../../schedule/request-document.ts';
import { formatBytes, formatDuration, formatInstant, table } from '../output.ts';
import type { RequestInFull, RequestInList } from './desk.ts';

const at = (instant: string, zone: string): string => formatInstant(Temporal.Instant.from(instant), zone);

/** `role`: of whoever reads it. */
export function describePreview(preview: PreviewNow, zone: string, role: 'client' | 'operator'): string {
  const { clockStarts, deadline, targetMs, unattended } = preview;
  const starts = clockStarts === null ? '' : `; the clock starts at ${at(clockStarts, zone)}`;
  const begins = unattended
    ? 'by itself, as soon as it is approved'
    : role === 'client'
      ? 'by those who look after the backups, once it is approved'
      : 'by hand, once it is approved: coffre request run ID, as root';
  // a daemon of an older version does not say
  const { openSince = null } = preview as Partial<PreviewNow>;
  return [
    `${preview.shop}: what would be restored${preview.at === null ? '' : `, as of ${at(preview.at, zone)}`}`,
    ...describeChosen(preview, zone, true),
    takesText(preview),
    `  promised   within ${formatDuration(targetMs)}: by ${at(deadline, zone)} if it is approved now${starts}`,
    `  begun      ${begins}`,
    ...(openSince === null ? [] : [`  now        ${openText(preview.shop, at(openSince, zone), role)}`]),
  ].join('\n');
}

function openText(shop: string, since: string, role: 'client' | 'operator'): string {
  const open = `a restore of the shop is open since ${since}, and the shop perhaps closed`;
  if (role === 'client') return `${open}: those who look after the backups have to end that one first`;
  return `${open}: that comes first; as root coffre restore ${shop} --in-place goes on with it, --rollback goes back`;
}

/** `isNow`: it was just made; of what was shown long ago the ages are no news. */
function describeChosen(preview: RequestPreview, zone: string, isNow: boolean): string[] {
  const { gapMs, lost, paths, snapshots, tables } = preview;
  const [database, files] = (['database', 'files'] as const).map((source) => snapshots.find((one) => one.source === source));
  const lines = snapshots.map(({ ageMs, asOf, files: count, good, plainBytes, source, tables: tableCount }) => {
    const counts = source === 'database' ? (tableCount === null ? '' : `, ${tableCount} tables`) : count === null ? '' : `, ${count} files`;
    const bad = good ? '' : '  (not good: coffre snapshots says why)';
    const age = isNow ? `, ${formatDuration(ageMs)} ago` : '';
    return `  ${source.padEnd(9)}  as of ${at(asOf, zone)}${age}, ${formatBytes(plainBytes)}${counts}${bad}`;
  });
  if (tables.length > 0) lines.push(`  tables     ${tables.join(', ')}`);
  if (paths.length > 0) lines.push(`  paths      ${paths.join(', ')}`);
  // a request of a daemon of an older version says nothing of these
  const { emptied = [], unknown = [] } = preview;
  if (emptied.length > 0) lines.push(`  emptied    ${emptied.join(', ')}: rows of these are left out of backups, and are lost`);
  if (unknown.length > 0) lines.push(`  not known  whether the snapshot holds ${unknown.join(', ')}: only the restore can tell`);
  if (gapMs !== null && database && files) {
    const newer = database.asOf > files.asOf ? 'the database is newer than the files by' : 'the files are newer than the database by';
    lines.push(`  gap        ${gapMs === 0 ? 'none' : `${newer} ${formatDuration(gapMs)}`}`);
  }
  for (const { newerSafety = 0, newerSnapshots, since, source, spanMs } of lost) {
    const safety = newerSafety === 0 ? '' : newerSafety === newerSnapshots ? ' (safety)' : ` (${newerSafety} of them safety)`;
    const newer =
      newerSnapshots === 0 ? '' : `; ${newerSnapshots} newer ${newerSnapshots === 1 ? 'snapshot is' : 'snapshots are'} not taken${safety}`;
    lines.push(`  lost       ${lostOf(source, preview)} since ${at(since, zone)} (${formatDuration(spanMs)}${newer})`);
  }
  return lines;
}

const takesText = ({ estimate }: RequestPreview): string =>
  estimate === null
    ? '  takes      not known: no restore of this shop or host was measured'
    : `  takes      about ${formatDuration(estimate.expectedMs)} (${formatDuration(estimate.lowMs)} to ${formatDuration(estimate.highMs)})`;

/** What it came to: how long, what was looked at, and the way back. */
function resultLines({ checked, checks, durationMs, maintenanceMs, safety }: ResultDocument, shop: string, role: 'client' | 'operator') {
  const ids = [safety?.files, safety?.database].flatMap((id) => id ?? []);
  const closed = maintenanceMs === null ? '' : `, ${formatDuration(maintenanceMs)} of it in maintenance`;
  const looked = checked.length > 0 ? checked : [`${checks} ${checks === 1 ? 'thing' : 'things'} before the shop was opened`];
  const back =
    role === 'client'
      ? `those who look after the backups can go back to it: safety ${ids.join(' and ')}`
      : ids.map((id) => `coffre restore ${shop} --in-place --snapshot ${id}`).join('; then ');
  return [
    `  took       ${formatDuration(durationMs)}${closed}`,
    ...looked.map((check) => `  checked    ${check}`),
    `  as before  ${ids.length === 0 ? 'no safety snapshot was taken' : back}`,
  ];
}

function lostOf(source: string, { paths, tables }: RequestPreview): string {
  if (source === 'database') return tables.length > 0 ? 'what was written into these tables' : 'orders, customers, everything written';
  return paths.length > 0 ? 'what was changed of these files' : 'files added or changed';
}

/** `3 h 12 min left, until 2026-11-23 16:00:00+01:00`. */
export function clockText({ deadline, holiday, leftMs, resumesAt, state }: RequestClock, zone: string): string {
  if (state === 'kept') return `kept, with ${formatDuration(leftMs)} left`;
  if (state === 'broken') return `broken by ${formatDuration(-leftMs)}: it was due at ${at(deadline, zone)}`;
  const left = `${formatDuration(leftMs)} left, until ${at(deadline, zone)}`;
  if (resumesAt === null) return left;
  return `${left}; paused until ${at(resumesAt, zone)}${holiday === null ? '' : ` (${holiday})`}`;
}

/** `role`: of whoever reads it. */
export function listText(requests: readonly RequestInList[], zone: string, role: 'client' | 'operator'): string {
  const waiting = role === 'operator' ? requests.filter(({ state, unattended = true }) => state === 'approved' && !unattended) : [];
  const listed = table(
    ['request', 'shop', 'state', 'what', 'asked for', 'by', 'clock'].map((title) => ({ title })),
    requests.map((one) => [
      ...[one.id, one.shop, one.state, whatText(one), at(one.createdAt, zone), one.createdBy ?? one.createdRole],
      one.clock === null ? '-' : clockText(one.clock, zone),
    ]),
    'no restore was asked for',
  );
  return [listed, ...waiting.map(({ id }) => `nothing begins ${id} by itself: coffre request run ${id}, as root`)].join('\n');
}

function whatText({ preview }: RequestDocument): string {
  const sources = preview.snapshots.map(({ source }) => source).join(' and ');
  const parts = preview.tables.length + preview.paths.length;
  return parts === 0 ? sources : `${sources}, in part`;
}

/** `role`: of whoever reads it. */
export function describeRequest(request: RequestInFull, zone: string, role: 'client' | 'operator'): string {
  const { clock, createdBy, createdRole, error, history, id, preview, result = null, run, shop, state, step } = request;
  const said = state === 'rolled-back' ? `${state}: the restore was gone back from, and the shop is as it was before it` : state;
  const lines = [`request ${id}: restore ${shop}`, `  state      ${said}${step === null ? '' : `: ${step}`}`];
  lines.push(`  asked for  ${at(request.createdAt, zone)} by ${createdBy ?? createdRole}`);
  if (request.approvedAt !== null)
    lines.push(`  approved   ${at(request.approvedAt, zone)} by ${request.approvedBy ?? request.approvedRole}`);
  if (clock !== null) lines.push(`  clock      ${clockText(clock, zone)}`);
  if (request.heldMs > 0) lines.push(`  held       ${formatDuration(request.heldMs)}, and the clock went on`);
  lines.push(...describeChosen(preview, zone, false));
  if (result !== null) lines.push(...resultLines(result, shop, role));
  else if (!isOver(state)) lines.push(takesText(preview));
  if (request.endedAt !== null) lines.push(`  ended      ${at(request.endedAt, zone)}`);
  if (run !== null) lines.push(`  run        ${run}`);
  if (error !== null) {
    lines.push(`  error      ${error.message} [${error.code}]`);
    if (error.hint) lines.push(`  HINT       ${error.hint}`);
  }
  for (const event of history) lines.push(historyLine(event, zone));
  return lines.join('\n');
}

const isOver = (state: RequestInFull['state']): boolean => !isOpen(state) && state !== 'failed';

function historyLine({ at: when, error = null, reason, role, verb, who }: HistoryDocument, zone: string): string {
  const said = error?.message ? `${error.message} [${error.code}]` : error?.code;
  const why = [reason, said].flatMap((one) => one ?? []).join('; ');
  return `  ${at(when, zone)}  ${verb.padEnd(8)} ${who ?? role}${why === '' ? '' : `: ${why}`}`;
}

/** What is to be done next, and by whom; null: nothing. */
export function nextText(
  {
    id,
    restoreOpen = false,
    shop,
    state,
    told = false,
    unattended = true,
  }: Pick<RequestInFull, 'id' | 'state' | 'shop' | 'unattended' | 'restoreOpen' | 'told'>,
  { role, hasDaemon }: { readonly role: 'client' | 'operator'; readonly hasDaemon: boolean },
): string | null {
  const run = `coffre request run ${id}`;
  if (state === 'requested') {
    if (role === 'client')
      return `coffre request approve ${id} ${unattended ? 'starts it' : 'lets it be begun'}; until then nothing happens`;
    const then = unattended ? '' : `; nothing begins by itself, so after it, as root: ${run}`;
    return `it waits for the approval of ${shop}’s owner; in an emergency: coffre request approve ${id} --reason TEXT${then}`;
  }
  if (state === 'held') {
    const release = role === 'client' ? 'it waits until an operator releases it' : `coffre request release ${id} ends the hold`;
    return `${release}; the clock of what is approved goes on`;
  }
  if (state === 'failed') {
    const end = `coffre request cancel ${id}, if it is not wanted any more`;
    if (role === 'client') {
      const heard = told
        ? 'those who look after the backups were told'
        : `no message to those who look after the backups got through: tell them, and name request ${id}`;
      return `${heard}; ${restoreOpen ? 'the shop is perhaps closed until they end its restore, or go back' : end}`;
    }
    const back = `back to the shop as it was, as root: coffre restore ${shop} --in-place --rollback, which ends the request`;
    return `once the cause is mended: ${unattended ? `coffre request retry ${id}` : `${run}, as root`}; or ${restoreOpen ? back : end}`;
  }
  if (state !== 'approved') return null;
  if (role === 'client') {
    const begun = unattended ? '' : 'those who look after the backups begin it; ';
    return `${begun}coffre request show ${id} --follow shows how it goes`;
  }
  if (!unattended) {
    return `nothing begins by itself (restore.unattended is not true, or no restore unit is there to be asked), and the clock runs; as root: ${run}`;
  }
  return hasDaemon
    ? `coffre request show ${id} --follow shows how it goes`
    : `no daemon runs: it begins once one does (systemctl start coffre), and the clock runs; at once, as root: ${run}`;
}

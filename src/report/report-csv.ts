// A report as one table: a row for each thing that was done or happened, in the order of time. Decimals as people of the language write them.
import { csvOf, freeText, type Separator } from '../document/csv.ts';
import type { Language } from '../document/wording.ts';
import { causeIn } from './causes.ts';
import type { Report } from './report-schema.ts';

/** Names of columns are the same in every language: programs read them. */
const COLUMNS = [
  ...['shop', 'row', 'id', 'at', 'ended_at', 'source', 'vault', 'outcome', 'code', 'gigabytes', 'hours', 'target_hours', 'deadline'],
  ...['from', 'to', 'note'],
] as const;
type Cells = Partial<Record<(typeof COLUMNS)[number], string | null>>;

/**
 * `row` is the kind of a run (backup, verify …), drill, request, incident, breach, hold, change or volume (a day: gigabytes is its peak). Of drills
 * and requests hours is what was counted, target_hours the promise. `note`: why it failed, or what operators said.
 */
export function reportCsv(report: Report, language: Language, separator: Separator = ','): string {
  const decimal = (value: number | null): string | null =>
    value === null ? null : language === 'fr' ? String(value).replace('.', ',') : String(value);
  const gigabytes = (bytes: number | null): string | null => decimal(bytes === null ? null : Number((bytes / 1e9).toFixed(6)));
  const hours = (ms: number | null): string | null => decimal(ms === null ? null : Number((ms / 3_600_000).toFixed(4)));
  const cause = (code: string | null): string | null => (code === null ? null : causeIn(language, code));
  const note = (said: string | null): string | null => (said === null ? null : freeText(said));
  const rows: Cells[] = [
    ...report.runs
      // a drill has its own row below, with what it found
      .filter(({ kind }) => kind !== 'drill')
      .map(({ bytes, code, endedAt, kind, run, source, startedAt, state }) => ({
        ...{ row: kind, id: run, at: startedAt, ended_at: endedAt, source, outcome: state, code, gigabytes: gigabytes(bytes) },
        note: cause(code),
      })),
    ...report.drills.map(({ code, drill, endedAt, outcome, restoreMs, startedAt, targetMs, vault }) => ({
      ...{
        row: 'drill',
        id: drill,
        at: startedAt,
        ended_at: endedAt,
        vault,
        outcome,
        code,
        hours: hours(restoreMs),
        target_hours: hours(targetMs),
        note: cause(code),
      },
    })),
    ...report.requests.map(({ countedMs, createdAt, deadline, endedAt, leftMs, outcome, request, state }) => ({
      ...{ row: 'request', id: request, at: createdAt, ended_at: endedAt, outcome: outcome ?? state, hours: hours(countedMs), deadline },
      target_hours: countedMs === null || leftMs === null ? null : hours(countedMs + leftMs),
    })),
    ...report.incidents.map(({ acknowledgedAt, firstSeenAt, goneAt, incident, kind, reason, sizeBytes, vault }) => ({
      ...{ row: 'incident', id: incident, at: firstSeenAt, ended_at: goneAt ?? acknowledgedAt, vault, outcome: kind },
      ...{ gigabytes: gigabytes(sizeBytes), note: note(reason) },
    })),
    ...report.breaches.map(({ breach, closedAt, deadline, openedAt, reason, sentAt, vault }) => ({
      ...{ row: 'breach', id: breach, at: openedAt, ended_at: sentAt ?? closedAt, vault, deadline, note: note(reason) },
      outcome: sentAt !== null ? 'sent' : closedAt !== null ? 'closed' : 'open',
    })),
    ...(report.holds ?? []).map(({ hold, placedAt, reason, releasedAt }) => ({
      ...{ row: 'hold', id: hold, at: placedAt, ended_at: releasedAt, note: note(reason) },
    })),
    ...report.changes.map(({ at, from, reason, to, what }) => ({ row: 'change', id: what, at, from, to, note: note(reason) })),
  ];
  // to the second: with a fraction the text of a later instant may come first
  const second = ({ at }: Cells): string => (at ?? '').slice(0, 19);
  rows.sort((a, b) => (second(a) < second(b) ? -1 : second(a) > second(b) ? 1 : 0));
  const days = report.days
    .filter(({ peakBytes }) => peakBytes !== null)
    .map(({ day, peakBytes }) => ({ row: 'volume', at: day, gigabytes: gigabytes(peakBytes) }));
  const table = [...rows, ...days].map((cells: Cells) =>
    COLUMNS.map((column) => (column === 'shop' ? report.shop : (cells[column] ?? null))),
  );
  return csvOf([COLUMNS, ...table], separator);
}

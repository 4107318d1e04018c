// A report as one page that needs nothing else and prints on A4, for the shop's owner.
import { Temporal } from 'temporal-polyfill';
import { type Html, html, htmlPage } from '../document/html.ts';
import { bytesIn, dayEndingAt, dayIn, durationIn, type Language, momentIn, shortMomentIn, wholeNumber } from '../document/wording.ts';
import { causeIn } from './causes.ts';
import { type Cell, PAGE_STYLE, type Plain, table } from './page-parts.ts';
import { calendarPlots, volumePlot } from './report-plots.ts';
import type { Report } from './report-schema.ts';
import { changeName, type ReportWords, reportWords } from './report-words.ts';
import { termIn } from './terms.ts';

/** Whole, as HTML. Nothing is fetched, nothing is run. */
export function reportPage(report: Report, language: Language): string {
  const words = reportWords(language);
  const { period, shop } = report;
  const zone = period.timezone;
  const day = (text: string): string => dayIn(language, Temporal.PlainDate.from(text));
  const made = momentIn(language, Temporal.Instant.from(report.madeAt).epochMilliseconds, zone);
  const span = words.period(day(period.from), day(period.to));
  const plot = volumePlot(report, words, language);
  const body = html`<header>
<div><h1>${words.title}</h1><p><strong>${shop}</strong></p></div>
<div class="right"><p><strong>${span}</strong></p>
${report.plan === null ? null : html`<p>${words.plan}${language === 'fr' ? '\u00a0' : ''}: ${report.plan}</p>`}
<p>${words.state}${language === 'fr' ? '\u00a0' : ''}: ${words.states[report.state]}</p>
<p><small>${words.made(made)}</small></p></div>
</header>
${notes(report, words, language)}
<h2>${words.summary}</h2>
${figures(report, words, language)}
<h2>${words.volumeTitle}</h2>
${plot === null ? html`<p>${words.unknown}</p>` : html`<figure>${plot}<figcaption><small>${words.volumeCaption}</small></figcaption></figure>`}
${vaultTable(report, words, language)}
<h2>${words.calendarTitle}</h2>
${calendarPlots(report, words, language).map((plot) => html`<figure>${plot}</figure>\n`)}
${new Sections(report, words, language).all()}
<footer><p>${words.footer} ${words.zone(zone)}.</p></footer>`;
  return htmlPage({ language, title: `${words.title} – ${shop} – ${span}`, style: PAGE_STYLE, body });
}

function notes({ complete, madeAt, period }: Report, words: ReportWords, language: Language): Html {
  const when = (text: string): string => momentIn(language, Temporal.Instant.from(text).epochMilliseconds, period.timezone);
  const today = Temporal.Instant.from(madeAt).toZonedDateTimeISO(period.timezone).toPlainDate();
  const said = [
    complete.runs === null ? null : words.incompleteRuns(when(complete.runs)),
    complete.changes === null ? null : words.incompleteChanges(when(complete.changes)),
    complete.volume === null ? null : words.incompleteVolume(when(complete.volume)),
    Temporal.PlainDate.compare(today, Temporal.PlainDate.from(period.to)) <= 0 ? words.unfinished : null,
  ];
  return html`${said.flatMap((text) => (text === null ? [] : [html`<p class="note">${text}</p>\n`]))}`;
}

function figures({ period, totals, volume }: Report, words: ReportWords, language: Language): Html {
  const n = (value: number): string => wholeNumber(value, language);
  const bytes = (value: number | null): string => (value === null ? words.unknown : bytesIn(language, value));
  const { backups, damaged, drills, incidents, planned, restores, storedBytes, verifiedBytes } = totals;
  const when = (text: string): string => momentIn(language, Temporal.Instant.from(text).epochMilliseconds, period.timezone);
  const box = (value: string, name: string, more: string, isRed = false): Html =>
    html`<div${isRed ? html` class="red"` : null}><b>${value}</b><span>${name}</span>${more === '' ? null : html`<small>${more}</small>`}</div>\n`;
  const missed = planned?.missed ?? 0;
  // a sum: no vault has held so much
  const together = volume.vaults.length > 1 ? words.together(volume.vaults.length) : '';
  const told = [
    planned === null ? '' : words.planned(n(planned.expected), missed > 0 ? n(missed) : null),
    backups.failed > 0 ? words.failedRuns(backups.failed) : '',
    backups.other > 0 ? words.otherRuns(backups.other) : '',
  ].filter((part) => part !== '');
  return html`<div class="figures">
${box(n(backups.done), words.backups(backups.done), told.join(language === 'fr' ? '\u202f; ' : '; '), backups.failed > 0 || missed > 0)}${box(bytes(storedBytes), words.stored, '')}${box(
  bytes(verifiedBytes),
  words.verified,
  damaged > 0 ? words.damaged(damaged) : verifiedBytes === 0 ? words.notRead : words.intact,
  damaged > 0,
)}${box(n(drills.passed), words.drills(drills.passed), drills.failed > 0 ? words.failedDrills(drills.failed) : '', drills.failed > 0)}${box(
  n(restores.done),
  words.restores(restores.done),
  restores.failed > 0 ? words.failedRuns(restores.failed) : '',
  restores.failed > 0,
)}${box(n(incidents.found), words.incidents(incidents.found), incidents.open > 0 ? words.openIncidents(incidents.open) : '', incidents.open > 0)}${box(
  bytes(volume.peakBytes),
  words.peak,
  [together, volume.peakAt === null ? '' : words.reached(when(volume.peakAt))].filter((part) => part !== '').join(', '),
)}${box(bytes(volume.levelBytes), words.level, together)}</div>
`;
}

function vaultTable({ volume }: Report, words: ReportWords, language: Language): Html | null {
  if (volume.vaults.length < 2) return null;
  return table(
    [words.vault, { text: words.peak, as: 'n' }, { text: words.level, as: 'n' }],
    volume.vaults.map(({ levelBytes, peakBytes, vault }) => [
      vault,
      { text: bytesIn(language, peakBytes), as: 'n' },
      { text: bytesIn(language, levelBytes), as: 'n' },
    ]),
  );
}

/** What is there is told; of what there is none, that is said where a reader would look for it. */
class Sections {
  readonly #report: Report;
  readonly #words: ReportWords;
  readonly #language: Language;

  constructor(report: Report, words: ReportWords, language: Language) {
    this.#report = report;
    this.#words = words;
    this.#language = language;
  }

  all(): readonly Html[] {
    return [
      ...[this.#sources(), this.#failures(), this.#upkeep(), this.#drills(), this.#requests(), this.#restores(), this.#incidents()],
      ...[this.#breaches(), this.#holds(), this.#changes(), this.#versions(), this.#backups()],
    ].flatMap((section) => section ?? []);
  }

  #when(text: string | null): Cell {
    if (text === null) return '–';
    return { text: this.#short(text), as: 't' };
  }

  #short(text: string): string {
    return shortMomentIn(this.#language, Temporal.Instant.from(text).epochMilliseconds, this.#report.period.timezone);
  }

  #said(text: string): string {
    return momentIn(this.#language, Temporal.Instant.from(text).epochMilliseconds, this.#report.period.timezone);
  }

  /** An end at midnight is that of the day before, as it was ordered. */
  #end(text: string): string {
    const day = dayEndingAt(Temporal.Instant.from(text).epochMilliseconds, this.#report.period.timezone);
    return day === null ? this.#words.until(this.#said(text)) : this.#words.untilEndOf(dayIn(this.#language, day));
  }

  #bytes(bytes: number | null): Cell {
    return { text: bytes === null ? '–' : bytesIn(this.#language, bytes), as: 'n' };
  }

  #took({ endedAt, startedAt }: { readonly startedAt: string; readonly endedAt: string | null }): Cell {
    if (endedAt === null) return '–';
    return {
      text: durationIn(this.#language, Temporal.Instant.from(startedAt).until(Temporal.Instant.from(endedAt)).total('milliseconds')),
      as: 'n',
    };
  }

  #section(title: string, heads: readonly Plain[], rows: readonly (readonly Cell[])[], isAlways = false): Html | null {
    if (rows.length === 0) return isAlways ? html`<h2>${title}</h2>\n<p>${this.#words.nothing}</p>\n` : null;
    return html`<h2>${title}</h2>\n${table(heads, rows)}`;
  }

  #sources(): Html | null {
    const words = this.#words;
    const backups = this.#report.runs.filter(({ kind }) => kind === 'backup');
    const groups = [...Map.groupBy(backups, ({ source }) => source ?? 'files')];
    const number = (value: number): Cell => ({ text: wholeNumber(value, this.#language), as: 'n' });
    return this.#section(
      words.sourcesTitle,
      [words.source, ...[words.done, words.failed, words.other, words.stored].map((text): Plain => ({ text, as: 'n' })), words.last],
      groups.map(([source, rows]) => {
        const good = rows.filter(({ state }) => state === 'done');
        const failed = rows.filter(({ state }) => state === 'failed').length;
        return [
          ...[words.sources[source], number(good.length), number(failed), number(rows.length - good.length - failed)],
          ...[this.#bytes(rows.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0)), this.#when(good.at(-1)?.startedAt ?? null)],
        ];
      }),
      true,
    );
  }

  #failures(): Html | null {
    const words = this.#words;
    const failed = this.#report.runs.filter(({ kind, state }) => state === 'failed' && kind !== 'drill');
    return this.#section(
      words.failuresTitle,
      [words.when, words.what, words.source, words.cause],
      failed.map(({ code, kind, source, startedAt }) => [
        ...[this.#when(startedAt), words.kinds[kind], source === null ? '' : words.sources[source]],
        code === null ? '–' : { text: causeIn(this.#language, code), code },
      ]),
    );
  }

  #upkeep(): Html | null {
    const words = this.#words;
    const kinds = ['verify', 'reconcile', 'catch-up', 'prune'] as const;
    const number = (value: number): Cell => ({ text: wholeNumber(value, this.#language), as: 'n' });
    const rows = kinds.flatMap((kind) => {
      const own = this.#report.runs.filter((run) => run.kind === kind);
      if (own.length === 0) return [];
      const done = own.filter(({ state }) => state === 'done').length;
      const failed = own.filter(({ state }) => state === 'failed').length;
      const read = kind === 'verify' ? this.#report.totals.verifiedBytes : null;
      return [[words.kinds[kind], number(done), number(failed), number(own.length - done - failed), this.#bytes(read)]];
    });
    const heads = [words.done, words.failed, words.other, words.volume].map((text): Plain => ({ text, as: 'n' }));
    return this.#section(words.upkeepTitle, [words.what, ...heads], rows, true);
  }

  #drills(): Html | null {
    const words = this.#words;
    return this.#section(
      words.drillsTitle,
      [words.when, words.vault, words.result, { text: words.took, as: 'n' }, { text: words.target, as: 'n' }, words.reference],
      this.#report.drills.map(({ code, drill, outcome, restoreMs, startedAt, targetMs, vault }) => [
        ...[this.#when(startedAt), vault],
        outcome === 'passed'
          ? words.results.passed
          : code === null
            ? ({ text: words.results.failed, as: 'red' } as const)
            : ({ text: words.failedBy(causeIn(this.#language, code)), code, as: 'red' } as const),
        { text: durationIn(this.#language, restoreMs), as: 'n' } as const,
        { text: durationIn(this.#language, targetMs), as: 'n' } as const,
        { text: drill, as: 'code' } as const,
      ]),
      true,
    );
  }

  #requests(): Html | null {
    const words = this.#words;
    return this.#section(
      words.requestsTitle,
      [words.asked, words.by, words.state, words.due, words.ended, words.rto],
      this.#report.requests.map(({ askedBy, createdAt, deadline, endedAt, leftMs, outcome, state }) => {
        const left = durationIn(this.#language, leftMs ?? 0);
        const promise: Cell = outcome === null ? '–' : outcome === 'kept' ? words.kept(left) : { text: words.broken(left), as: 'red' };
        return [
          ...[this.#when(createdAt), words.askedBy[askedBy], words.requestStates[state] ?? state],
          ...[this.#when(deadline), this.#when(endedAt), promise],
        ];
      }),
      true,
    );
  }

  #restores(): Html | null {
    const words = this.#words;
    const runs = this.#report.runs.filter(({ kind }) => kind === 'restore' || kind === 'export');
    return this.#section(
      words.restoresTitle,
      [words.when, words.what, words.source, words.result, { text: words.volume, as: 'n' }, { text: words.took, as: 'n' }],
      runs.map((run) => [
        ...[this.#when(run.startedAt), words.kinds[run.kind], run.source === null ? '' : words.sources[run.source]],
        ...[result(run.state, words), this.#bytes(run.bytes), this.#took(run)],
      ]),
    );
  }

  #incidents(): Html | null {
    const words = this.#words;
    return this.#section(
      words.incidentsTitle,
      [words.found, words.vault, words.nature, { text: words.volume, as: 'n' }, words.over],
      this.#report.incidents.map(({ acknowledgedAt, firstSeenAt, goneAt, kind, reason, sizeBytes, vault }) => {
        const ends = [
          goneAt === null ? null : words.gone(this.#short(goneAt)),
          acknowledgedAt === null ? null : `${words.acknowledged(this.#short(acknowledgedAt))}${reason === null ? '' : ` (${reason})`}`,
        ].filter((text) => text !== null);
        const end: Cell = ends.length === 0 ? { text: words.open, as: 'red' } : ends.join(', ');
        const nature: Cell = { text: words.incidentKinds[kind] ?? kind, code: kind };
        return [this.#when(firstSeenAt), vault, nature, this.#bytes(sizeBytes), end];
      }),
      true,
    );
  }

  #breaches(): Html | null {
    const words = this.#words;
    return this.#section(
      words.breachesTitle,
      [words.found, words.vault, words.deadline, words.result, words.reference],
      this.#report.breaches.map(({ breach, closedAt, deadline, openedAt, reason, sentAt, vault }) => {
        const why = reason === null ? '' : ` (${reason})`;
        const end: Cell =
          sentAt !== null
            ? words.sent(this.#short(sentAt))
            : closedAt !== null
              ? `${words.closed(this.#short(closedAt))}${why}`
              : { text: words.untold, as: 'red' };
        return [this.#when(openedAt), vault, this.#when(deadline), end, { text: breach, as: 'code' }];
      }),
    );
  }

  #holds(): Html | null {
    const words = this.#words;
    const rows = (this.#report.holds ?? []).map(({ placedAt, reason, releasedAt }) => [
      this.#when(placedAt),
      this.#when(releasedAt),
      reason,
    ]);
    return this.#section(words.holdsTitle, [words.placed, words.released, words.reason], rows);
  }

  #changes(): Html | null {
    const words = this.#words;
    const shown = (what: string, text: string | null): string => {
      if (text === null) return '–';
      if (Object.hasOwn(words.states, text)) return words.states[text as keyof ReportWords['states']];
      return /^\d{4}-\d\d-\d\dT.*Z$/.test(text) ? this.#end(text) : termIn(this.#language, what, text);
    };
    return this.#section(
      words.changesTitle,
      [words.when, words.term, words.before, words.after, ...(this.#report.holds === null ? [] : [words.reason])],
      this.#report.changes.map(({ at, from, reason, to, what }) => [
        ...[this.#when(at), changeName(what, words), shown(what, from), shown(what, to)],
        ...(this.#report.holds === null ? [] : [reason ?? '']),
      ]),
      true,
    );
  }

  #versions(): Html | null {
    const words = this.#words;
    const rows = Object.entries(this.#report.versions).map(([name, value]) => [
      changeName(name, words),
      termIn(this.#language, name, value),
    ]);
    return this.#section(words.versionsTitle, [words.term, words.value], rows);
  }

  #backups(): Html | null {
    const words = this.#words;
    return this.#section(
      words.allTitle,
      [words.when, words.source, words.nature, words.result, { text: words.stored, as: 'n' }, { text: words.took, as: 'n' }],
      this.#report.runs
        .filter(({ kind }) => kind === 'backup')
        .map((run) => [
          ...[this.#when(run.startedAt), run.source === null ? '' : words.sources[run.source]],
          run.full === null ? '–' : run.full ? words.full : words.increment,
          ...[result(run.state, words), this.#bytes(run.bytes), this.#took(run)],
        ]),
    );
  }
}

const result = (state: Report['runs'][number]['state'], words: ReportWords): Cell =>
  state === 'failed' ? { text: words.results.failed, as: 'red' } : words.results[state];

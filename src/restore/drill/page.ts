// The evidence of a drill as a page that needs nothing else, and prints well: for the client, and for the auditor.
import { Temporal } from 'temporal-polyfill';
import { type Html, html, htmlPage } from '../../document/html.ts';
import { bytesIn, exactDurationIn, type Language, LOCALES, wholeNumber } from '../../document/wording.ts';
import {
  type DrillCheck,
  type DrilledObject,
  type Evidence,
  evidenceText,
  lackingCounts,
  type SignedEvidence,
  signerOf,
} from './evidence.ts';
import { PAGE_WORDS, type PageWords } from './page-words.ts';

/** Whole, as HTML. Nothing is fetched, nothing is run. */
export function evidencePage(signed: SignedEvidence, language: Language): string {
  const words = PAGE_WORDS[language];
  const said = new Wording(language);
  const { evidence } = signed;
  const { checks, objects, outcome, phases, rto, sources } = evidence;
  const isWhole = rto.kept !== null && sources.every(({ restored }) => restored !== null);
  const { columns } = words;
  const body = html`<header><h1>${words.title}</h1><p class="verdict ${outcome}">${outcome === 'passed' ? words.passed : words.failed}</p></header>
<p>${isWhole ? words.intro : words.introBroken}</p>
${factsTable(evidence, words, said)}
<p class="note">${words.timesNote}</p>
<h2>${words.restored}</h2>
${table(
  [columns.source, columns.snapshot, columns.asOf, columns.age, columns.volume, columns.content, columns.took],
  sources.map(({ ageMs, asOf, restored, snapshot, source }) => [
    ...[words.sources[source], code(snapshot), said.instant(asOf), said.duration(ageMs)],
    ...(restored === null
      ? [words.notRestored, '', '']
      : [said.bytes(restored.bytes), contentOf(restored, words, said), said.duration(restored.durationMs)]),
  ]),
)}
<h2>${words.rto}</h2>
<p class="${rto.kept === null ? 'note' : rto.kept ? 'passed' : 'failed'}">${rtoSentence(evidence, words, said)}</p>
<p class="note">${words.rtoNote}</p>
<h2>${words.checks}</h2>
${table(
  [columns.check, columns.source, columns.result, columns.found],
  checks.map((check) => [
    ...[words.checkNames[check.check] ?? check.check, check.source === null ? words.whole : words.sources[check.source]],
    ...[resultOf(check, words), foundBy(check, evidence, words, said)],
  ]),
)}
<h2>${words.phases}</h2>
${table(
  [columns.phase, columns.source, columns.volume, columns.took],
  phases.map(({ bytes, ms, phase, source, vault }) => [
    ...[`${words.phaseNames[phase] ?? phase}${vault === null ? '' : ` (${vault})`}`, words.sources[source]],
    ...[said.bytes(bytes), said.duration(ms)],
  ]),
)}
<p class="note">${words.phasesNote}</p>
<h2>${words.verify}</h2>
${words.verifySteps.map((step, at) => (at % 2 === 1 && at < 6 ? html`<pre>${step}</pre>\n` : html`<p>${step}</p>\n`))}
<p>${words.verifyLast} ${code(signerOf(signed))}</p>
<dl><dt>${words.fingerprint}</dt><dd>${code(signerOf(signed))}</dd>
<dt>${words.signature}</dt><dd>${code(signed.signature.value)}</dd>
<dt>${words.digest}</dt><dd>${code(objects.digest)}</dd></dl>
${objectsSection(evidence, isWhole, words, said)}
<details><summary>${words.detailsNote}</summary><pre class="signed">${evidenceText(signed)}</pre></details>`;
  return htmlPage({ language, title: `${words.title} – ${evidence.shop} – ${said.date(evidence.endedAt)}`, style: STYLE, body });
}

/** What was not read as the manifests name it stands first: it is what somebody has to look at. */
function objectsSection({ objects }: Evidence, isWhole: boolean, words: PageWords, said: Wording): Html {
  const { columns } = words;
  const { lacking = [], list, named } = objects;
  const amount = [said.count(objects.count), said.bytes(objects.bytes)] as const;
  const isComplete = named === undefined ? isWhole : lacking.length === 0;
  const note = isComplete
    ? words.objectsNote(...amount)
    : named === undefined
      ? words.objectsBroken(...amount)
      : words.objectsLacking(...amount, said.count(named.count), lackingText(lacking, words, said));
  const row = ({ bytes, key, sha256, versionId }: DrilledObject) => [code(key), code(versionId), String(bytes), code(sha256)];
  const titles = [columns.object, columns.version, columns.bytes, columns.sha256];
  if (lacking.length === 0) return html`<h2>${words.objects}</h2>\n<p>${note}</p>\n${table(titles, list.map(row), 'objects')}`;
  const all = [...lacking, ...list].map((object) => [words.objectStates[object.state ?? 'read'], ...row(object)]);
  return html`<h2>${words.objects}</h2>\n<p class="failed">${note}</p>\n${table([columns.state, ...titles], all, 'objects')}`;
}

const lackingText = (lacking: readonly DrilledObject[], words: PageWords, said: Wording): string =>
  lackingCounts(lacking)
    .map(([state, count]) => `${words.objectStates[state]}${words.colon} ${said.count(count)}`)
    .join(', ');

function factsTable(evidence: Evidence, words: PageWords, said: Wording): Html {
  const { from, into, rto } = evidence;
  const bucket = from.bucket === null ? '' : `, ${words.bucket} ${from.bucket}${from.prefix ? `/${from.prefix}` : ''}`;
  const place = into.database === null ? words.into.files : into.database.startsWith('a server') ? words.into.own : words.into.configured;
  const facts: readonly (readonly [keyof PageWords['facts'], string])[] = [
    ['shop', evidence.shop],
    ['plan', evidence.plan],
    ['promise', `${said.duration(rto.targetMs)}${words.calendars[rto.calendar] ?? ''}`],
    ['drill', evidence.id],
    ['askedBy', evidence.askedBy === 'schedule' ? words.schedule : evidence.askedBy],
    ['from', `${from.name} (${words.vaultTypes[from.type]}, ${from.endpoint}${bucket})`],
    ['site', [from.site, from.offsite ? words.offsite : null].filter((part) => part !== null).join(', ') || '–'],
    ['into', `${place} (${into.host}${into.databaseVersion === null ? '' : `, ${into.databaseVersion}`})`],
    ['begun', said.instant(evidence.startedAt)],
    ['ended', said.instant(evidence.endedAt)],
    [
      'coffre',
      [
        `coffre ${evidence.coffre}`,
        ...Object.entries(evidence.tools).flatMap(([name, version]) => (name === 'coffre' ? [] : [`${name} ${version}`])),
      ].join(', '),
    ],
    ['signedBy', words.signedBy[evidence.signedBy]],
  ];
  return html`<dl>${facts.map(([name, value]) => html`<dt>${words.facts[name]}</dt><dd>${value}</dd>\n`)}</dl>`;
}

function contentOf({ files, rows, tables }: NonNullable<Evidence['sources'][number]['restored']>, words: PageWords, said: Wording): string {
  return tables !== null ? words.tables(said.count(tables), said.count(rows ?? 0)) : words.files(said.count(files ?? 0));
}

function rtoSentence({ restoreMs, rto }: Pick<Evidence, 'restoreMs' | 'rto'>, words: PageWords, said: Wording): string {
  if (rto.kept === null) return words.rtoUnknown;
  return (rto.kept ? words.rtoKept : words.rtoBroken)(said.duration(restoreMs), said.duration(rto.targetMs));
}

/** From the figures, where the language has words for them; an error is told as it was said. */
function foundBy({ check, code, detail, figures }: DrillCheck, evidence: Evidence, words: PageWords, said: Wording): string {
  const told = code === null ? '' : ` [${code}]`;
  if (check === 'rto') return rtoSentence(evidence, words, said) + told;
  const written = Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, figure(name, value, said)]));
  const restored = check === 'restore' && code === null ? said.bytes(Number(figures.bytes ?? 0)) : null;
  const found = restored ?? (Object.keys(figures).length > 0 ? words.found(check, written) : null);
  return (found ?? words.said(detail)) + told;
}

function figure(name: string, value: number | string | null, said: Wording): string {
  if (value === null) return '–';
  if (typeof value === 'number') return said.count(value);
  return name === 'newest' ? said.instant(value) : value;
}

const resultOf = ({ ok }: DrillCheck, words: PageWords): string => (ok === null ? words.unknown : ok ? words.ok : words.red);

/** Figures and instants as they are written in a language. Instants are told in UTC: the reader's zone is not known. */
class Wording {
  readonly #language: Language;

  constructor(language: Language) {
    this.#language = language;
  }

  instant(text: string): string {
    const at = Temporal.Instant.from(text).toZonedDateTimeISO('UTC').toPlainDateTime();
    return `${at.toLocaleString(LOCALES[this.#language], { dateStyle: 'long', timeStyle: 'medium' })} UTC`;
  }

  date(text: string): string {
    return Temporal.Instant.from(text).toZonedDateTimeISO('UTC').toPlainDate().toString();
  }

  bytes(bytes: number): string {
    return bytesIn(this.#language, bytes);
  }

  count(count: number): string {
    return wholeNumber(count, this.#language);
  }

  duration(ms: number): string {
    return exactDurationIn(this.#language, ms);
  }
}

const code = (text: string): Html => html`<code>${text}</code>`;

function table(titles: readonly string[], rows: readonly (readonly (string | Html)[])[], kind = ''): Html {
  return html`<table class="${kind}"><thead><tr>${titles.map((title) => html`<th>${title}</th>`)}</tr></thead><tbody>
${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>\n`)}</tbody></table>`;
}

const STYLE = `
body{font:11pt/1.45 system-ui,sans-serif;color:#111;margin:0}main{max-width:60rem;margin:2rem auto;padding:0 1rem}
header{display:flex;justify-content:space-between;align-items:baseline;border-bottom:2px solid #111}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:1.6rem 0 .4rem}
.verdict{font-weight:700;font-size:1.3rem;margin:0}.passed{color:#1a6b2c}.failed{color:#a11616;font-weight:700}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:1rem 0}dt{color:#555}dd{margin:0}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0;border-bottom:1px solid #ccc}
thead{display:table-header-group}tr{break-inside:avoid}
code,pre{font:9pt/1.4 ui-monospace,monospace;overflow-wrap:anywhere}pre{background:#f4f4f4;padding:.6rem;white-space:pre-wrap;overflow-wrap:anywhere}
.objects code{font-size:7.5pt}.objects td{font-size:8pt}.note{color:#555;font-size:.9em}.signed{font-size:7pt}
@media print{body{font-size:9.5pt}main{margin:0;max-width:none}h2{break-after:avoid}pre{border:1px solid #ccc;background:none}}
@page{size:A4;margin:15mm 15mm 18mm;@bottom-right{content:counter(page) " / " counter(pages);font:8pt sans-serif;color:#555}}`;

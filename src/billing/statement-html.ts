// Statements as a page that prints on A4: nothing is loaded from anywhere, and everything that people wrote is text.
import { Temporal } from 'temporal-polyfill';
import { type Html, html, htmlPage } from '../document/html.ts';
import type { Language } from '../document/wording.ts';
import { CHAIN_START } from './chain.ts';
import type { Statement, StatementLine } from './statement-schema.ts';
import { day, isWeighed, moment, money, monthsText, number, periodText, volume, wordsOf } from './statement-words.ts';

const STYLE = `
@page { size: A4; margin: 16mm 15mm 18mm; @bottom-right { content: counter(page) " / " counter(pages); font: 8pt Arial, "Liberation Sans", sans-serif; color: #555e68; } }
* { box-sizing: border-box; }
body { font: 10.5pt/1.45 "Source Sans 3", "Segoe UI", "Helvetica Neue", Arial, "Liberation Sans", sans-serif; color: #1a1d21; margin: 0; }
main { max-width: 180mm; margin: 0 auto; }
article + article { break-before: page; }
header { display: flex; justify-content: space-between; align-items: flex-start; gap: 10mm; border-bottom: 2px solid #1f4e79; padding-bottom: 4mm; }
h1 { font-size: 19pt; line-height: 1.15; margin: 0 0 1mm; color: #1f4e79; }
h2 { font-size: 11.5pt; margin: 7mm 0 2mm; color: #1f4e79; break-after: avoid; }
p { margin: 0 0 2mm; }
header p { margin: 0; }
.days { white-space: nowrap; }
.state { font-weight: 600; color: #9a3412; }
.right { text-align: right; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.8mm 6mm; margin: 0; }
dt { color: #555e68; }
dd { margin: 0; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; color: #555e68; border-bottom: 1px solid #9aa4af; padding: 1mm 2mm 1mm 0; vertical-align: bottom; }
td { padding: 1.2mm 2mm 1.2mm 0; border-bottom: 1px solid #e3e7eb; vertical-align: top; }
tr { break-inside: avoid; }
thead { display: table-header-group; }
tfoot { display: table-row-group; }
th.n, td.n { text-align: right; padding-right: 0; padding-left: 3mm; font-variant-numeric: tabular-nums; white-space: nowrap; }
tfoot td { border-bottom: none; }
tfoot tr.total td { font-weight: 700; border-top: 1px solid #1a1d21; }
small { color: #555e68; font-size: 9pt; }
.note { border-left: 3px solid #9a3412; padding-left: 3mm; }
footer { margin-top: 8mm; padding-top: 2mm; border-top: 1px solid #9aa4af; color: #555e68; font-size: 8pt; break-inside: avoid; }
footer p { margin: 0 0 1mm; }
code { font-family: "Liberation Mono", Consolas, monospace; font-size: 7.5pt; overflow-wrap: anywhere; }
@media screen { body { background: #eef1f4; } main { padding: 12mm 0; } article { background: #fff; padding: 14mm 15mm; max-width: 210mm; margin: 0 auto 8mm; } main { max-width: 210mm; } }
`;

/** One page or more for each statement. */
export function statementsHtml(statements: readonly Statement[], language: Language): string {
  const words = wordsOf(language);
  const [first] = statements;
  const title = statements.length === 1 && first ? `${words.statement} ${first.number ?? first.contract}` : words.statement;
  const body = html`${statements.map((statement) => article(statement, language))}`;
  return htmlPage({ language, title, style: STYLE, body });
}

function article(statement: Statement, language: Language): Html {
  const words = wordsOf(language);
  const { contract, issuedAt, kind, number: own, period, timezone, title, vault } = statement;
  const state = statement.state === 'issued' ? null : html`<p class="state">${words[statement.state]}</p>`;
  return html`<article>
<header>
<div>
<h1>${kind === 'correction' ? words.correctionStatement : words.statement}${own === null ? null : html`<br>${own}`}</h1>
${state}
</div>
<div class="right">
<p><strong>${title ?? contract}</strong></p>
${title === null ? null : html`<p>${words.contract} ${contract}</p>`}
<p>${words.vault} ${vault}</p>
${kind === 'correction' || period === null ? null : html`<p>${words.period} ${periodText(period, language)}</p>`}
${issuedAt === null ? null : html`<p>${words.issued} ${day(dayOf(issuedAt, timezone), language)}</p>`}
</div>
</header>
${measured(statement, language)}
${lines(statement, language)}
${indexes(statement, language)}
${notices(statement, language)}
${rebilling(statement, language)}
<footer>
<p>${words.rules}</p>
<p>${words.notAnInvoice} ${words.zone(timezone)}.</p>
${statement.hash === null ? null : html`<p>${words.seal}<br><code>${statement.hash}</code></p><p>${words.previous}<br>${statement.previous === CHAIN_START ? words.firstOfAll : html`<code>${statement.previous}</code>`}</p>`}
</footer>
</article>
`;
}

const dayOf = (instant: string, timezone: string): string =>
  Temporal.Instant.from(instant).toZonedDateTimeISO(timezone).toPlainDate().toString();

function measured({ measured: it, period, terms, timezone }: Statement, language: Language): Html | null {
  if (it === null) return null;
  const words = wordsOf(language);
  const tb = (text: string): string => `${number(text, language)}\u00a0${words.tb}`;
  const row = (name: string, value: Html | string): Html => html`<dt>${name}</dt><dd>${value}</dd>\n`;
  return html`<h2>${words.use}</h2>
<dl>
${it.from === period?.from ? null : row(words.measuredPeriod, periodText(it, language))}
${row(words.peak, html`<strong>${volume(it.peakBytes, language)}</strong> <small>(${number(String(it.peakBytes), language)} ${words.bytes(it.peakBytes)})</small>`)}
${row(words.peakAt, moment(it.peakAt, timezone, language))}
${row(words.subscribedVolume, tb(it.subscribedTB))}
${row(words.variableVolume, html`${tb(it.variableTB)} <small>${words.steps(tb(terms.stepTB))}</small>`)}
${row(words.billedVolume, html`<strong>${tb(it.billedTB)}</strong>`)}
</dl>
`;
}

function lines(statement: Statement, language: Language): Html {
  const words = wordsOf(language);
  const { currency, decimals, net, tax, total } = statement;
  const taxes = statement.taxes ?? (tax?.percent ? [{ percent: tax.percent, net, amount: tax.amount }] : []);
  const amount = (text: string): string => money(text, currency, language, decimals);
  const sum = (name: string, value: string, isLast: boolean): Html =>
    html`<tr${isLast ? html` class="total"` : null}><td colspan="5">${name}</td><td class="n">${amount(value)}</td></tr>\n`;
  return html`<h2>${words.lines}</h2>
<table>
<thead><tr><th>${words.what}</th><th>${words.days}</th><th class="n">${words.quantity}</th><th class="n">${words.months}</th><th class="n">${words.unitPrice}</th><th class="n">${words.amount}</th></tr></thead>
<tbody>
${statement.lines.map((line) => lineRow(line, statement, language))}
</tbody>
<tfoot>
${sum(words.net, net, tax === null)}${taxes.map((one) => sum(`${words.tax(number(one.percent, language))}${tax?.percent ? '' : words.taxOn(amount(one.net))}`, one.amount, false))}${tax === null ? null : sum(words.total, total, true)}
</tfoot>
</table>
`;
}

function lineRow(line: StatementLine, { currency, decimals, timezone }: Statement, language: Language): Html {
  const words = wordsOf(language);
  const amount = html`<td class="n">${money(line.amount, currency, language, decimals)}</td>`;
  if (line.kind === 'correction') {
    const whom = line.shop === null ? '' : words.correctionFor(line.shop);
    const when = day(dayOf(line.at, timezone), language);
    return html`<tr><td colspan="5">${words.correction(line.of)}${whom}<br><small>${when} – ${line.reason}</small></td>${amount}</tr>\n`;
  }
  const days = `${numeric(line.from, language)} – ${numeric(line.to, language)}`;
  return html`<tr><td>${words[line.kind]}</td><td class="days">${days}</td><td class="n">${number(line.quantityTB, language)}</td><td class="n">${monthsText(line.months)}</td><td class="n">${money(line.unitPrice, currency, language, decimals)}</td>${amount}</tr>\n`;
}

/** `01/04/2026`. */
const numeric = (text: string, language: Language): string =>
  Temporal.PlainDate.from(text).toLocaleString(wordsOf(language).locale, { day: '2-digit', month: '2-digit', year: 'numeric' });

/** Each indexation once, with its formula in figures. */
function indexes({ currency, decimals, lines: all }: Statement, language: Language): Html | null {
  const words = wordsOf(language);
  const found = new Map<string, Html>();
  for (const line of all) {
    if (line.kind === 'correction' || line.index === null) continue;
    const { anniversary, basePrice, date, s, s0 } = line.index;
    const formula = `P = P0 × S / S0 = ${money(basePrice, currency, language, decimals)} × ${number(s, language)} / ${number(s0, language)} = ${money(line.unitPrice, currency, language, decimals)}`;
    const when = words.indexLine({ anniversary: day(anniversary, language), date: day(date, language) });
    found.set(anniversary, html`<p>${formula}<br><small>${when}</small></p>\n`);
  }
  return found.size === 0 ? null : html`<h2>${words.index}</h2>\n${[...found.values()]}`;
}

function notices({ measured, notices: all }: Statement, language: Language): Html | null {
  const words = wordsOf(language);
  if (all.length === 0) return null;
  const text = (notice: Statement['notices'][number]): string => {
    if (notice.code === 'index-unknown') return words.unknownIndex(day(notice.day, language));
    if (measured === null) return words.unmeasured(day(notice.day, language));
    return words.measuredFrom(day(Temporal.PlainDate.from(notice.day).add({ days: 1 }).toString(), language));
  };
  return html`<h2>${words.notes}</h2>\n${all.map((notice) => html`<p class="note">${text(notice)}</p>\n`)}`;
}

function rebilling({ currency, decimals, kind, net, rebilling: it }: Statement, language: Language): Html | null {
  if (it === null) return null;
  const words = wordsOf(language);
  const amount = (text: string): string => money(text, currency, language, decimals);
  const isCorrection = kind === 'correction';
  // the weights of corrections are of the periods of what they correct
  const weighs = isWeighed(it) && !isCorrection;
  const by = it.by === 'flat' || weighs ? words.by[it.by] : words.byNothing;
  const weight = (bytes: number): Html | null =>
    weighs ? html`<td class="n">${number(String(bytes), language)} ${words.bytes(bytes)}</td>` : null;
  const title = it.by === 'peak' ? words.peakBytes : words.shareBytes;
  const blank = weighs ? html`<td></td>` : null;
  return html`<h2>${words.rebilling}</h2>
<p><small>${isCorrection ? words.byCorrected : by}</small></p>
<table>
<thead><tr><th>${words.shop}</th>${weighs ? html`<th class="n">${title}</th>` : null}<th class="n">${words.amount}</th></tr></thead>
<tbody>
${it.shops.map((row) => html`<tr><td>${row.shop}</td>${weight(row.weight)}<td class="n">${amount(row.amount)}</td></tr>\n`)}
${Number(it.unassigned) === 0 ? null : html`<tr><td>${words.unassigned}</td>${blank}<td class="n">${amount(it.unassigned)}</td></tr>\n`}
</tbody>
<tfoot><tr class="total"><td>${words.sum}</td>${blank}<td class="n">${amount(net)}</td></tr></tfoot>
</table>
`;
}

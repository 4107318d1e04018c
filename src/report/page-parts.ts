// How the pages for a shop's owner look: their style, and tables of cells.
import { type Html, html } from '../document/html.ts';

/** Of A4, without anything that is fetched. */
export const PAGE_STYLE = `
@page { size: A4; margin: 16mm 15mm 18mm; @bottom-right { content: counter(page) " / " counter(pages); font: 8pt Arial, "Liberation Sans", sans-serif; color: #555e68; } }
* { box-sizing: border-box; }
body { font: 10pt/1.45 "Source Sans 3", "Segoe UI", "Helvetica Neue", Arial, "Liberation Sans", sans-serif; color: #1a1d21; margin: 0; }
main { max-width: 180mm; margin: 0 auto; }
header { display: flex; justify-content: space-between; align-items: flex-start; gap: 10mm; border-bottom: 2px solid #1f4e79; padding-bottom: 4mm; }
h1 { font-size: 19pt; line-height: 1.15; margin: 0 0 1mm; color: #1f4e79; }
h2 { font-size: 11.5pt; margin: 7mm 0 2mm; color: #1f4e79; break-after: avoid; }
p { margin: 0 0 2mm; } header p { margin: 0; } .right { text-align: right; }
.figures { display: grid; grid-template-columns: repeat(4, 1fr); gap: 2.5mm; margin: 3mm 0; }
.figures div { border: 1px solid #d5dae0; border-left: 3px solid #1f4e79; padding: 2mm 2.5mm; break-inside: avoid; }
.figures div.red { border-left-color: #a11616; color: inherit; } .figures div.red small { color: #a11616; font-weight: 600; }
.figures b { display: block; font-size: 14pt; line-height: 1.2; font-variant-numeric: tabular-nums; }
.figures span { color: #39424c; } .figures small { display: block; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; color: #555e68; border-bottom: 1px solid #9aa4af; padding: 1mm 2mm 1mm 0; vertical-align: bottom; }
td { padding: 1mm 2mm 1mm 0; border-bottom: 1px solid #e3e7eb; vertical-align: top; }
th.n, td.n { padding-right: 4mm; text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr, table.short { break-inside: avoid; } thead { display: table-header-group; }
td.t { white-space: nowrap; font-variant-numeric: tabular-nums; }
.red { color: #a11616; } td.red { font-weight: 600; }
small { color: #555e68; font-size: 8.5pt; }
.note { border-left: 3px solid #9a3412; padding-left: 3mm; margin: 3mm 0; }
code { font-family: "Liberation Mono", Consolas, monospace; font-size: 7.5pt; overflow-wrap: anywhere; } td code { white-space: nowrap; }
figure { margin: 0; break-inside: avoid; } figure + table { margin-top: 3mm; } svg { width: 100%; height: auto; } svg text { font: 9.5px Arial, "Liberation Sans", sans-serif; fill: #39424c; }
footer { margin-top: 8mm; padding-top: 2mm; border-top: 1px solid #9aa4af; color: #555e68; font-size: 8pt; }
@media screen { body { background: #eef1f4; } main { background: #fff; max-width: 210mm; padding: 14mm 15mm; margin: 8mm auto; } }
@media screen and (max-width: 640px) { main { padding: 5mm; margin: 0; overflow-x: auto; } .figures { grid-template-columns: repeat(2, 1fr); } }
`;

/** A cell: text, or what it is beside that. */
export type Plain = string | { readonly text: string; readonly as: 'n' | 't' | 'red' | 'code' };
export type Cell = Plain | Coded;

/** Words, and behind them in small what stands for them in records. */
interface Coded {
  readonly text: string;
  readonly code: string;
  readonly as?: 'red';
}

/** Tables of no more rows are not cut by the end of a page. */
const SHORT_ROWS = 8;

export function table(heads: readonly Plain[], rows: readonly (readonly Cell[])[]): Html {
  const head = (cell: Plain): Html => (typeof cell === 'string' ? html`<th>${cell}</th>` : html`<th class="${cell.as}">${cell.text}</th>`);
  const cell = (value: Cell): Html => {
    if (typeof value === 'string') return html`<td>${value}</td>`;
    if ('code' in value)
      return html`<td${value.as === undefined ? null : html` class="${value.as}"`}>${value.text} <small class="code">${value.code}</small></td>`;
    return value.as === 'code' ? html`<td><code>${value.text}</code></td>` : html`<td class="${value.as}">${value.text}</td>`;
  };
  return html`<table${rows.length <= SHORT_ROWS ? html` class="short"` : null}>
<thead><tr>${heads.map(head)}</tr></thead>
<tbody>
${rows.map((row) => html`<tr>${row.map(cell)}</tr>\n`)}</tbody>
</table>
`;
}

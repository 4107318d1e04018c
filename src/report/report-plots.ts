// Plots of a report as inline SVG: the stored volume day by day, and a calendar of backups. Readable in black and white too.
import { Temporal } from 'temporal-polyfill';
import { type Html, html } from '../document/html.ts';
import { bytesIn, dayIn, type Language } from '../document/wording.ts';
import type { Report } from './report-schema.ts';
import { dayColour, type ReportWords } from './report-words.ts';

const WIDTH = 680;
const HEIGHT = 190;
const LEFT = 64;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 24;

const round = (value: number): number => Math.round(value * 10) / 10;

/** 1, 2 or 5 times a power of ten, so that at most five lines reach `top`. */
export function gridStep(top: number): number {
  if (top <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(top / 5));
  return power * ([1, 2, 5, 10].find((factor) => factor * power * 5 >= top) ?? 10);
}

/** null: no day of the period is known. */
export function volumePlot({ days }: Pick<Report, 'days'>, words: ReportWords, language: Language): Html | null {
  const known = days.flatMap(({ endBytes, peakBytes }, at) =>
    peakBytes === null || endBytes === null ? [] : [{ at, peakBytes, endBytes }],
  );
  const [first] = known;
  const last = known.at(-1);
  if (first === undefined || last === undefined) return null;
  const step = gridStep(Math.max(1, ...known.map(({ peakBytes }) => peakBytes)));
  const top = step * Math.max(1, Math.ceil(Math.max(...known.map(({ peakBytes }) => peakBytes)) / step));
  const x = (at: number): number => round(LEFT + ((at + 0.5) / days.length) * (WIDTH - LEFT - RIGHT));
  const y = (bytes: number): number => round(HEIGHT - BOTTOM - (bytes / top) * (HEIGHT - TOP - BOTTOM));
  const lines = Array.from({ length: Math.round(top / step) + 1 }, (_, line) => line * step);
  const ends = known.map(({ at, endBytes }) => `${x(at)},${y(endBytes)}`).join(' ');
  const area = `${x(first.at)},${y(0)} ${ends} ${x(last.at)},${y(0)}`;
  const everyDays = Math.max(1, Math.ceil(days.length / 6));
  const marks = days.flatMap(({ day }, at) => (at % everyDays === 0 ? [{ day, at }] : []));
  const short = (day: string): string =>
    Temporal.PlainDate.from(day).toLocaleString(language === 'fr' ? 'fr-FR' : 'en-GB', {
      day: '2-digit',
      month: '2-digit',
      year: '2-digit',
    });
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${words.volumeAlt}">
${lines.map(
  (
    bytes,
  ) => html`<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(bytes)}" y2="${y(bytes)}" stroke="#d5dae0"/><text x="${LEFT - 6}" y="${y(bytes) + 3.5}" text-anchor="end">${bytesIn(language, bytes).replace(/[.,]0(?=\s)/, '')}</text>
`,
)}${marks.map(
  ({ at, day }) => html`<text x="${x(at)}" y="${HEIGHT - 8}" text-anchor="middle">${short(day)}</text>
`,
)}<polygon points="${area}" fill="#c9d6e4"/>
<polyline points="${known.map(({ at, peakBytes }) => `${x(at)},${y(peakBytes)}`).join(' ')}" fill="none" stroke="#1f4e79" stroke-width="1.8" stroke-linejoin="round"/>
${known.length === 1 ? html`<circle cx="${x(first.at)}" cy="${y(first.peakBytes)}" r="3" fill="#1f4e79"/>` : null}</svg>
`;
}

const CELL = 17;
const GAP = 3;
const MONTH_WIDTH = 7 * (CELL + GAP) + 18;
const MONTHS_A_ROW = 4;

const FILLS: Readonly<Record<keyof ReportWords['legend'], string>> = {
  ...{ good: '#2e7d4f', mixed: '#e0a526', bad: '#a11616', none: '#e3e7eb', future: '#ffffff' },
};
/** Beside the colour, for print without it. */
const SIGNS: Readonly<Record<keyof ReportWords['legend'], string>> = { good: '', mixed: '!', bad: '×', none: '', future: '' };

const weeksOf = (first: Temporal.PlainDate): number => Math.ceil((first.dayOfWeek - 1 + first.daysInMonth) / 7);

/** A month beside the other, weeks from Monday. A plot for each row of months, so that a page may end between them; the legend is with the last. */
export function calendarPlots(
  { days, madeAt, period }: Pick<Report, 'days' | 'madeAt' | 'period'>,
  words: ReportWords,
  language: Language,
): Html[] {
  const today = Temporal.Instant.from(madeAt).toZonedDateTimeISO(period.timezone).toPlainDate();
  const months = [...Map.groupBy(days, ({ day }) => day.slice(0, 7))];
  const weeks = Math.max(...months.map(([month]) => weeksOf(Temporal.PlainDate.from(`${month}-01`))));
  const monthHeight = weeks * (CELL + GAP) + 42;
  // beside few months there is room for it
  const isBeside = months.length < MONTHS_A_ROW - 1;
  const square = (x: number, y: number, colour: keyof ReportWords['legend'], title: string | null, label: string): Html => html`<g>${
    title === null ? null : html`<title>${title}</title>`
  }<rect x="${x}" y="${y}" width="${CELL}" height="${CELL}" rx="2.5" fill="${FILLS[colour]}" stroke="${colour === 'future' ? '#c3cad2' : FILLS[colour]}"/><text x="${x + CELL / 2}" y="${y + 12}" text-anchor="middle" style="fill:${colour === 'good' || colour === 'bad' ? '#fff' : '#39424c'};font-size:8px">${label}</text></g>
`;
  const drawn = months.map(([month, own], at) => {
    const left = (at % MONTHS_A_ROW) * MONTH_WIDTH;
    const firstDay = Temporal.PlainDate.from(`${month}-01`);
    const name = firstDay.toLocaleString(language === 'fr' ? 'fr-FR' : 'en-GB', { month: 'long', year: 'numeric' });
    return html`<text x="${left}" y="12" style="font-weight:600;font-size:11px">${name}</text>
${words.weekdays.map(
  (letter, column) => html`<text x="${left + column * (CELL + GAP) + CELL / 2}" y="27" text-anchor="middle">${letter}</text>
`,
)}${own.map((row) => {
  const date = Temporal.PlainDate.from(row.day);
  const column = date.dayOfWeek - 1;
  const line = Math.floor((firstDay.dayOfWeek - 1 + date.day - 1) / 7);
  const colour = dayColour(row, Temporal.PlainDate.compare(date, today) > 0);
  const title = `${dayIn(language, date)}${language === 'fr' ? '\u00a0' : ''}: ${words.legend[colour]} (${row.done} + ${row.failed})`;
  return square(
    left + column * (CELL + GAP),
    33 + line * (CELL + GAP),
    colour,
    title,
    `${date.day}${SIGNS[colour] === '' ? '' : SIGNS[colour]}`,
  );
})}`;
  });
  let x = 0;
  const legend = (Object.keys(FILLS) as (keyof ReportWords['legend'])[]).map((colour) => {
    const [at, y] = isBeside ? [months.length * MONTH_WIDTH + 12, 33 + x] : [x, monthHeight + 6];
    x += isBeside ? CELL + GAP : CELL + 16 + words.legend[colour].length * 6;
    return html`${square(at, y, colour, null, SIGNS[colour])}<text x="${at + CELL + 5}" y="${y + 12.5}">${words.legend[colour]}</text>
`;
  });
  const rows = Math.ceil(months.length / MONTHS_A_ROW);
  return Array.from({ length: rows }, (_, row) => {
    const isLast = row === rows - 1;
    const height = monthHeight + (isLast && !isBeside ? 26 : 0);
    return html`<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${words.calendarAlt}">
${drawn.slice(row * MONTHS_A_ROW, (row + 1) * MONTHS_A_ROW)}${isLast ? legend : null}</svg>
`;
  });
}

// What the catalog alone can prove: that rows, anchors and packed days follow from each other, each altered place named.
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import { nextTurn } from '../clock.ts';
import { type AnchorLevel, type AnchorRow, anchorHash, levelsHash, levelsText, readLevels } from './anchors.ts';
import { CHAIN_START, chainHash, type LedgerRow, type LedgerStart, lastNumber, ledgerStart } from './chain.ts';
import { type Moves, MovesBuilder, packMoves } from './moves.ts';

/** One thing that was looked at. */
export interface Check {
  readonly name: 'chain' | 'anchors' | 'days' | 'purge' | 'objects' | 'checkpoint' | 'statements' | 'peaks' | 'store';
  readonly vault: string | null;
  /** broken: what is wrong is in `findings`. unchecked: it could not be looked at, and `detail` says why. */
  readonly outcome: 'proven' | 'broken' | 'unchecked';
  readonly detail: string;
  /** Each altered, missing or reordered place, named. */
  readonly findings: readonly string[];
  /** So many more of the kind, which are not listed. */
  readonly more?: number;
}

/** All of them, those that are not listed included. */
export const countFindings = (checks: readonly Check[]): number =>
  checks.reduce((sum, { findings, more = 0 }) => sum + findings.length + more, 0);

/** More than so many of one kind say nothing more. */
const MOST_FINDINGS = 50;
const ROWS_AT_ONCE = 5_000;
const YEAR_MONTHS = 12;

/** Findings of one kind. */
export class Findings {
  readonly #list: string[] = [];
  #more = 0;

  add(text: string): void {
    if (this.#list.length < MOST_FINDINGS) this.#list.push(text);
    else this.#more++;
  }

  /** Broken where anything was found. */
  check(name: Check['name'], detail: string, vault: string | null = null): Check {
    const outcome = this.#list.length === 0 ? 'proven' : 'broken';
    return { name, vault, outcome, detail, findings: this.#list, ...(this.#more === 0 ? {} : { more: this.#more }) };
  }
}

/** What is wrong with anchor after anchor for one and the same reason is one finding. */
class AnchorFindings {
  readonly #runs: { readonly text: string; readonly first: AnchorRow; last: AnchorRow }[] = [];
  readonly #open = new Map<string, { readonly run: { last: AnchorRow }; readonly why: string; place: number }>();

  /** `kind`: what is wrong; `why`: by what it is the same as with the anchor before; `place`: how many anchors came before. */
  add(anchor: AnchorRow, place: number, kind: string, why: string, text: string): void {
    const open = this.#open.get(kind);
    if (open !== undefined && open.why === why && open.place === place - 1) {
      open.run.last = anchor;
      open.place = place;
      return;
    }
    const run = { text: `${named(anchor)}: ${text}`, first: anchor, last: anchor };
    this.#runs.push(run);
    this.#open.set(kind, { run, why, place });
  }

  tell(findings: Findings): void {
    for (const { first, last, text } of this.#runs) {
      const [from, to] = [first.id + 1, last.id];
      findings.add(from > to ? text : `${text}; ${from === to ? `anchor ${to} follows` : `anchors ${from} to ${to} follow`} from it`);
    }
  }
}

/**
 * Reads the whole ledger once: the chain of its rows; each anchor's place in it, count and levels; the packed rows of each day, from which
 * peaks are read; and that nothing was removed before its time. Ten million rows take about a minute.
 */
export async function proveLedger(catalog: Catalog): Promise<Check[]> {
  const { db } = catalog;
  const start = await ledgerStart(db);
  const anchors = await db.selectFrom('anchors').selectAll().orderBy('id').execute();
  const chain = new Findings();
  const stood = new Findings();
  const days = new Findings();
  proveAnchorChain(anchors, stood);
  const levels = new Map<string, AnchorLevel>();
  const moved = ({ bytes, shop, vault }: Pick<LedgerRow, 'bytes' | 'shop' | 'vault'>): void => {
    const name = `${vault}\0${shop}`;
    levels.set(name, [vault, shop, (levels.get(name)?.[2] ?? 0) + bytes]);
  };
  let [head, last, rows] = [start?.hash ?? CHAIN_START, start?.row ?? 0, 0];
  if (start !== null) for (const row of await db.selectFrom('ledger').selectAll().where('id', '<=', start.row).execute()) moved(row);
  // of the days before the start nothing is there to be compared
  const open = anchors.filter(({ row }) => start === null || row >= start.row);
  let builder = new MovesBuilder();
  /** Rows since the ledger began; null: nobody knows how many were lost. */
  let counted = start === null ? 0 : open[0]?.row === start.row ? open[0].rows : null;
  let atMs = Number.NEGATIVE_INFINITY;
  let packed = 0;
  const runs = new AnchorFindings();
  /** Rows that are broken, since the anchor before. */
  let broken: number[] = [];
  const pass = async (until: AnchorRow, place: number): Promise<void> => {
    const cause = broken.length === 0 ? '' : ` (see row ${broken[0]})`;
    broken = [];
    const add = (kind: string, why: string, text: string): void => runs.add(until, place, kind, why, `${text}${cause}`);
    if (until.row < last) return add('before', '', `it says row ${until.row}, and row ${last} is dated before it`);
    if (until.row > last)
      return add('missing', '', `it knows row ${until.row}, the ledger has none before ${day(until.until)} after row ${last}`);
    if (until.head !== head) add('head', '', `it says that row ${until.row} has the hash ${until.head}, the ledger says ${head}`);
    if (counted !== null && until.rows !== counted)
      add('rows', String(until.rows - counted), `it counts ${until.rows} rows, the ledger ${counted}`);
    const text = levelsText(levels.values());
    if (levelsHash(text) !== until.levelsHash) {
      const { by, first } = differenceOf(until, text);
      add('levels', by, first);
    }
    const stored = await db.selectFrom('ledgerMoves').select(['pairs', 'moves']).where('anchorId', '=', until.id).executeTakeFirst();
    const own: Moves = builder.take();
    builder = new MovesBuilder();
    if (stored === undefined) return;
    packed++;
    if (stored.pairs !== JSON.stringify(own.pairs) || Buffer.compare(stored.moves, packMoves(own)) !== 0) {
      days.add(`${named(until)}: the rows packed for it are not those of the ledger${cause}`);
    }
  };
  let next = 0;
  for (;;) {
    const page = await db.selectFrom('ledger').selectAll().where('id', '>', last).orderBy('id').limit(ROWS_AT_ONCE).execute();
    for (const row of page) {
      for (let anchor = open[next]; anchor !== undefined && anchor.until <= row.at; anchor = open[++next]) await pass(anchor, next);
      const isNext = row.id === last + 1;
      const follows = chainHash(head, row) === row.hash;
      if (!isNext) chain.add(`row ${row.id}: ${rowsText(last + 1, row.id - 1)} missing before it${follows ? '' : ', or it was altered'}`);
      else if (!follows) chain.add(`row ${row.id}: it was altered, or a row before it was removed or moved`);
      else if (row.at < atMs) chain.add(`row ${row.id}: it is dated before the row before it`);
      if (!isNext || !follows) broken.push(row.id);
      head = row.hash;
      last = row.id;
      atMs = row.at;
      rows++;
      if (counted !== null) counted++;
      moved(row);
      builder.add(row);
    }
    if (page.length < ROWS_AT_ONCE) break;
    await nextTurn();
  }
  for (let anchor = open[next]; anchor !== undefined; anchor = open[++next]) await pass(anchor, next);
  runs.tell(stood);
  // a number is given once: the newest rows are missed where they were taken away without a thought for it
  const given = await lastNumber(db);
  if (given > last) chain.add(`${rowsText(last + 1, given)} missing: the ledger has none behind row ${last}`);
  const from = start === null ? '' : `, behind ${start.openings} opening balances for the rows up to ${start.row}`;
  return [
    chain.check('chain', `${rows} rows${from}, head ${head}`),
    unlessNone(stood.check('anchors', `${anchors.length} anchors, ${open.length} of them compared with the ledger`), open.length),
    unlessNone(days.check('days', `${packed} packed days compared with the ledger`), packed),
    ...(start === null ? [] : [provePurge(start, anchors)]),
  ];
}

/** What was compared with nothing is not proven. */
const unlessNone = (made: Check, count: number): Check =>
  count === 0 && made.outcome === 'proven' ? { ...made, outcome: 'unchecked' } : made;

const rowsText = (first: number, last: number): string => (first === last ? `row ${first} is` : `rows ${first} to ${last} are`);
const day = (ms: number): string => Temporal.Instant.fromEpochMilliseconds(ms).toString({ smallestUnit: 'minute' });
const named = ({ id, until }: Pick<AnchorRow, 'id' | 'until'>): string => `anchor ${id} (until ${day(until)})`;

function proveAnchorChain(anchors: readonly AnchorRow[], findings: Findings): void {
  let head = CHAIN_START;
  let before: AnchorRow | null = null;
  for (const anchor of anchors) {
    if (anchorHash(head, anchor) !== anchor.hash) {
      const gap = before !== null && anchor.id > before.id + 1 ? `anchors ${before.id + 1} to ${anchor.id - 1} are missing, or ` : '';
      findings.add(`${named(anchor)}: ${gap}it was altered, or an anchor before it was removed or moved`);
    } else if (before !== null && (anchor.until <= before.until || anchor.row < before.row || anchor.rows < before.rows)) {
      findings.add(`${named(anchor)}: it goes back behind the anchor before it`);
    }
    if (anchor.levels !== null && levelsHash(anchor.levels) !== anchor.levelsHash)
      findings.add(`${named(anchor)}: its levels were altered`);
    head = anchor.hash;
    before = anchor;
  }
}

/** Which vault and shop first, and `by` how much each of them is off. */
function differenceOf({ levels }: AnchorRow, ledger: string): { readonly first: string; readonly by: string } {
  const unknown = { first: 'its levels are not those of the ledger', by: '' };
  if (levels === null) return unknown;
  const own = new Map(readLevels(ledger).map(([vault, shop, bytes]) => [`${vault}: ${shop}`, bytes]));
  const said = new Map(readLevels(levels).map(([vault, shop, bytes]) => [`${vault}: ${shop}`, bytes]));
  const off: [name: string, said: number, own: number][] = [];
  for (const name of [...new Set([...own.keys(), ...said.keys()])].sort()) {
    const [a, b] = [said.get(name) ?? 0, own.get(name) ?? 0];
    if (a !== b) off.push([name, a, b]);
  }
  const [first] = off;
  if (first === undefined) return unknown;
  return {
    first: `${first[0]}: it says ${first[1]} bytes, the ledger adds up to ${first[2]}`,
    by: JSON.stringify(off.map(([name, a, b]) => [name, a - b])),
  };
}

/** What stands for the rows that are gone must be what an anchor says, and they must have been old enough. */
function provePurge(start: LedgerStart, anchors: readonly AnchorRow[]): Check {
  const findings = new Findings();
  if (start.cause === 'lost') {
    const detail = `the rows before ${day(start.until)} were lost with a machine: what they were is known from their anchors alone`;
    return { name: 'purge', vault: null, outcome: 'unchecked', detail, findings: [] };
  }
  const anchor = anchors.findLast(({ until }) => until === start.until);
  if (anchor === undefined) findings.add(`no anchor stands at ${day(start.until)}, before which the rows were removed`);
  else if (anchor.row !== start.row || anchor.head !== start.hash)
    findings.add(`${named(anchor)}: it is not where the remaining rows begin`);
  const removed = Temporal.Instant.fromEpochMilliseconds(start.at).toZonedDateTimeISO('UTC');
  if (removed.subtract({ months: YEAR_MONTHS }).epochMilliseconds < start.until) {
    findings.add(`rows up to ${day(start.until)} were removed on ${day(start.at)}, before they were 12 months old`);
  }
  return findings.check(
    'purge',
    `rows before ${day(start.until)} were removed after 12 months, ${start.openings} opening balances stand for them`,
  );
}

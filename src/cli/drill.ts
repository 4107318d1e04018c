// `coffre drill`: restores a shop into scratch, looks, times and keeps the evidence; lists it, hands it over, and checks what was handed over.

import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { type DrillRow, pageOfDrills, readDrill } from '../catalog/drills.ts';
import { openCatalog } from '../catalog/open.ts';
import type { Language } from '../document/wording.ts';
import { CoffreError } from '../errors.ts';
import { type Evidence, lackingCounts, parseEvidence, type SignedEvidence, signerOf, verifyEvidence } from '../restore/drill/evidence.ts';
import { action, type CliContext, type Invocation } from './context.ts';
import { neededDaemon } from './daemon/needed.ts';
import type { DrillOptions } from './drill-run.ts';
import { formatBytes, formatDuration, formatInstant, printable, table } from './output.ts';
import { findShop } from './shop.ts';

interface ShowOptions {
  readonly format?: 'html' | 'json';
  readonly lang: Language;
}

/** In one list; more through the API, page by page. */
const MOST_LISTED = 1000;

export function registerDrill(program: Command, context: CliContext): void {
  const drill = program
    .command('drill')
    .description('prove that a shop comes back: restore it into scratch, check it, time it, keep the evidence')
    .addHelpText(
      'after',
      '\n`coffre drill SHOP` is `coffre drill run SHOP`.\n\nExample:\n  coffre drill dupont\n  coffre drill list dupont\n',
    );
  drill
    .command('run', { isDefault: true })
    .description('restore a shop from one vault into scratch, check and time it, keep the signed evidence, remove what was made')
    .argument('<shop>', 'shop to drill')
    .option('--from <vault>', 'read from this vault (default: each in turn)')
    .addOption(new Option('--source <source>', 'only this source (default: database and files)').choices(['database', 'files', 'server']))
    .option('--snapshot <id>', 'this snapshot alone (default: the newest of each source)')
    .addHelpText('after', '\nExample:\n  coffre drill run dupont\n  coffre drill dupont --from offsite --source database\n')
    .action(
      action(context, async (invocation, shop: string, options: DrillOptions) => {
        // who may not read the state may not read identities either: the daemon has it done
        const isByDaemon = invocation.isRemote || !invocation.readsCatalog();
        if (!isByDaemon && !context.restore.here) return context.restore.become();
        const { drillByDaemon, drillNow } = await import('./drill-run.ts');
        const { signed, failure } = await (isByDaemon ? drillByDaemon : drillNow)(context, invocation, shop, options);
        return {
          document: drillDocument(signed),
          text: describeEvidence(signed.evidence, invocation.timezone()),
          ...(failure ? { failure } : {}),
        };
      }),
    );
  drill
    .command('list')
    .description('drills, newest first')
    .argument('[shop]', 'only of this shop')
    .addHelpText('after', '\nExample:\n  coffre drill list\n  coffre drill list dupont\n')
    .action(
      action(context, async (invocation, shop: string | undefined) => {
        const drills = await (invocation.readsCatalog() ? drillsHere(invocation, shop) : drillsOfDaemon(invocation, shop));
        return { document: { drills }, text: listText(drills, invocation.timezone()) };
      }),
    );
  drill
    .command('show')
    .description('the evidence of a drill: read it here, or hand it over (--format) as a page to print or as the signed JSON')
    .argument('<id>', 'as drill list shows it, or the beginning of it')
    .addOption(new Option('--format <format>', 'html: a page that needs nothing else; json: what was signed').choices(['html', 'json']))
    .addOption(new Option('--lang <language>', 'of the page').choices(['fr', 'en']).default('en'))
    .addHelpText('after', '\nExample:\n  coffre drill show 01k2j8\n  coffre drill show 01k2j8 --format html --lang fr > preuve.html\n')
    .action(
      action(context, async (invocation, id: string, { format, lang }: ShowOptions) => {
        const text = await (invocation.readsCatalog() ? evidenceHere(invocation, id) : evidenceOfDaemon(invocation, id));
        const signed = parseEvidence(text, id);
        if (format === undefined) return { document: signed, text: describeEvidence(signed.evidence, invocation.timezone()) };
        if (format === 'json') return { document: signed, text };
        const { evidencePage } = await import('../restore/drill/page.ts');
        return { document: { html: evidencePage(signed, lang) }, text: evidencePage(signed, lang) };
      }),
    );
  drill
    .command('verify')
    .description('check evidence that was handed over: its signature, and its list of objects')
    .argument('<file>', 'the JSON, as drill show --format json wrote it')
    .option('--fingerprint <fingerprint>', 'of the signing key, SHA256:…, as the paper kit has it (default: the keys of this machine)')
    .addHelpText(
      'after',
      '\nExample:\n  coffre drill verify preuve.json --fingerprint SHA256:yI4cVbWmZ3LrBqGZ2Y7wq0Yw6Jk9m1m1vKc0vX2n0aE\n',
    )
    .action(
      action(context, async (invocation, file: string, { fingerprint }: { readonly fingerprint?: string }) => {
        let text: string;
        try {
          text = await readFile(file, 'utf8');
        } catch (cause) {
          throw new CoffreError('E_USAGE', `cannot read ${file}: ${(cause as NodeJS.ErrnoException).code}`, { cause });
        }
        const signed = verifyEvidence(text, await fingerprintsOf(invocation, fingerprint), file);
        const { evidence } = signed;
        const signer = signerOf(signed);
        return {
          document: { verified: true, signer, id: evidence.id, shop: evidence.shop, outcome: evidence.outcome, endedAt: evidence.endedAt },
          text: `the signature holds: ${file} is what ${signer} signed, unchanged\n${describeEvidence(evidence, zoneOf(invocation))}`,
        };
      }),
    );
}

/** Whoever was handed a file has no configuration, and needs none. */
async function fingerprintsOf(invocation: Invocation, given: string | undefined): Promise<readonly string[]> {
  if (given !== undefined) {
    if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(given)) return [given];
    throw new CoffreError('E_USAGE', '--fingerprint is no fingerprint', { hint: 'SHA256: and 43 characters, as the paper kit has it' });
  }
  const { trustedKeys } = await import('../restore/keys.ts');
  return await trustedKeys(invocation.config());
}

function zoneOf(invocation: Invocation): string {
  try {
    return invocation.timezone();
  } catch {
    return new Intl.DateTimeFormat().resolvedOptions().timeZone;
  }
}

/** What is asked for first, then the evidence itself as it was signed. */
export function drillDocument(signed: SignedEvidence) {
  const { codes, from, id, outcome, restoreMs, shop, totalMs } = signed.evidence;
  return { drill: id, shop, vault: from.name, passed: outcome === 'passed', codes, durationMs: restoreMs, totalMs, ...signed };
}

/** One line of a list, here and from the daemon. */
interface Listed extends Pick<DrillRow, 'shop' | 'vault' | 'outcome' | 'code' | 'restoreMs' | 'targetMs' | 'snapshots'> {
  readonly id: string;
  readonly endedAt: string;
}

async function drillsHere(invocation: Invocation, shop: string | undefined): Promise<Listed[]> {
  const config = invocation.config();
  if (shop !== undefined) findShop(config, shop);
  await using catalog = await openCatalog(config.stateDir);
  const rows = await pageOfDrills(catalog.db, { ...(shop === undefined ? {} : { shops: [shop] }), limit: MOST_LISTED });
  return rows.map(({ drill, endedAt, shop: of, vault, outcome, code, restoreMs, targetMs, snapshots }) => ({
    ...{ id: drill, shop: of, vault, endedAt: Temporal.Instant.fromEpochMilliseconds(endedAt).toString() },
    ...{ outcome, code, restoreMs, targetMs, snapshots },
  }));
}

async function drillsOfDaemon(invocation: Invocation, shop: string | undefined): Promise<Listed[]> {
  const daemon = await neededDaemon(invocation);
  const path = shop === undefined ? '/drills' : `/shops/${encodeURIComponent(shop)}/drills`;
  return (await daemon.readAll(path, 'drills', invocation.signal)) as Listed[];
}

async function evidenceHere(invocation: Invocation, id: string): Promise<string> {
  await using catalog = await openCatalog(invocation.config().stateDir);
  return (await readDrill(catalog.db, id)).document;
}

async function evidenceOfDaemon(invocation: Invocation, id: string): Promise<string> {
  const daemon = await neededDaemon(invocation);
  const known = (await drillsOfDaemon(invocation, undefined)).filter((drill) => drill.id.startsWith(id));
  if (known.length > 1) throw new CoffreError('E_USAGE', `several drills begin with ${id}`);
  return JSON.stringify(await daemon.read(`/drills/${encodeURIComponent(known[0]?.id ?? id)}/evidence`, invocation.signal));
}

function listText(drills: readonly Listed[], timezone: string): string {
  return table(
    [
      ...['drill', 'shop', 'vault', 'at', 'outcome'].map((title) => ({ title })),
      { title: 'restore took', align: 'right' },
      { title: 'of', align: 'right' },
      { title: 'code' },
    ],
    drills.map((drill) => [
      ...[drill.id, drill.shop, drill.vault, formatInstant(Temporal.Instant.from(drill.endedAt), timezone), drill.outcome],
      ...[formatDuration(drill.restoreMs), formatDuration(drill.targetMs), drill.code ?? '-'],
    ]),
    'no drills yet: coffre drill SHOP makes one',
  );
}

const MARKS = { true: 'ok', false: 'RED', null: '-' } as const;

function describeEvidence(evidence: Evidence, timezone: string): string {
  const { checks, from, id, into, objects, outcome, phases, restoreMs, rto, shop, sources, totalMs } = evidence;
  const when = (text: string): string => formatInstant(Temporal.Instant.from(text), timezone);
  const where = from.type === 's3' ? `${from.endpoint} bucket ${from.bucket}${from.prefix ? ` prefix ${from.prefix}` : ''}` : from.endpoint;
  const lines = [
    `drill ${id} of ${shop}: ${outcome.toUpperCase()}`,
    `from ${from.name} (${where}), into ${into.database === null ? 'files alone' : `${into.database}${into.databaseVersion === null ? '' : ` (${printable(into.databaseVersion)})`}`} on ${into.host}`,
    `asked for by ${evidence.askedBy}, ${when(evidence.startedAt)} to ${when(evidence.endedAt)}`,
    '',
    table(
      ['source', 'snapshot', 'as of', 'size', 'took'].map((title) => ({ title })),
      sources.map(({ source, snapshot, asOf, restored }) => [
        ...[source, snapshot, when(asOf)],
        ...(restored === null ? ['-', 'not restored'] : [formatBytes(restored.bytes), formatDuration(restored.durationMs)]),
      ]),
    ),
    '',
    table(
      ['check', 'of', '', 'found'].map((title) => ({ title })),
      checks.map(({ check, source, ok, code, detail }) => [
        ...[check, source ?? 'shop', MARKS[`${ok}`]],
        `${printable(detail)}${code === null ? '' : ` [${code}]`}`,
      ]),
    ),
    '',
    table(
      [{ title: 'phase' }, { title: 'of' }, { title: 'bytes', align: 'right' }, { title: 'took', align: 'right' }],
      phases.map(({ phase, source, bytes, ms }) => [phase, source, formatBytes(bytes), formatDuration(ms)]),
    ),
    '',
    `${rto.kept === null ? 'not restored to the end, after' : 'restored in'} ${formatDuration(restoreMs)} of the ${formatDuration(rto.targetMs)} promised; ${formatDuration(totalMs)} with making ready and checks`,
    ...objectLines(objects),
    `signed by ${evidence.signedBy === 'daemon' ? 'the daemon, of what the restore unit told it' : 'this command, of what its restore unit told it'}; coffre drill show ${id} --format html hands it over`,
  ];
  return lines.join('\n');
}

/** Evidence of before told what the manifests named, read or not. */
function objectLines({ bytes, count, digest, lacking = [], named }: Evidence['objects']): string[] {
  if (named === undefined) return [`${count} objects named by the manifests, ${formatBytes(bytes)}; digest of their hashes ${digest}`];
  const others = lackingCounts(lacking).map(([state, many]) => `${many} ${state === 'not-read' ? 'not read' : state}`);
  return [
    `${count} of ${named.count} objects named by the manifests read, ${formatBytes(bytes)}${others.length > 0 ? `; ${others.join(', ')}` : ''}; digest of the hashes of those read ${digest}`,
    ...lacking.flatMap(({ key, state }) => (state === 'missing' || state === 'altered' ? [`  ${state}: ${printable(key)}`] : [])),
  ];
}

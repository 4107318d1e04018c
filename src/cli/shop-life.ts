// `coffre shop`: the tenant's life, from suspending to the certificate that nothing is left.
import { type Command, Option } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { pruneAndCertify, pruneTarget } from '../backup/upkeep-deps.ts';
import { listHolds } from '../catalog/holds.ts';
import { undeclaredShops } from '../catalog/live-objects.ts';
import { type Catalog, openCatalog } from '../catalog/open.ts';
import { listPauses, type Pause } from '../catalog/pauses.ts';
import { ACTIVE, changeLife, type LifeChange, listLives, readLife, type ShopLife } from '../catalog/shop-life.ts';
import type { Config } from '../config/config.ts';
import type { Language } from '../document/wording.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { issueCertificate, listCertificates, type SignedCertificate } from '../retention/certificate.ts';
import { lifeDocument } from '../retention/life-document.ts';
import { lifeEnd } from '../retention/policy.ts';
import { failedPrune, type PruneResult, pruneShortfall } from '../retention/result.ts';
import { loadSigningKey } from '../segment/signing-key.ts';
import { action, type CliContext, type Invocation } from './context.ts';
import type { DaemonClient } from './daemon/client.ts';
import { operatorName } from './operator.ts';
import { formatBytes, formatInstant, type Result, table } from './output.ts';
import { pruneByDaemon } from './prune.ts';
import { keptWords } from './reason.ts';
import { knownShop } from './shop.ts';
import { pauseDocument, registerPause, resumeShop } from './shop-pause.ts';

interface Reason {
  readonly reason?: string;
}

const REASON = ['--reason <text>', 'why, for the audit', keptWords] as const;

export function registerShop(program: Command, context: CliContext): void {
  const shop = program.command('shop').description('the life of a shop: pause, suspend, resume, close, erase');
  shop
    .command('suspend')
    .description('no new backups; the newest good backup of each source is kept for 30 days, then everything goes as its locks end')
    .argument('<shop>', 'a declared shop')
    .option(...REASON)
    .addHelpText('after', '\nExample:\n  coffre shop suspend dupont --reason "invoice 1042 unpaid"\n')
    .action(
      action(context, (invocation, name: string, options: Reason) => change(context, invocation, name, { verb: 'suspend' }, options)),
    );
  shop
    .command('resume')
    .description('back to normal from a pause, suspension or closing: backups are taken again, what is still there stays for its window')
    .argument('<shop>', 'a shop that is paused, suspended or closing')
    .option(...REASON)
    .addHelpText('after', '\nExample:\n  coffre shop resume dupont --reason "paid"\n')
    .action(
      action(context, (invocation, name: string, options: Reason) =>
        resumeShop(context, invocation, name, options, (life) => sentence(invocation.timezone(), name, life)),
      ),
    );
  registerPause(shop, context);
  shop
    .command('close')
    .description('end on a date: backed up through it, nothing locked beyond it from now on, and then everything goes')
    .argument('<shop>', 'a declared shop')
    .requiredOption('--on <date>', 'last day, YYYY-MM-DD in the configured time zone; or an instant, 2026-12-31T18:00:00+01:00')
    .option(...REASON)
    .addHelpText('after', '\nExample:\n  coffre shop close dupont --on 2030-12-31 --reason "contract ends"\n')
    .action(
      action(context, async (invocation, name: string, options: Reason & { readonly on: string }) => {
        const endsAt = endOf(options.on, invocation.config().timezone).epochMilliseconds;
        return await change(context, invocation, name, { verb: 'close', endsAt }, options);
      }),
    );
  shop
    .command('erase')
    .description('delete everything that no lock protects, at once; prune deletes the rest as its locks end. Cannot be undone')
    .argument('<shop>', 'a shop, declared or not')
    .requiredOption(...REASON)
    .option('--yes', 'without the question; needed where there is no terminal to ask on')
    .addHelpText(
      'after',
      '\nOn a terminal it asks for the name of the shop first.\n\nExample:\n  coffre shop erase dupont --reason "GDPR request of 3 March"\n',
    )
    .action(
      action(context, async (invocation, name: string, options: { readonly reason: string; readonly yes?: boolean }) => {
        await requireErase(context, invocation, name, options);
        return await erase(context, invocation, name, options);
      }),
    );
  shop
    .command('certificate')
    .description(
      'the newest certificate of a shop that closes or was erased, and whether it was withdrawn since; with --json as it was signed, with --format html as a page',
    )
    .argument('<shop>', 'a shop, declared or not')
    .addOption(new Option('--format <format>', 'html: a page for its owner').choices(['html']))
    .addOption(new Option('--lang <language>', 'of the page (else that of the shop’s contact)').choices(['fr', 'en']))
    .addHelpText(
      'after',
      '\nExample:\n  coffre --json shop certificate dupont > certificate.json\n  coffre shop certificate dupont --format html --lang fr > attestation.html\n',
    )
    .action(
      action(context, async (invocation, name: string, options: { readonly format?: 'html'; readonly lang?: Language }) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const [newest] = await listCertificates(catalog.db, name);
        if (!newest) throw new CoffreError('E_SHOP_STATE', `there is no certificate for ${name}`, { hint: 'coffre shop erase issues one' });
        const withdrawnAt = withdrawn(newest, await readLife(catalog.db, name));
        if (options.format === 'html') {
          const { certificatePage } = await import('../report/certificate-page.ts');
          const language = options.lang ?? config.shops.get(name)?.contact?.language ?? 'en';
          const page = certificatePage(newest, { language, timezone: config.timezone, withdrawnAt });
          return { document: { html: page }, text: page };
        }
        if (withdrawnAt === null) return { document: newest, text: describe(newest, config.timezone) };
        const when = formatInstant(Temporal.Instant.fromEpochMilliseconds(withdrawnAt), config.timezone);
        const said = `WITHDRAWN: the order was taken back, ${name} was resumed ${when}; what the certificate said then:`;
        return {
          // as it was signed, with what came of it beside it
          document: { ...newest, withdrawnAt: Temporal.Instant.fromEpochMilliseconds(withdrawnAt).toString() },
          text: `${said}\n${describe(newest, config.timezone)}`,
        };
      }),
    );
  shop
    .command('list')
    .description('the state of every shop, since when, by whom and why')
    .addHelpText('after', '\nExample:\n  coffre shop list\n')
    .action(
      action(context, async (invocation) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        return await listShops(config, catalog, await listPauses(catalog, context.clock.nowMs()));
      }),
    );
}

/** Since when the order that it certifies is not in force any more (epoch milliseconds); null: it is, or it was carried out. */
function withdrawn({ certificate: { final, orderedAt } }: SignedCertificate, life: ShopLife): number | null {
  if (final || life.state === 'closing' || life.state === 'erased') return null;
  return life.since > Temporal.Instant.from(orderedAt).epochMilliseconds ? life.since : null;
}

/** The end of that day, or the instant itself. Throws E_USAGE. */
function endOf(date: string, timezone: string): Temporal.Instant {
  try {
    if (!/^\d{4}-\d{2}-\d{2}$/.test(date)) return Temporal.Instant.from(date);
    return Temporal.PlainDate.from(date).add({ days: 1 }).toZonedDateTime({ timeZone: timezone }).toInstant();
  } catch {
    throw new CoffreError('E_USAGE', `--on ${JSON.stringify(date)} is no date`, { hint: 'YYYY-MM-DD, or an instant with its offset' });
  }
}

async function change(context: CliContext, invocation: Invocation, name: string, order: LifeChange, { reason }: Reason): Promise<Result> {
  const config = invocation.config();
  // before anything is ordered that could not be certified
  const key = order.verb === 'close' ? await loadSigningKey(config.signing.keyFile) : null;
  await using catalog = await openCatalog(config.stateDir);
  await knownShop(config, catalog, name);
  const life = await changeLife(catalog, context.clock, name, order, { who: operatorName(context.io), reason: reason ?? null });
  if (key === null) return { document: { shop: name, ...lifeDocument(life) }, text: sentence(config.timezone, name, life) };
  const certificate = await issueCertificate(catalog, context.clock, name, key);
  return {
    document: { shop: name, ...lifeDocument(life), certificate },
    text: `${sentence(config.timezone, name, life)}\nits data can be had until then: coffre export ${name} --to ${name}.tar\n${describe(certificate, config.timezone)}`,
  };
}

/** It cannot be undone: a wrong name in a script, or a line run by mistake, must not be enough. Throws E_USAGE, E_CANCELLED. */
async function requireErase(
  { io }: CliContext,
  invocation: Invocation,
  name: string,
  { reason, yes }: { readonly reason: string; readonly yes?: boolean },
): Promise<void> {
  if (reason.trim() === '') throw new CoffreError('E_USAGE', '--reason is empty', { hint: 'say why: the certificate tells it' });
  if (yes === true) return;
  if (invocation.json || io.stdin.isTTY !== true || io.stderr.isTTY !== true) {
    throw new CoffreError('E_USAGE', `erasing ${name} cannot be undone, and there is no terminal to ask on`, {
      hint: '--yes says it at once',
    });
  }
  const { openQuestions } = await import('./questions.ts');
  using questions = openQuestions(io);
  io.err(`Everything of ${name} that no lock protects is deleted at once, and nothing of it can be restored from then on.\n`);
  if ((await questions.ask(`Type ${name} to erase it`, '')) === name) return;
  throw new CoffreError('E_CANCELLED', `${name} was not erased: its name was not typed`, { hint: 'nothing was changed' });
}

/** The order stands even when a vault does not answer, or a backup holds the shop: prune goes on with it. */
async function erase(context: CliContext, invocation: Invocation, name: string, { reason }: Reason): Promise<Result> {
  const config = invocation.config();
  // before anything is ordered that could not be certified
  const key = await loadSigningKey(config.signing.keyFile);
  const daemon = await invocation.daemon();
  await using catalog = await openCatalog(config.stateDir);
  await knownShop(config, catalog, name);
  const who = operatorName(context.io);
  const life = await changeLife(catalog, context.clock, name, { verb: 'erase' }, { who, reason: reason ?? null });
  const pruned = await (daemon
    ? prunedByDaemon(daemon, context, invocation, name)
    : pruneAndCertify(config, catalog, context.clock, context.adapters, {
        ...pruneTarget(config, name),
        ...{ who, signal: invocation.signal },
      })
  ).catch((error: unknown) => failedPrune(name, asCoffreError(error)));
  const [last] = await listCertificates(catalog.db, name);
  // the prune itself issues the final one
  const isFinal = last?.certificate.kind === 'erasure' && last.certificate.final;
  const certificate = last && isFinal ? last : await issueCertificate(catalog, context.clock, name, key);
  const failure = pruneShortfall(pruned);
  return {
    document: {
      shop: name,
      ...lifeDocument(life),
      deletedObjects: pruned.deletedObjects,
      releasedBytes: pruned.releasedBytes,
      certificate,
    },
    text: `${sentence(config.timezone, name, life)}\n${describe(certificate, config.timezone)}`,
    ...(failure ? { failure } : {}),
  };
}

async function prunedByDaemon(daemon: DaemonClient, context: CliContext, invocation: Invocation, name: string): Promise<PruneResult> {
  const [result] = await pruneByDaemon(daemon, context, invocation, [name]);
  if (result === undefined) throw new CoffreError('E_INTERNAL', 'nothing was asked for');
  return result;
}

function sentence(timezone: string, name: string, life: ShopLife): string {
  const when = (atMs: number): string => formatInstant(Temporal.Instant.fromEpochMilliseconds(atMs), timezone);
  const end = lifeEnd(life);
  switch (life.state) {
    case 'active':
      return `${name} is active: backed up by its plan`;
    case 'suspended':
      return `${name} is suspended since ${when(life.since)}: no new backups, its newest good ones are kept until ${when(end ?? 0)}`;
    case 'closing':
      return `${name} closes at ${when(life.endsAt ?? 0)}: nothing is locked beyond it from now on, then everything goes`;
    case 'erased':
      return `${name} was erased at ${when(life.since)}: what is locked goes as its locks end`;
  }
}

function describe({ certificate: it }: SignedCertificate, timezone: string): string {
  const when = (instant: string): string => formatInstant(Temporal.Instant.from(instant), timezone);
  const objects = (count: number): string => `${count} ${count === 1 ? 'object' : 'objects'}`;
  const lines = [
    `certificate of ${it.kind}: ${it.shop}, ordered ${when(it.orderedAt)} by ${it.orderedBy}${it.reason === null ? '' : ` (${it.reason})`}`,
  ];
  for (const row of it.deleted) lines.push(`  deleted  ${row.vault}: ${objects(row.objects)}, ${formatBytes(row.bytes)}`);
  for (const row of it.remains) {
    const until = row.until === null ? 'not locked, and not deleted yet' : `${row.lockMode} until ${when(row.until)}`;
    lines.push(`  remains  ${row.vault}: ${objects(row.objects)}, ${formatBytes(row.bytes)}: ${until}`);
  }
  for (const row of it.foreign)
    lines.push(`  foreign  ${row.vault}: ${objects(row.objects)}, ${formatBytes(row.bytes)}, not written by coffre`);
  for (const reason of it.holds) lines.push(`  held     ${reason}`);
  if (it.final) lines.push(`  nothing of ${it.shop} is left (${when(it.at)})`);
  else if (it.remains.length === 0) lines.push('  no lock outlasts the end');
  return lines.join('\n');
}

async function listShops(config: Config, catalog: Catalog, pauses: ReadonlyMap<string, Pause>): Promise<Result> {
  const lives = await listLives(catalog.db);
  const holds = await listHolds(catalog.db);
  const undeclared = await undeclaredShops(config, catalog);
  const names = [...new Set([...config.shops.keys(), ...lives.keys(), ...undeclared])].sort();
  const shops = names.map((name) => ({
    ...{ shop: name, declared: config.shops.has(name), life: lives.get(name) ?? ACTIVE },
    holds: holds.filter((hold) => hold.shop === name).length,
    pause: pauses.get(name) ?? null,
  }));
  const when = (atMs: number | null): string =>
    atMs === null || atMs === 0 ? '-' : formatInstant(Temporal.Instant.fromEpochMilliseconds(atMs), config.timezone);
  return {
    document: {
      shops: shops.map(({ life, shop, declared, holds: count, pause }) => ({
        ...{ shop, declared, ...lifeDocument(life), holds: count },
        paused: pause && pauseDocument(pause),
      })),
    },
    text: table(
      ['shop', 'state', 'since', 'until', 'by', 'why', 'holds', 'declared'].map((title) => ({ title })),
      shops.flatMap(({ shop, life, holds: count, declared, pause }) => {
        const more = [String(count), declared ? 'yes' : 'no'];
        const own = [when(life.since), when(lifeEnd(life)), life === ACTIVE ? '-' : life.who, life.reason ?? '-'];
        if (pause === null) return [[shop, life.state, ...own, ...more]];
        const paused = [when(pause.since), pause.until === null ? 'resumed' : when(pause.until), pause.who, pause.reason ?? '-'];
        if (life.state === 'active') return [[shop, 'paused', ...paused, ...more]];
        return [
          [shop, life.state, ...own, ...more],
          [shop, 'paused', ...paused, ...more],
        ];
      }),
      'no shops are declared',
    ),
  };
}

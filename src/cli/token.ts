// `coffre token`: who may use the daemon's API over the network, and as what.
import { type Command, Option } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { openCatalog } from '../catalog/open.ts';
import {
  createToken,
  isInForce,
  listTokens,
  revokeToken,
  TOKEN_ROLES,
  type TokenRole,
  type TokenRow,
  tokenDocument,
  tokenShops,
} from '../catalog/tokens.ts';
import { parseDuration } from '../config/quantity.ts';
import { action, type CliContext } from './context.ts';
import { OR_DURATION_HINT, parseInstant } from './instant.ts';
import { operatorName } from './operator.ts';
import { formatInstant, table } from './output.ts';
import { findShop } from './shop.ts';

interface CreateOptions {
  readonly role: TokenRole;
  readonly shop?: readonly string[];
  readonly expires: string;
}

const ROLES = `
Roles:
  admin    everything
  client   its shops: state, status, snapshots, runs, live progress and reports; asks for their restore into their own
           place or their export, approves it and calls it off; names no path, host or database
  billing  of all shops: levels, peaks, ledger and statements; proofs, explanations and forecasts; suspends a shop for
           non-payment, and resumes what a token of this role suspended
  monitor  of all shops: metrics, status, incidents and their cases, vaults
`;

export function registerToken(program: Command, context: CliContext): void {
  const token = program.command('token').description('tokens of the API: make, list, revoke');
  token
    .command('create')
    .description('make a token and print it, this once: only its hash is kept')
    .argument('<name>', 'what the audit calls whoever uses it')
    .addOption(new Option('--role <role>', 'what it may do').choices([...TOKEN_ROLES]).makeOptionMandatory())
    .option('--shop <name>', 'a shop of a client, once for each', (name: string, before: readonly string[] = []) => [...before, name])
    .option('--expires <time>', 'a duration from now, such as 90d, or an instant, or never', '365d')
    .addHelpText('after', `${ROLES}\nExample:\n  coffre token create portal-dupont --role client --shop dupont --expires 90d\n`)
    .action(
      action(context, async (invocation, name: string, options: CreateOptions) => {
        const config = invocation.config();
        for (const shop of options.shop ?? []) findShop(config, shop);
        const expiresAt = endOf(options.expires, config.timezone, context.clock.nowMs());
        await using catalog = await openCatalog(config.stateDir);
        const made = { name, role: options.role, shops: options.shop ?? null, expiresAt, who: operatorName(context.io) };
        const { secret, row } = await createToken(catalog, context.clock, made);
        return { document: { token: secret, ...tokenDocument(row) }, text: secret };
      }),
    );
  token
    .command('list')
    .description('tokens in force, newest first')
    .option('--all', 'those that expired or were revoked too')
    .addHelpText('after', '\nExample:\n  coffre token list\n')
    .action(
      action(context, async (invocation, options: { readonly all?: boolean }) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const rows = await listTokens(catalog, context.clock, { all: options.all === true });
        const when = (atMs: number | null, otherwise: string): string =>
          atMs === null ? otherwise : formatInstant(Temporal.Instant.fromEpochMilliseconds(atMs), config.timezone);
        const state = (row: TokenRow): string => {
          if (row.revokedAt !== null) return `revoked by ${row.revokedBy}`;
          return isInForce(row, context.clock.nowMs()) ? 'in force' : 'expired';
        };
        return {
          document: { tokens: rows.map(tokenDocument) },
          text: table(
            ['id', 'name', 'role', 'shops', 'created', 'expires', 'last used', 'from', 'state'].map((title) => ({ title })),
            rows.map((row) => [
              ...[row.id, row.name, row.role, tokenShops(row)?.join(', ') ?? '-', when(row.createdAt, '-'), when(row.expiresAt, 'never')],
              ...[when(row.lastUsedAt, 'never'), row.lastUsedFrom ?? '-', state(row)],
            ]),
            'no tokens: coffre token create makes one',
          ),
        };
      }),
    );
  token
    .command('revoke')
    .description('end a token, from its next request on')
    .argument('<id-or-name>', 'as token list shows them')
    .addHelpText('after', '\nExample:\n  coffre token revoke portal-dupont\n  coffre token revoke 01k9v3n0t3f8z6j2q4h5y7w1cd\n')
    .action(
      action(context, async (invocation, id: string) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const row = await revokeToken(catalog, context.clock, id, operatorName(context.io));
        return { document: tokenDocument(row), text: `revoked ${row.name} (${row.id})` };
      }),
    );
}

/** Epoch milliseconds; null: never. Throws E_USAGE. */
function endOf(text: string, timezone: string, nowMs: number): number | null {
  if (text === 'never') return null;
  const durationMs = parseDuration(text);
  if (durationMs !== null) return nowMs + durationMs;
  return parseInstant(text, timezone, OR_DURATION_HINT).epochMilliseconds;
}

// `coffre billing prove`: chain, anchors, statements, the vaults' locked checkpoints and their own listing, against each other.
import type { Command } from 'commander';
import { type ProofResult, proveInVaults } from '../../backup/prove-billing.ts';
import { isKnownShop } from '../../billing/level.ts';
import { requireBegun } from '../../billing/month.ts';
import { prepareProof } from '../../billing/prepare-proof.ts';
import { countFindings } from '../../billing/prove-ledger.ts';
import { type Catalog, openCatalog } from '../../catalog/open.ts';
import type { Config, ContractConfig } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import { action, type CliContext } from '../context.ts';
import { table } from '../output.ts';
import { findShop } from '../shop.ts';

const HELP = `
Computes the hash chain of the whole ledger again, and compares it with the anchors of each day, with the packed days from
which peaks are read, with what the catalog says that the vaults hold, with what the locked checkpoints in the vault say
in the clear (read back, signed), with the statements that were issued, and with all that the store lists of the contract's
shops. Statements whose period lies in the month are computed again; with --all every one. Says what it could check and what
it could not; what was altered, removed or moved is named, and the exit status is then 6. A contract that had not begun by
then or was over has no peak to be proved. Ten million rows take some minutes.

Example:
  coffre billing prove --month 2026-03
  coffre billing prove --month 2026-03 --all
  coffre --json billing prove --month 2026-Q1 --contract csi-001
`;

export function registerProof(billing: Command, context: CliContext): void {
  billing
    .command('prove')
    .description('check ledger, anchors, statements and the store’s own listing against each other')
    .requiredOption('--month <YYYY-MM>', 'month whose peaks are proved; also YYYY-Qn and YYYY')
    .option('--contract <name>', 'only this contract')
    .option('--all', 'compute every statement again, not only those of the month')
    .addHelpText('after', HELP)
    .action(
      action(context, async (invocation, options: { readonly month: string; readonly contract?: string; readonly all?: boolean }) => {
        const config = invocation.config();
        const contracts = chosenContracts(config, options.contract);
        requireBegun(options.month, zonesOf(config, contracts), context.clock.now());
        await using catalog = await openCatalog(config.stateDir);
        const { all: isAll = false, contract, month } = options;
        const prepared = await prepareProof(catalog, { month, contracts, isNamed: contract !== undefined, isAll });
        const deps = { config, catalog, clock: context.clock, openVault: context.adapters.openVault };
        const result = await proveInVaults(deps, prepared, invocation.signal);
        const failure = proofFailure(result);
        return { document: result, text: describe(result), ...(failure ? { failure } : {}) };
      }),
    );
}

/** Somewhere the month may have begun. */
export const zonesOf = ({ timezone }: Config, contracts: Iterable<ContractConfig>): string[] => [
  timezone,
  ...[...contracts].map((contract) => contract.timezone),
];

/** All, or the one that was named. Throws E_UNKNOWN_CONTRACT. */
export function chosenContracts({ contracts, file }: Config, name: string | undefined): readonly ContractConfig[] {
  if (name === undefined) return [...contracts.values()];
  const contract = contracts.get(name);
  if (!contract) throw new CoffreError('E_UNKNOWN_CONTRACT', `no contract ${JSON.stringify(name)} in ${file}`);
  return [contract];
}

/** Throws E_UNKNOWN_SHOP for a name that is neither declared nor in the ledger; shops that are gone have rows. */
export async function knownInLedger(config: Config, catalog: Catalog, name: string): Promise<void> {
  if (!(await isKnownShop(catalog.db, config, name))) findShop(config, name);
}

function proofFailure({ checks }: ProofResult): CoffreError | null {
  const count = countFindings(checks);
  if (count === 0) return null;
  const first = checks.flatMap(({ findings }) => findings)[0];
  return new CoffreError('E_LEDGER_ALTERED', count === 1 ? `1 finding: ${first}` : `${count} findings, first: ${first}`, {
    hint: 'compare with a copy of the state directory, and find out who wrote there; what it was the locked checkpoints tell',
  });
}

function describe({ checks }: ProofResult): string {
  const lines = table(
    [{ title: '' }, { title: 'check' }, { title: 'vault' }, { title: 'what was looked at' }],
    checks.map(({ detail, name, outcome, vault }) => [outcome, name, vault ?? '', detail]),
    'no contracts declared',
  );
  const found = checks.flatMap(({ findings, more = 0, name }) => [...findings, ...(more === 0 ? [] : [`${name}: and ${more} more`])]);
  return [lines, ...found].join('\n');
}

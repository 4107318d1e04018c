// Doctor's look at one vault: the probe tries it for real, every byte of it in the ledger, and each of its steps is a line.
import { foreignDaemonKeys, foreignHint, refuseUnknown } from '../../backup/known-vault.ts';
import { proveVault, tryCredentials } from '../../backup/prove.ts';
import { Ledger } from '../../billing/ledger.ts';
import type { Catalog } from '../../catalog/open.ts';
import type { Config, VaultConfig } from '../../config/config.ts';
import { ERRORS, type ErrorCode } from '../../errors.ts';
import type { CredentialRights } from '../../vault/probe-rights.ts';
import type { ProbeStep } from '../../vault/vault.ts';
import type { CliContext } from '../context.ts';
import type { Check } from './check.ts';

export interface VaultCheck {
  readonly context: CliContext;
  readonly config: Config;
  readonly catalog: Catalog;
  readonly vault: VaultConfig;
  /** Wait until the probe's own locks have ended and its objects are deleted, so that nothing stays pending. */
  readonly waitForExpiry: boolean;
}

export async function checkVault({ context, config, catalog, vault, waitForExpiry }: VaultCheck): Promise<readonly Check[]> {
  const { clock, io } = context;
  const opened = await context.adapters.openVault(vault);
  try {
    const ledger = new Ledger(catalog, clock);
    // what it would try there would lie among what another installation keeps
    await refuseUnknown({ config, catalog }, opened, io.signal);
    const strangers = await foreignDaemonKeys({ config, catalog }, opened, io.signal);
    const rights = await tryCredentials({ config, clock }, ledger, opened, io.signal);
    const result = await proveVault({ config, catalog, clock }, ledger, opened, io.signal, waitForExpiry);
    const checks: Check[] = strangers.length === 0 ? [] : [strangersCheck(vault.name, strangers)];
    let untried = 0;
    for (const step of result.steps) {
      const name = `vault ${vault.name}: ${step.name}`;
      if (step.outcome === 'ok') checks.push({ name, ok: true, detail: step.detail });
      else if (step.outcome === 'pending') checks.push({ name, ok: true, warning: true, detail: `pending: ${step.detail}` });
      else if (step.detail.startsWith('not tried')) untried += 1;
      else checks.push({ name, ok: false, ...explained(step, result.code) });
    }
    if (untried > 0) {
      checks.push({
        name: `vault ${vault.name}`,
        ok: false,
        detail: `${untried} further steps were not tried`,
        hint: 'repair what is red above',
      });
    }
    if (result.outcome !== 'proven' && checks.every((check) => check.ok)) {
      checks.push({ name: `vault ${vault.name}`, ok: false, detail: result.outcome, hint: ERRORS.E_LOCK_UNPROVEN.hint });
    }
    checks.push(...rights.map((it) => rightsCheck(vault, it)));
    return checks;
  } finally {
    await opened.close();
  }
}

/** A cloned machine knows the snapshots, and not what its twin has written since. */
function strangersCheck(vault: string, keys: readonly string[]): Check {
  return {
    name: `vault ${vault}: who writes`,
    ok: false,
    detail: `holds ${keys.join(', ')}, which this installation did not write [E_VERSION_FOREIGN]`,
    hint: foreignHint(vault),
    code: 'E_VERSION_FOREIGN',
  };
}

const WORK = { writer: 'writes', pruner: 'prunes', reader: 'reads' } as const;

/** Red: what its work needs is refused, or what it was separated from is allowed. One credential for everything is unwise and no fault. */
function rightsCheck(vault: VaultConfig, { role, can, tooLittle, tooMuch, untried }: CredentialRights): Check {
  const isAlone = vault.type === 's3' && role === 'writer' && vault.pruneCredentials === null;
  const said = [
    ...(tooLittle.length > 0 ? [`too little: may not ${tooLittle.join(', ')}`] : []),
    ...(tooMuch.length > 0 ? [`too much: may ${tooMuch.join(', ')}`] : []),
    ...(untried.length > 0 ? [`not known: ${untried.join(', ')}`] : []),
    ...(isAlone ? ['it may delete what is not locked, since no other credential does'] : []),
  ];
  const ok = tooLittle.length === 0 && untried.length === 0 && (tooMuch.length === 0 || isAlone);
  const hint = isAlone
    ? 'give the vault pruneCredentialsFile and readCredentialsFile; coffre doctor --policies prints what each needs'
    : 'coffre doctor --policies prints the bucket policy that gives each credential its work and no more';
  return {
    name: `vault ${vault.name}: credential that ${WORK[role]}`,
    ok,
    detail: said.length > 0 ? said.join('; ') : `may ${can.join(', ')}, and no more`,
    ...(said.length > 0 && { hint }),
    ...(ok && said.length > 0 && { warning: true as const }),
  };
}

/** A step's detail may begin with its own code; else the probe's is the reason. */
function explained({ detail, hint }: ProbeStep, code: ErrorCode | null): Pick<Check, 'detail' | 'hint' | 'code'> {
  const own = /^(E_[A-Z_]+): /.exec(detail)?.[1];
  const known = own !== undefined && own in ERRORS ? (own as ErrorCode) : (code ?? 'E_LOCK_UNPROVEN');
  const text = own === known ? detail.slice(own.length + 2) : detail;
  return { detail: `${text} [${known}]`, hint: hint ?? ERRORS[known].hint, code: known };
}

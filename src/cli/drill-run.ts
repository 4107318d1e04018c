// A drill that a command runs itself: the order and the evidence here, the restoring in a unit of its own.
import { openCatalog } from '../catalog/open.ts';
import { CoffreError } from '../errors.ts';
import { parseEvidence } from '../restore/drill/evidence.ts';
import { drillShop } from '../restore/drill/order.ts';
import { newId } from '../segment/id.ts';
import { loadSigningKey } from '../segment/signing-key.ts';
import type { SourceKind } from '../source/source.ts';
import type { CliContext, Invocation } from './context.ts';
import { neededDaemon } from './daemon/needed.ts';
import { perform } from './daemon/runs.ts';
import { operatorName } from './operator.ts';
import { askOwnUnit } from './restore-unit/own-unit.ts';
import { findShop } from './shop.ts';
import { coffreVersion } from './tools.ts';

export interface DrillOptions {
  readonly from?: string;
  readonly source?: SourceKind;
  readonly snapshot?: string;
}

/** Throws what keeps it from being a drill; what a drill finds is its `failure`. */
export async function drillNow(context: CliContext, invocation: Invocation, shopName: string, options: DrillOptions) {
  const config = invocation.config();
  const shop = findShop(config, shopName);
  const { clock, io } = context;
  if (options.source !== undefined && shop[options.source] === null) {
    throw new CoffreError('E_CONFIG', `shop ${shop.name} has no source ${options.source}`);
  }
  await using catalog = await openCatalog(config.stateDir);
  const bar = invocation.progress(`drill ${shop.name}`);
  return await drillShop(
    {
      ...{ config, catalog, clock, version: await coffreVersion(), signedBy: 'command' },
      ask: (request, hear) => askOwnUnit(config, clock, request, hear),
      loadKey: () => loadSigningKey(config.signing.keyFile),
    },
    {
      ...{ shop, runId: newId(clock), who: operatorName(io), signal: invocation.signal },
      ...{ from: options.from ?? null, sources: options.source ? [options.source] : null, snapshot: options.snapshot ?? null },
      onStep: (step) => bar.title(`drill ${shop.name} ${step}`),
      onProgress: (progress) => bar.update(progress),
    },
  );
}

/** Ordered from the daemon, and followed to its end. Throws E_DAEMON_…, and what kept it from being a drill. */
export async function drillByDaemon({ clock }: CliContext, invocation: Invocation, shop: string, options: DrillOptions) {
  if (options.snapshot !== undefined) {
    throw new CoffreError('E_USAGE', 'the daemon chooses the snapshot: the newest', {
      hint: 'as root, on its machine: coffre drill --snapshot',
    });
  }
  const daemon = await neededDaemon(invocation);
  const task = { kind: 'drill', shop, from: options.from ?? null, source: options.source ?? null } as const;
  const [performed] = await perform(daemon, invocation, clock, [task]);
  const { drill } = (performed?.detail ?? {}) as { readonly drill?: string };
  if (drill === undefined) throw performed?.error ?? new CoffreError('E_DAEMON_LOST', `the drill of ${shop} came to no result`);
  const text = JSON.stringify(await daemon.read(`/drills/${drill}/evidence`, invocation.signal));
  return { signed: parseEvidence(text, drill), failure: performed?.error ?? null };
}

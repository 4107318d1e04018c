// What a backup learns of the shop that its report tells: versions of what took part, and the terms of its plan. Pure.
import type { ShopConfig } from '../config/config.ts';
import { printDuration } from '../config/quantity.ts';

export function factsOfBackup(
  { plan, vaults }: ShopConfig,
  tools: Readonly<Record<string, string>>,
  server: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> {
  const facts: Record<string, string> = {
    ...{
      plan: plan.name,
      'plan.retention': printDuration(plan.retentionMs),
      'plan.rto': `${printDuration(plan.rto.targetMs)} (${plan.rto.calendar})`,
    },
    vaults: [...vaults].sort().join(', '),
  };
  for (const job of ['database', 'files', 'increments', 'server', 'drill'] as const) facts[`plan.${job}`] = plan.schedule[job] ?? 'off';
  if (tools.coffre !== undefined) facts.coffre = tools.coffre;
  const { application, product, system, version } = server ?? {};
  if (application !== undefined) facts.application = application;
  if (version !== undefined) facts.database = `${product ?? ''} ${version}`.trim();
  if (system !== undefined) facts.system = system;
  return facts;
}

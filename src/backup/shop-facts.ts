// What a backup learns of the shop that its report tells: versions of what took part, and the terms of its plan. Pure.
import type { ShopConfig } from '../config/config.ts';

export function factsOfBackup(
  { plan, vaults }: ShopConfig,
  tools: Readonly<Record<string, string>>,
  server: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> {
  const facts: Record<string, string> = {
    ...{
      plan: plan.name,
      'plan.retention': durationText(plan.retentionMs),
      'plan.rto': `${durationText(plan.rto.targetMs)} (${plan.rto.calendar})`,
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

/** As in the configuration: `14d`, `4h`. */
export function durationText(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
  ] as const;
  const [unit, size] = units.find(([, of]) => ms % of === 0) ?? ['s', 1000];
  return `${ms / size}${unit}`;
}

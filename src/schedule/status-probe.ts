// Whether each vault of a shop was proven lately to keep its locks. Pure.
import type { Probe } from '../catalog/probes.ts';
import { type Alarm, raise } from './alarm.ts';
import type { CopyFacts } from './status-copies.ts';
import { FUTURE_MS, text } from './status-text.ts';

/** A probe older than this proves nothing about today: it runs daily. */
const PROBE_VALID_MS = 26 * 3600_000;

export interface ProbeFacts extends Pick<CopyFacts, 'nowMs' | 'timezone' | 'shop' | 'vaults'> {
  /** The last one of each vault; null: it was never probed. */
  readonly probes: ReadonlyMap<string, Probe | null>;
}

export function checkProbes({ nowMs, probes, shop, timezone, vaults }: ProbeFacts, red: Alarm[]): void {
  for (const vault of vaults) {
    const probe = probes.get(vault.name) ?? null;
    const again = `; coffre doctor ${shop.name} probes it`;
    if (probe === null) raise(red, 'probe', { vault: vault.name }, `vault ${vault.name} was never probed${again}`);
    else if (probe.outcome !== 'proven')
      raise(red, 'probe', { vault: vault.name }, `vault ${vault.name}: the probe says ${probe.outcome}: ${probeReason(probe)}${again}`);
    else if (probe.at - nowMs > FUTURE_MS)
      raise(
        red,
        'clock',
        { vault: vault.name },
        `vault ${vault.name} was last probed at ${text(probe.at, timezone)}, by a clock that was wrong${again}`,
      );
    else if (nowMs - probe.at > PROBE_VALID_MS)
      raise(
        red,
        'probe',
        { vault: vault.name },
        `vault ${vault.name} was last probed at ${text(probe.at, timezone)}: too long ago${again}`,
      );
  }
}

/** The first step that is not right; what was not tried after it says nothing more. */
function probeReason(probe: Probe): string {
  const reason = probe.steps.find((step) => step.outcome === 'failed') ?? probe.steps.find((step) => step.outcome !== 'ok');
  return reason ? `${reason.name}: ${reason.detail}` : 'no reason kept';
}

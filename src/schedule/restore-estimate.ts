// How long a restore of a shop would take: the last one that was measured, scaled to the shop's size. Pure.
import type { ShopStatus } from './status.ts';

/** Milliseconds; null: none was measured. */
export function predictedRestoreMs({ quota, rto }: Pick<ShopStatus, 'quota' | 'rto'>): number | null {
  const { measured } = rto;
  if (measured === null || measured.bytes === 0) return null;
  return (measured.durationMs / measured.bytes) * Math.max(quota.usedBytes, measured.bytes);
}

// Which objects are to be read next, so that everything is read within a period. Pure.
import type { ReadableObject, ReadingSummary } from '../catalog/reading.ts';

const DAY_MS = 86_400_000;
/** Each day a little more than its part, so that a day without the daemon is made up for. */
const HASTE = 1.25;

/** What was read within this time counts as this day's part. */
export const pieceOf = (withinMs: number): number => Math.min(DAY_MS, withinMs / 4);

/** Whether `dueToRead` of the objects that these figures are of would name any. */
export function isAnyDue({ oldestKnownAt, readBytes, totalBytes }: ReadingSummary, nowMs: number, withinMs: number): boolean {
  if (oldestKnownAt === null) return false;
  const pieceMs = pieceOf(withinMs);
  const ageMs = nowMs - oldestKnownAt;
  if (ageMs >= 0 && ageMs < pieceMs) return false;
  return ageMs >= withinMs - Math.min(2 * DAY_MS, withinMs / 4) || readBytes < totalBytes * (pieceMs / withinMs) * HASTE;
}

/**
 * What is to be read now, oldest first: a day's part of all bytes, less what was read within the last day, and in any case what would be
 * overdue soon. Nothing that was read or stored a short while ago. `objects` oldest first.
 */
export function dueToRead(objects: readonly ReadableObject[], nowMs: number, withinMs: number): ReadableObject[] {
  const pieceMs = pieceOf(withinMs);
  const lastMs = Math.min(2 * DAY_MS, withinMs / 4);
  let [totalBytes, readBytes] = [0, 0];
  for (const { sizeBytes, readAt } of objects) {
    totalBytes += sizeBytes;
    // what is dated in the future was read under a wrong clock
    if (readAt !== null && readAt > nowMs - pieceMs && readAt <= nowMs) readBytes += sizeBytes;
  }
  const shareBytes = totalBytes * (pieceMs / withinMs) * HASTE;
  const chosen: ReadableObject[] = [];
  for (const object of objects) {
    const ageMs = nowMs - object.knownAt;
    if (ageMs >= 0 && ageMs < pieceMs) break;
    const mustGo = ageMs >= withinMs - lastMs;
    if (!mustGo && readBytes >= shareBytes) break;
    chosen.push(object);
    readBytes += object.sizeBytes;
  }
  return chosen;
}

/** The oldest objects that make up at least this share of all bytes, one at least. `objects` oldest first. */
export function oldestShare(objects: readonly ReadableObject[], percent: number): ReadableObject[] {
  const wantedBytes = (objects.reduce((sum, object) => sum + object.sizeBytes, 0) * percent) / 100;
  let bytes = 0;
  let count = 0;
  for (; count < objects.length && (count === 0 || bytes < wantedBytes); count++) bytes += objects[count]?.sizeBytes ?? 0;
  return objects.slice(0, count);
}

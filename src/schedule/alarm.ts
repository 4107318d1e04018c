// One thing that is red about a shop: in words for people, and by kind, so that it is known again tomorrow under other figures.
import type { SourceKind } from '../source/source.ts';

/** What sort of thing is red. Metrics and notifications carry it: a kind is never renamed. */
export const ALARM_KINDS = [
  'undeclared',
  'snapshot',
  'full',
  'run',
  'lock',
  'clock',
  'copies',
  'immutable',
  'verification',
  'lacking',
  'damaged',
  'probe',
  'prune',
  'reconcile',
  'checkpoint',
  'foreign',
  'incident',
  'reading',
  'recovery',
  'drill',
  'request',
  'closed',
  'breach',
  'breach-overdue',
] as const;
export type AlarmKind = (typeof ALARM_KINDS)[number];

/** Two of the same kind about the same source, vault and detail of a shop are the same alarm, whatever their words. */
export interface Alarm {
  readonly kind: AlarmKind;
  readonly source: SourceKind | null;
  readonly vault: string | null;
  /** Of an incident its kind, of a breach its case and deadline. */
  readonly detail: string | null;
  /** What went wrong, where an error of the table did. */
  readonly code: string | null;
  readonly text: string;
}

interface About {
  readonly source?: SourceKind;
  readonly vault?: string;
  readonly detail?: string;
  readonly code?: string | null | undefined;
}

/** Adds one; the text says what is red, why, and what to do. */
export function raise(red: Alarm[], kind: AlarmKind, { source, vault, detail, code }: About, text: string): void {
  red.push({ kind, source: source ?? null, vault: vault ?? null, detail: detail ?? null, code: code ?? null, text });
}

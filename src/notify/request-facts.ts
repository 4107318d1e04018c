// What a notice about a restore request is made of, whatever its language, and how instants and durations are written in each. Pure.
import { Temporal } from 'temporal-polyfill';
import type { RequestRow } from '../catalog/requests.ts';
import { type Language, LOCALES } from '../document/wording.ts';
import type { RestoredKind } from '../restore/request-preview.ts';

/** Instants are epoch milliseconds. */
export interface RequestFacts {
  readonly id: string;
  readonly shop: string;
  /** How the owner is addressed; null: not by name. */
  readonly name: string | null;
  /** Whose machine it is. */
  readonly host: string;
  /** What is restored, and as of when. */
  readonly sources: readonly { readonly source: RestoredKind; readonly asOf: number }[];
  /** Tables or paths were chosen: not all of it. */
  readonly isPart: boolean;
  /** Who asked for it. */
  readonly askedBy: 'client' | 'operator';
  /** Who did what it is about. */
  readonly doneBy: 'client' | 'operator' | 'daemon';
  readonly reason: string | null;
  readonly deadline: number | null;
  readonly endedAt: number | null;
  readonly outcome: RequestRow['outcome'];
  /** What was left of the target at the end; negative: by how much it was exceeded. */
  readonly leftMs: number | null;
  /** After a failure: whether the shop keeps its maintenance page; null: not known. */
  readonly isClosed: boolean | null;
  /** Its restore has begun before: what the shop is like then the failure's own notice said. */
  readonly wasBegun: boolean;
  /** The clock of an approved one goes on while it is held. */
  readonly isApproved: boolean;
  /** Of the promise: what instants are told in. */
  readonly zone: string;
}

export interface Written {
  readonly subject: string;
  readonly text: string;
}

/** `lundi 23 novembre 2026 à 16:00 (Europe/Paris)`, `Monday 23 November 2026 at 16:00 (Europe/Paris)`. */
export function instantIn(language: Language, atMs: number, zone: string): string {
  const local = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(zone);
  const named = new Map(
    new Intl.DateTimeFormat(LOCALES[language], { weekday: 'long', month: 'long', timeZone: zone })
      .formatToParts(atMs)
      .map(({ type, value }) => [type, value]),
  );
  const day = language === 'fr' && local.day === 1 ? '1er' : String(local.day);
  const time = `${String(local.hour).padStart(2, '0')}:${String(local.minute).padStart(2, '0')}`;
  const at = language === 'fr' ? 'à' : 'at';
  return `${named.get('weekday')} ${day} ${named.get('month')} ${local.year} ${at} ${time} (${zone})`;
}

/** `3 h 12 min`, `2 j 4 h`; minutes are rounded down where they are left, so that nobody is promised too much. No break within. */
export function durationIn(language: Language, ms: number): string {
  const minutes = Math.floor(Math.abs(ms) / 60_000);
  const days = Math.floor(minutes / 1440);
  const parts = [
    [days, language === 'fr' ? 'j' : 'd'],
    [Math.floor((minutes % 1440) / 60), 'h'],
    [days > 0 ? 0 : minutes % 60, 'min'],
  ] as const;
  const told = parts.filter(([amount]) => amount > 0).map(([amount, unit]) => `${amount}\u00a0${unit}`);
  return told.length > 0 ? told.join('\u00a0') : `0\u00a0min`;
}

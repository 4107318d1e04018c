// What a webhook hears of a restore request beside words.
import type { RequestEventRow, RequestRow } from '../catalog/requests.ts';
import type { Language } from '../document/wording.ts';
import type { Written } from './request-facts.ts';

export interface RequestSummary {
  readonly id: string;
  readonly shop: string;
  readonly verb: RequestEventRow['verb'];
  readonly state: RequestRow['state'];
  readonly by: RequestEventRow['role'];
  readonly reason: string | null;
  readonly deadline: string | null;
  readonly outcome: RequestRow['outcome'];
  readonly leftMs: number | null;
  readonly code: string | null;
  /** After a failure: whether the shop shows its maintenance page, as far as is known; null: nothing failed. */
  readonly shopState: 'closed' | 'open' | 'unknown' | null;
  /** What its owner is told, in their language. */
  readonly client: Written & { readonly language: Language };
}

// What a check of a shop came to, as values.
import type { ErrorCode } from '../../errors.ts';
import type { ShopFinding } from '../shop.ts';

type Figures = ShopFinding['figures'];

export const fine = (check: ShopFinding['check'], detail: string, figures: Figures = {}): ShopFinding => ({
  check,
  ok: true,
  code: null,
  detail,
  figures,
});

export const red = (check: ShopFinding['check'], code: ErrorCode, detail: string, figures: Figures = {}): ShopFinding => ({
  check,
  ok: false,
  code,
  detail,
  figures,
});

/** It could not be looked at, which is not green: with the code that it would have had. */
export const unknown = (check: ShopFinding['check'], code: ErrorCode, detail: string): ShopFinding => ({
  check,
  ok: null,
  code,
  detail,
  figures: {},
});

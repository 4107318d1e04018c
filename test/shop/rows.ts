// Rows of all main tables.
import { CATALOGUE_ROWS } from './catalogue-rows.ts';
import { ORDER_ROWS } from './order-rows.ts';
import type { RowMaker } from './row-maker.ts';

export const ROW_MAKERS: readonly RowMaker[] = [...CATALOGUE_ROWS, ...ORDER_ROWS];

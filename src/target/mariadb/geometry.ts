// MySQL's LOAD DATA and columns of geometry that are never null: it refuses them (1364), whatever SET says (tried on 8.0.15).
import { quoteText } from './names.ts';
import type { Session } from './session.ts';

/** DATA_TYPE of information_schema, lower case. */
export const GEOMETRY: readonly string[] = [
  'geometry',
  'point',
  'linestring',
  'polygon',
  'multipoint',
  'multilinestring',
  'multipolygon',
  'geometrycollection',
  'geomcollection',
];

/** `type` as in GEOMETRY. */
export const isGeometry = (type: string): boolean => GEOMETRY.includes(type);

/** Whether this server loads rows of the table by INSERT alone. Throws ServerError. */
export async function refusesLoadData(session: Session, table: string): Promise<boolean> {
  const [row] = await session.texts(
    `SELECT VERSION(), COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME=${quoteText(table)}
     AND IS_NULLABLE='NO' AND EXTRA NOT LIKE '% GENERATED%' AND DATA_TYPE IN (${GEOMETRY.map((type) => `'${type}'`).join(',')})`,
  );
  return !/mariadb/i.test(row?.[0] ?? '') && Number(row?.[1] ?? 0) > 0;
}

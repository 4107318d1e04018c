// What the lines of SHOW GRANTS say: rights on a database are given under patterns, of which the server looks at one alone.
import { grantPattern } from './names.ts';

export interface Grant {
  readonly privileges: ReadonlySet<string>;
  /** `*` or a pattern of LIKE. */
  readonly database: string;
  /** `*` or a name. */
  readonly object: string;
}

const NAME = '`((?:[^`]|``)*)`';
const GRANT = new RegExp(`^GRANT (.+?) ON (?:TABLE )?(\\*|${NAME})\\.(\\*|${NAME}) TO `);

/** One line of SHOW GRANTS; nothing for one that grants a role or a proxy. */
export function parseGrant(line: string): Grant[] {
  const found = GRANT.exec(line);
  if (!found) return [];
  const plain = (whole: string | undefined, name: string | undefined): string => (whole === '*' ? '*' : (name ?? '').replaceAll('``', '`'));
  const privileges = (found[1] as string)
    .split(',')
    .map((name) => name.trim().toUpperCase())
    // Rights on single columns are not rights on the table.
    .filter((name) => !name.includes('('));
  return [{ privileges: new Set(privileges), database: plain(found[2], found[3]), object: plain(found[4], found[5]) }];
}

/**
 * Of the patterns that fit a database the server looks at one alone, that with the latest wildcard: a right given under
 * another one does not add to it. Without any, the name itself, its own `_` and `%` escaped.
 */
export function decidingPattern(grants: readonly Grant[], database: string): string {
  const patterns = grants.filter((grant) => grant.object === '*' && grant.database !== '*' && matches(grant.database, database));
  const wildcardAt = (pattern: string): number => {
    const at = pattern.replace(/\\./g, '\0\0').search(/[%_]/);
    return at < 0 ? Number.POSITIVE_INFINITY : at;
  };
  const sorted = patterns
    .map((grant) => grant.database)
    .sort((a, b) => (wildcardAt(a) === wildcardAt(b) ? 0 : wildcardAt(b) - wildcardAt(a)));
  return sorted[0] ?? grantPattern(database);
}

/** All that these give. */
export function held(grants: readonly Grant[]): Set<string> {
  return new Set(grants.flatMap((grant) => [...grant.privileges]));
}

/** A database in a grant is a pattern: `shop\_1` and `shop%`. */
export function matches(pattern: string, name: string): boolean {
  if (pattern === '*' || pattern === name) return true;
  const expression = pattern.replace(/\\(.)|[\s\S]/g, (char, escaped?: string) => {
    if (escaped === undefined && char === '%') return '[\\s\\S]*';
    if (escaped === undefined && char === '_') return '[\\s\\S]';
    return (escaped ?? char).replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
  });
  return new RegExp(`^${expression}$`, 'i').test(name);
}

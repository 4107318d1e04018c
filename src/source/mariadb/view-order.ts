// Puts views behind those they are made from: CHECK OPTION is refused over a placeholder.

export interface OrderedView {
  readonly name: string;
  /** As SHOW CREATE VIEW writes it, one character per byte. */
  readonly create: string;
}

/** A table or view that is read, in the server's own spelling of a view: `` from (`db`.`a` join `b` `` … */
const READ = /\b(?:from|join)\s*\(*(?:`(?:[^`]|``)*`\.)?`((?:[^`]|``)*)`/g;

/** Dependencies first, otherwise in the order given. Where views seem to need each other, the given order stands. */
export function orderViews<T extends OrderedView>(views: readonly T[]): T[] {
  const byName = new Map(views.map((view) => [Buffer.from(view.name, 'utf8').toString('latin1'), view]));
  const ordered: T[] = [];
  const visited = new Set<T>();
  const visit = (view: T): void => {
    if (visited.has(view)) return;
    visited.add(view);
    for (const [, name] of view.create.matchAll(READ)) {
      const needed = byName.get((name as string).replaceAll('``', '`'));
      if (needed) visit(needed);
    }
    ordered.push(view);
  };
  for (const view of views) visit(view);
  return ordered;
}

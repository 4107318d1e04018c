// What doctor says after it tried some entries of a tree on another machine.
import type { Finding, Warning } from '../source.ts';

/** The finding about a sample of `seen` entries. */
export function sampleFinding(root: string, seen: number, unreadable: readonly Warning[]): Finding {
  const [first] = unreadable;
  if (!first) return { name: 'files', ok: true, detail: `${root} is readable (${seen} entries tried)` };
  return {
    name: 'files',
    ok: false,
    detail: `${unreadable.length} of ${seen} entries of ${root} tried cannot be read, first ${first.where}: ${first.message}`,
    hint: 'give the SSH user the right to read them, or exclude them',
  };
}

// Whether two trees are the same, asked of find, sha256sum and diff: nothing of coffre's own.
import { type Command, pipeline } from '../measuring/commands.ts';

/** `seconds`: as far as tar's default format keeps times. */
export type TimePrecision = 'exact' | 'seconds';

// written to files, so that a list that could not be made to its end fails
const COMPARE = `
list() (
  cd "$1"
  find . -mindepth 1 \\( -type f -printf '%p %y %m %U %G %s %T@\\n' -o -printf '%p %y %m %U %G %T@ %l\\n' \\) | sed -E "$CUT" | LC_ALL=C sort
  find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
)
list "$ROOT" >"$COPY.wanted"
list "$COPY" >"$COPY.found"
test -s "$COPY.wanted"
diff "$COPY.wanted" "$COPY.found" >"$COPY.diff" || { head -n 20 "$COPY.diff"; exit 1; }
rm "$COPY.wanted" "$COPY.found" "$COPY.diff"`;

/** Fails, with the first differences, when `copy` is not what `root` is: names, types, modes, owners, sizes, times, targets, content. */
export function compareTrees(root: string, copy: string, precision: TimePrecision): Command {
  return pipeline(COMPARE, {
    ROOT: root,
    COPY: copy,
    // a link's time is last but one, a file's last
    CUT: precision === 'exact' ? '' : 's/( [0-9]+)\\.[0-9]+( [^ ]*)?$/\\1\\2/',
  });
}

/** Reads everything once, so that each contender finds the same pages in memory. Hands out what it read, in bytes. */
export function readAll(root: string): Command {
  return pipeline('find "$ROOT" -type f -print0 | xargs -0 -r cat | wc -c', { ROOT: root });
}

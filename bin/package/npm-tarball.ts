// The npm tarball: what `npm pack` makes of the staged product.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';

/** Its path. npm dates all files alike, so that the same product is the same bytes. */
export function packNpm(staged: string, to: string): string {
  mkdirSync(to, { recursive: true });
  const said = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', to], {
    cwd: staged,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [made] = JSON.parse(said) as { filename: string }[];
  if (!made) throw new Error('npm pack made nothing');
  return path.join(to, made.filename);
}

// Names and versions of what takes part in a backup, for the manifest.
import { readFile } from 'node:fs/promises';

/** coffre, Node and the libraries whose formats end up in a vault. */
export async function toolVersions(): Promise<Readonly<Record<string, string>>> {
  return { coffre: await coffreVersion(), node: process.versions.node, zstd: process.versions.zstd ?? 'unknown' };
}

export async function coffreVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  return version;
}

// A folder for one test, removed when the test ends.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** `parent`: where a test needs another disk. */
export async function tempDir(parent = tmpdir()): Promise<string> {
  const path = await mkdtemp(join(parent, 'coffre-test-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeDirectory } from '../../src/host/make-directory.ts';

describe('makeDirectory', () => {
  it('makes what is missing with its mode, leaves what exists, bears being called at once by several', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'coffre-mkdir-'));
    try {
      const path = join(dir, 'a/b/c');
      await Promise.all([1, 2, 3].map(() => makeDirectory(path, 0o700)));
      expect(statSync(path).mode & 0o7777).toBe(0o700);
      mkdirSync(join(dir, 'open'), { mode: 0o755 });
      await makeDirectory(join(dir, 'open'), 0o700);
      expect(statSync(join(dir, 'open')).mode & 0o7777).toBe(0o755);
      writeFileSync(join(dir, 'file'), '');
      await expect(makeDirectory(join(dir, 'file/below'), 0o700)).rejects.toMatchObject({ code: 'ENOTDIR' });
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('a file system that makes no directories (/proc) - an error, not a loop', async () => {
    await expect(makeDirectory('/proc/coffre/below', 0o700)).rejects.toMatchObject({ code: expect.stringMatching(/^E/) });
  });
});

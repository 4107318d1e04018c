import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { WalFlush } from '../../src/catalog/wal-flush.ts';
import { tempDir } from '../temp-dir.ts';

test('nothing was committed - nothing is flushed, not even looked for', async () => {
  const wal = new WalFlush(join(await tempDir(), 'missing-wal'));
  await wal.flush();
  await wal.close();
});

test('commits come while a flush is under way - each waits for one that began after it', async () => {
  const path = join(await tempDir(), 'wal');
  await writeFile(path, 'one');
  const wal = new WalFlush(path);
  const ended: string[] = [];
  wal.committed();
  const first = wal.flush().then(() => ended.push('first'));
  await appendFile(path, 'two');
  wal.committed();
  const second = wal.flush().then(() => ended.push('second'));
  const third = wal.flush().then(() => ended.push('third'));
  await Promise.all([first, second, third]);
  expect(ended[0]).toBe('first');
  await wal.close();
});

test('the log cannot be flushed - everybody who waits is told, and the next one tries again', async () => {
  const path = join(await tempDir(), 'wal');
  const wal = new WalFlush(path);
  wal.committed();
  const failure = { code: 'E_STATE', message: expect.stringContaining(path) };
  const [one, two] = await Promise.allSettled([wal.flush(), wal.flush()]);
  expect([one, two].map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect(wal.flush()).rejects.toMatchObject(failure);
  await writeFile(path, 'one');
  await wal.flush();
  await wal.close();
});

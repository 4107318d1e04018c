import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FrameFile } from '../../src/target/frame-file.ts';
import { tempDir } from '../temp-dir.ts';

async function gathered(file: FrameFile): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of file.read()) pieces.push(piece);
  return Buffer.concat(pieces);
}

describe.each([true, false])('compressed: %s', (compressed) => {
  it('written in pieces, taken back twice - what stays is what was written before and after', async () => {
    const path = join(await tempDir(), 'file');
    const file = await FrameFile.create(path, compressed);
    const [first, wrong, second] = [randomBytes(5_000_000), randomBytes(9_000_000), Buffer.alloc(6_000_000, 'x')];
    await file.write(first.subarray(0, 7));
    await file.write(first.subarray(7));
    const mark = await file.mark();
    for (let tries = 0; tries < 2; tries++) {
      await file.write(wrong);
      await file.takeBack(mark);
      expect(file.plainBytes).toBe(first.length);
    }
    await file.write(second);
    await file.sync();
    const expected = Buffer.concat([first, second]);
    expect((await gathered(file)).equals(expected)).toBe(true);
    const stored = readFileSync(path);
    expect(stored.length).toBe(file.fileBytes);
    // Node's own reads the first of several frames
    const plain = compressed ? execFileSync('zstd', ['-dcq', path], { maxBuffer: 1 << 26 }) : stored;
    expect(plain.equals(expected)).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await file.discard();
    expect(() => statSync(path)).toThrow('ENOENT');
  });
});

it('another process puts its own in its place - said when it is to be whole, and left where it is', async () => {
  const path = join(await tempDir(), 'file');
  const file = await FrameFile.create(path, false);
  await file.write(Buffer.from('ours'));
  unlinkSync(path);
  writeFileSync(path, 'theirs');
  await expect(file.sync()).rejects.toMatchObject({ code: 'E_TARGET_WRITE' });
  await file.discard();
  expect(readFileSync(path, 'utf8')).toBe('theirs');
});

it('a folder that is not there - is E_TARGET_WRITE', async () => {
  await expect(FrameFile.create(join(await tempDir(), 'no', 'file'), true)).rejects.toMatchObject({ code: 'E_TARGET_WRITE' });
});

// Child of dead-names.test.ts: the daemon with adapters as main.ts opens them, and no doors. Argument: its configuration. Its clock goes
// five times as fast as ours, and on by so many milliseconds as a line of its standard input says. Its log goes to standard output.
import { createInterface } from 'node:readline';
import { systemClock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config/load.ts';
import { localHost } from '../../src/host/local.ts';
import { SshHost } from '../../src/host/ssh.ts';
import { runDaemon } from '../../src/schedule/daemon.ts';
import { FilesSource } from '../../src/source/files/files-source.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import { S3Vault } from '../../src/vault/s3.ts';
import { FakeClock } from '../fake-clock.ts';

const clock = new FakeClock(systemClock.nowMs());
const ticking = setInterval(() => clock.advance(100), 20);
createInterface({ input: process.stdin }).on('line', (line) => clock.advance(Number(line)));
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());
const write = (fields: object, msg: string): void => console.log(JSON.stringify({ ...fields, msg }));
const config = loadConfig(process.argv[2] ?? '', {});
const clean = await runDaemon(
  {
    ...{ config, clock, version: '0.0.0', tools: {}, loadConfig: () => config, onHangup: () => {}, onTrouble: async () => {} },
    log: { debug: () => {}, info: write, warn: write, error: write, level: 'info' },
    ports: {
      openVault: async (vault) => (vault.type === 's3' ? new S3Vault(vault, clock) : new FilesystemVault(vault, clock)),
      prepareVault: async (vault) => void (await new FilesystemVault(vault, clock).initialise()),
      async openSource({ files, host }) {
        if (files === null) throw new Error('files alone');
        return new FilesSource(files, host.type === 'local' ? localHost : new SshHost(host, clock), clock);
      },
    },
    openDoors: async () => ({ close: async () => {} }),
    supervisor: { ready: () => {}, status: () => {}, reloading: () => {}, stopping: () => {} },
  },
  stop.signal,
);
clearInterval(ticking);
// as main.ts does it: connections that are kept for the next request wait for nobody
process.exit(clean ? 0 : 1);

// Doctor's lines about a host over SSH.
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { SshHostConfig } from '../../src/config/config.ts';
import { SshHost } from '../../src/host/ssh.ts';
import { checkSshHost, type HostNeeds } from '../../src/host/ssh-check.ts';
import { freePort } from '../servers/rig.ts';
import { type Sshd, startSshd } from '../servers/sshd.ts';

let sshd: Sshd;
let needs: HostNeeds;
beforeAll(async () => {
  sshd = await startSshd();
  needs = { root: sshd.dir, database: { host: '127.0.0.1', port: sshd.port } };
});
afterAll(() => sshd.stop());

async function check(config: SshHostConfig, wanted = needs) {
  const host = new SshHost(config, systemClock);
  try {
    return await checkSshHost(host, wanted, systemClock);
  } finally {
    await host.close();
  }
}

const colours = (findings: Awaited<ReturnType<typeof check>>) => findings.map(({ name, ok }) => `${name} ${ok ? 'ok' : 'RED'}`);

describe('a host over SSH', () => {
  it('with all that is needed - green, with versions and space', async () => {
    const findings = await check(sshd.hostConfig());
    expect(colours(findings), findings[0]?.detail).toEqual(['host key ok', 'login ok', 'tar ok', 'find ok', 'disk ok', 'forwarding ok']);
    expect(findings[2]?.detail).toMatch(/^GNU tar \d/);
    expect(findings[4]?.detail).toMatch(/ GB of .* GB free$/);
  });

  it('with another key, another user, no sshd - one red line with a hint', async () => {
    expect(colours(await check(sshd.hostConfig({ knownHostsFile: sshd.wrongKnownHostsFile })))).toEqual(['host key RED']);
    expect(colours(await check(sshd.hostConfig({ user: 'nobody-here' })))).toEqual(['host key ok', 'login RED']);
    const port = await freePort();
    const knownHostsFile = join(sshd.dir, 'no_sshd');
    writeFileSync(knownHostsFile, sshd.knownHostsFor(port));
    expect(colours(await check(sshd.hostConfig({ port, knownHostsFile })))).toEqual(['connection RED']);
  });

  it('for SFTP alone, without forwarding - red lines for both, each with a hint', async () => {
    const closed = await startSshd({ config: ['ForceCommand internal-sftp', 'AllowTcpForwarding no'] });
    try {
      const findings = await check(closed.hostConfig());
      expect(colours(findings)).toEqual(['host key ok', 'login ok', 'programs RED', 'forwarding RED']);
      for (const { ok, hint } of findings) expect(ok || hint).toBeTruthy();
    } finally {
      await closed.stop();
    }
  });

  it('without GNU tar, with a root that is not there, with nothing at the database’s port - red lines that say so', async () => {
    const bin = join(sshd.dir, 'bin');
    const busybox = await startSshd({
      config: [
        `ForceCommand mkdir -p ${bin}; printf '#!/bin/sh\\necho "tar (busybox) 1.36"\\n' > ${bin}/tar; chmod +x ${bin}/tar; PATH=${bin}:$PATH; eval "$SSH_ORIGINAL_COMMAND"`,
      ],
    });
    const gone = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => gone.once('listening', resolve));
    const { port } = gone.address() as { port: number };
    await new Promise((resolve) => gone.close(resolve));
    try {
      const findings = await check(busybox.hostConfig(), { root: '/none', database: { host: '127.0.0.1', port } });
      expect(colours(findings)).toEqual(['host key ok', 'login ok', 'tar RED', 'find ok', 'disk RED', 'forwarding RED']);
      expect(findings[4]?.detail).toMatch(/: df: .*\/none/);
      expect(findings[5]?.detail).toContain('nothing answers');
    } finally {
      await busybox.stop();
    }
  });
});

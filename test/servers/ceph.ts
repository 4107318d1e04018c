// A throw-away one-node Ceph with an S3 gateway (Object Lock, versioning) on loopback.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { freePort, makeRig, type Rig, until } from './rig.ts';

const run = promisify(execFile);

export interface S3Login {
  readonly accessKey: string;
  readonly secretKey: string;
}

export interface Ceph extends S3Login {
  /** http://127.0.0.1:PORT */
  readonly endpoint: string;
  readonly port: number;
  readonly dir: string;
  /** By daemon: mon, osd, rgw. */
  pids(): ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

export interface CephOptions {
  /** Bytes the store can hold; a sparse file. 20 GiB by default. */
  readonly sizeBytes?: number;
}

/**
 * Starts it. The user it returns owns every bucket it makes and may delete versions. Needs the Debian packages
 * radosgw, ceph-mon, ceph-osd and ceph-common. No ceph-mgr: it only gathers statistics, and is the largest of them (300 MB).
 */
export async function startCeph(options: CephOptions = {}): Promise<Ceph> {
  // a port taken between the probe and the bind is rare and shows as a daemon that ends at once: one more try with others
  for (let attempt = 1; ; attempt++) {
    const rig = makeRig('ceph');
    try {
      return await startIn(rig, options.sizeBytes ?? 20 * 1024 ** 3);
    } catch (error) {
      await rig.stop();
      if (attempt === 2) throw error;
    }
  }
}

async function startIn(rig: Rig, sizeBytes: number): Promise<Ceph> {
  const dir = rig.dir;
  const [port, monPort, fsid] = [await freePort(), await freePort(), randomUUID()];
  for (const name of ['mon', 'osd', 'run', 'log', 'rgw']) mkdirSync(path.join(dir, name));
  writeFileSync(path.join(dir, 'ceph.conf'), cephConf(dir, fsid, port, monPort, sizeBytes));
  const keyring = path.join(dir, 'keyring');
  const env = { CEPH_CONF: path.join(dir, 'ceph.conf') };
  const ceph = (command: string, ...args: string[]) => run(command, args, { env: { ...process.env, ...env } });
  const daemon = (name: string, command: string, ...args: string[]) => rig.start(name, command, args, env);

  writeFileSync(keyring, '', { mode: 0o600 });
  const caps: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['mon.', { mon: 'allow *' }],
    ['client.admin', { mon: 'allow *', osd: 'allow *' }],
    ['osd.0', { mon: 'allow profile osd', osd: 'allow *' }],
    ['client.rgw.main', { mon: 'allow rw', osd: 'allow rwx' }],
  ];
  for (const [name, rights] of caps) {
    const flags = Object.entries(rights).flatMap(([who, what]) => ['--cap', who, what]);
    await ceph('ceph-authtool', keyring, '--gen-key', '-n', name, ...flags);
  }
  const monmap = path.join(dir, 'monmap');
  await ceph('monmaptool', '--create', '--fsid', fsid, '--addv', 'a', `[v2:127.0.0.1:${monPort}]`, monmap);
  await ceph('ceph-mon', '--mkfs', '-i', 'a', '--monmap', monmap, '--keyring', keyring);
  await daemon('mon', 'ceph-mon', '-f', '-i', 'a');
  const osd = randomUUID();
  await ceph('ceph', 'osd', 'new', osd);
  await ceph('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', osd);
  await daemon('osd', 'ceph-osd', '-f', '-i', '0');
  await daemon('rgw', 'radosgw', '-f', '-n', 'client.rgw.main', '--keyring', keyring);
  const endpoint = `http://127.0.0.1:${port}`;
  await until(`the S3 gateway on ${endpoint} answers`, 90_000, async () => {
    for (const name of ['mon', 'osd', 'rgw']) {
      if (!rig.pids().has(name)) throw new Error(`ceph ${name} ended while starting: ${rig.logTail(name)}`);
    }
    return fetch(endpoint).then(
      (response) => response.body?.cancel().then(() => true) ?? true,
      () => false,
    );
  });
  const login = await createCephUser(dir, 'coffre');
  return { endpoint, port, dir, ...login, pids: () => rig.pids(), stop: () => rig.stop() };
}

/**
 * A further user of the Ceph in `dir`. It may do nothing with another user's bucket until that one's policy says so
 * (principal `arn:aws:iam:::user/<name>`): so a writer without s3:DeleteObjectVersion is made.
 */
export async function createCephUser(dir: string, name: string): Promise<S3Login> {
  const login = { accessKey: `${name}-key`, secretKey: `${name}-${randomUUID()}` };
  await run(
    'radosgw-admin',
    ['user', 'create', `--uid=${name}`, `--display-name=${name}`, `--access-key=${login.accessKey}`, `--secret=${login.secretKey}`],
    { env: { ...process.env, CEPH_CONF: path.join(dir, 'ceph.conf') } },
  );
  return login;
}

function cephConf(dir: string, fsid: string, port: number, monPort: number, sizeBytes: number): string {
  return `[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${monPort}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = ${dir}/keyring
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
run dir = ${dir}/run
pid file = ${dir}/run/$type.$id.pid
admin socket = ${dir}/run/$cluster-$name.$pid.asok
log file = ${dir}/log/$name.log
mon cluster log file = ${dir}/log/cluster.log
mon data = ${dir}/mon
osd data = ${dir}/osd
rgw data = ${dir}/rgw
osd objectstore = bluestore
bluestore block size = ${sizeBytes}
osd memory target = 1500000000
osd class default list = *
osd class load list = *
ms bind ipv6 = false
# the gateway makes its pools one after the other, each a proposal: a second each by default
paxos propose interval = 0.05
paxos min wait = 0.01
[client.rgw.main]
rgw frontends = beast endpoint=127.0.0.1:${port}
`;
}

// Which servers this machine can run for the demo, and what to say where it cannot.
import { accessSync, constants, statfsSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';

export interface Lanes {
  /** Value of COFFRE_TEST_S3 for the rig; null: no store can run. */
  readonly store: 'ceph' | 'minio' | 'external' | null;
  readonly storeProblem: string | null;
  readonly database: boolean;
  readonly databaseProblem: string | null;
}

const CEPH = ['ceph-mon', 'ceph-osd', 'radosgw', 'radosgw-admin', 'ceph-authtool', 'monmaptool', 'ceph'];
const MARIADB = ['mariadbd', 'mariadb-install-db', 'mariadb', 'mariadb-dump', 'mariadb-admin'];

/** Looks at the environment, the programs and the Docker engine; starts nothing. */
export async function chooseLanes(env: NodeJS.ProcessEnv): Promise<Lanes> {
  const noDatabase = missing(MARIADB, env);
  const database = { database: noDatabase === null, databaseProblem: noDatabase };
  if (env.COFFRE_TEST_S3_ENDPOINT) return { store: 'external', storeProblem: null, ...database };
  const noCeph = missing(CEPH, env);
  const wanted = env.COFFRE_TEST_S3;
  if (wanted !== 'minio' && noCeph === null) return { store: 'ceph', storeProblem: null, ...database };
  if (wanted !== 'ceph' && (await dockerAnswers(env))) return { store: 'minio', storeProblem: null, ...database };
  return { store: null, storeProblem: noCeph ?? 'no Docker engine answers', ...database };
}

function missing(programs: readonly string[], env: NodeJS.ProcessEnv): string | null {
  const folders = `${env.PATH ?? ''}:/usr/sbin:/sbin`.split(':');
  const absent = programs.filter((program) => !folders.some((folder) => isExecutable(path.join(folder, program))));
  return absent.length === 0 ? null : `not installed: ${absent.join(', ')}`;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A socket that accepts a connection is engine enough to try; containers say the rest. */
function dockerAnswers(env: NodeJS.ProcessEnv): Promise<boolean> {
  const host = env.DOCKER_HOST ?? 'unix:///var/run/docker.sock';
  const target = host.startsWith('unix://') ? { path: host.slice('unix://'.length) } : null;
  if (target === null) return Promise.resolve(true);
  return new Promise((resolve) => {
    const socket = connect(target, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** A folder on another file system than `home` with room for `needBytes`, to play the second disk; null when there is none. */
export function secondDisk(needBytes: number): string | null {
  const memory = '/dev/shm';
  try {
    accessSync(memory, constants.W_OK);
    const { bavail, bsize } = statfsSync(memory);
    return bavail * bsize >= needBytes ? memory : null;
  } catch {
    return null;
  }
}

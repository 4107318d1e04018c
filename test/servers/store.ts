// The S3 store that tests, demo and benches talk to: a given endpoint, MinIO in a container, or a throw-away Ceph.
import { randomUUID } from 'node:crypto';
import { type CephOptions, type S3Login, startCeph } from './ceph.ts';

export interface Store extends S3Login {
  readonly kind: 'external' | 'minio' | 'ceph';
  readonly endpoint: string;
  readonly region: string;
  /** For `createCephUser`; null when the store is no Ceph of ours. */
  readonly cephDir: string | null;
}

export interface RunningStore extends Store {
  stop(): Promise<void>;
}

/** The store that the environment names, or null: COFFRE_TEST_S3_ENDPOINT with _KEY, _SECRET and, if need be, _REGION. */
export function externalStore(env: NodeJS.ProcessEnv = process.env): Store | null {
  const endpoint = env.COFFRE_TEST_S3_ENDPOINT;
  if (!endpoint) return null;
  const [accessKey, secretKey] = [env.COFFRE_TEST_S3_KEY, env.COFFRE_TEST_S3_SECRET];
  if (!accessKey || !secretKey) throw new Error('COFFRE_TEST_S3_ENDPOINT needs COFFRE_TEST_S3_KEY and COFFRE_TEST_S3_SECRET');
  return { kind: 'external', endpoint, region: env.COFFRE_TEST_S3_REGION ?? 'us-east-1', accessKey, secretKey, cephDir: null };
}

/** Starts (or finds) the store that the environment asks for: COFFRE_TEST_S3=minio for MinIO, Ceph (made with `ceph`) by default. */
export async function startStore(env: NodeJS.ProcessEnv = process.env, ceph: CephOptions = {}): Promise<RunningStore> {
  const external = externalStore(env);
  if (external) return { ...external, stop: async () => {} };
  const wanted = env.COFFRE_TEST_S3 ?? 'ceph';
  if (wanted === 'minio') return startMinio();
  if (wanted !== 'ceph') throw new Error(`COFFRE_TEST_S3 is ceph or minio, not ${wanted}`);
  const { endpoint, accessKey, secretKey, dir, stop } = await startCeph(ceph);
  return { kind: 'ceph', endpoint, region: 'us-east-1', accessKey, secretKey, cephDir: dir, stop };
}

/** MinIO where a Docker engine runs. Its container goes with this process (testcontainers' reaper). */
async function startMinio(): Promise<RunningStore> {
  // only this lane needs the package, and loading it takes a second
  const { GenericContainer, Wait } = await import('testcontainers');
  const [accessKey, secretKey] = ['coffre-key', randomUUID()];
  const container = await new GenericContainer('minio/minio:RELEASE.2025-04-22T22-12-26Z')
    .withEnvironment({ MINIO_ROOT_USER: accessKey, MINIO_ROOT_PASSWORD: secretKey })
    .withCommand(['server', '/data'])
    .withExposedPorts(9000)
    .withWaitStrategy(Wait.forHttp('/minio/health/ready', 9000))
    .start();
  return {
    kind: 'minio',
    endpoint: `http://${container.getHost()}:${container.getMappedPort(9000)}`,
    region: 'us-east-1',
    accessKey,
    secretKey,
    cephDir: null,
    stop: async () => {
      await container.stop();
    },
  };
}

// What the files benchmark runs besides coffre: restic, and the pipeline of a careful administrator.
import { type Command, pipeline, type Remote } from '../measuring/commands.ts';

/** A restic repository. No secret on a command line. */
export interface Repository {
  readonly env: Readonly<Record<string, string>>;
}

export interface RepositoryPlace {
  /** `s3:http://…/bucket/prefix`, or a folder. */
  readonly repository: string;
  readonly passwordFile: string;
  /** Where restic keeps its copies of indexes: one for each repository, as each begins with none. */
  readonly cacheDir: string;
  readonly login?: { readonly accessKey: string; readonly secretKey: string; readonly region: string };
}

export function repositoryIn({ repository, passwordFile, cacheDir, login }: RepositoryPlace): Repository {
  return {
    env: {
      RESTIC_REPOSITORY: repository,
      RESTIC_PASSWORD_FILE: passwordFile,
      RESTIC_CACHE_DIR: cacheDir,
      ...(login ? { AWS_ACCESS_KEY_ID: login.accessKey, AWS_SECRET_ACCESS_KEY: login.secretKey, AWS_DEFAULT_REGION: login.region } : {}),
    },
  };
}

export function resticInit(repository: Repository): Command {
  return { program: 'restic', args: ['init', '--quiet'], env: repository.env };
}

/** `at`: the time that the snapshot shall bear, as restic's --time takes it. */
export function resticBackup(repository: Repository, root: string, at?: string): Command {
  const time = at === undefined ? '' : '--time "$AT"';
  return pipeline(`cd "$ROOT" && restic backup --quiet --host shop ${time} .`, { ROOT: root, AT: at ?? '', ...repository.env });
}

export function resticRestore(repository: Repository, directory: string, only?: string): Command {
  const include = only === undefined ? [] : ['--include', `/${only}`];
  return { program: 'restic', args: ['restore', 'latest', '--quiet', '--target', directory, ...include], env: repository.env };
}

/** As a cron job does it every day. */
export function resticForget(repository: Repository, keepWithin: string): Command {
  return { program: 'restic', args: ['forget', '--quiet', '--keep-within', keepWithin, '--prune'], env: repository.env };
}

/** Everything but the reading: compressed with both processors, encrypted, streamed into the bucket. */
export const INTO_STORE = 'zstd -3 -T2 -q | age -r "$RECIPIENT" | rclone rcat "$REMOTE"';

export function pipelineBackup(root: string, recipient: string, remote: Remote): Command {
  return pipeline(`tar -C "$ROOT" -cf - . | ${INTO_STORE}`, { ROOT: root, RECIPIENT: recipient, ...remote.env });
}

/** Into `directory`, which must be there. */
export function pipelineRestore(directory: string, identityFile: string, remote: Remote, only?: string): Command {
  return pipeline(
    `rclone cat "$REMOTE" | age -d -i "$IDENTITY" | zstd -dcq | tar -C "$DIRECTORY" -xpf - ${only === undefined ? '' : '"./$ONLY"'}`,
    {
      DIRECTORY: directory,
      IDENTITY: identityFile,
      ONLY: only ?? '',
      ...remote.env,
    },
  );
}

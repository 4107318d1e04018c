// Turns errors of the file system into CoffreErrors of a vault.
import { CoffreError, type ErrorCode } from '../errors.ts';

const BY_ERRNO: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'E_VAULT_SPACE',
  EDQUOT: 'E_VAULT_SPACE',
  EFBIG: 'E_VAULT_SPACE',
  EACCES: 'E_VAULT_DENIED',
  EPERM: 'E_VAULT_DENIED',
  EROFS: 'E_VAULT_DENIED',
  // What a share that went away answers.
  ESTALE: 'E_VAULT_UNREACHABLE',
  ENOTCONN: 'E_VAULT_UNREACHABLE',
  EHOSTDOWN: 'E_VAULT_UNREACHABLE',
  ENODEV: 'E_VAULT_UNREACHABLE',
  ETIMEDOUT: 'E_VAULT_TIMEOUT',
};

export const errnoOf = (error: unknown): string => {
  const code = (error as NodeJS.ErrnoException | null | undefined)?.code;
  return typeof code === 'string' ? code : '';
};

/** `error` as a CoffreError that names vault and action; one of ours comes back as it is. */
export function filesystemError(error: unknown, vaultName: string, doing: string): CoffreError {
  if (error instanceof CoffreError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new CoffreError(BY_ERRNO[errnoOf(error)] ?? 'E_VAULT_IO', `vault ${vaultName}: ${doing}: ${text}`, { cause: error });
}

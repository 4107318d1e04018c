// Who gives an order on the command line, for the audit.
import { userInfo } from 'node:os';
import type { Io } from './io.ts';

/** The account that the operator logged in with, where sudo tells; else the one that runs coffre. */
export function operatorName(io: Pick<Io, 'env'>): string {
  const { SUDO_USER } = io.env;
  if (SUDO_USER) return SUDO_USER;
  try {
    return userInfo().username;
  } catch {
    // an account without a name, in a container
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}

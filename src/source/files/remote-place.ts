// Which tree on another machine is read, and how.
import type { Clock } from '../../clock.ts';
import type { Host } from '../../host/host.ts';
import type { PathPattern } from '../path-pattern.ts';

export interface RemotePlace {
  readonly host: Host;
  /** As configured. */
  readonly root: string;
  readonly exclude: readonly PathPattern[];
  readonly oneFileSystem: boolean;
  readonly clock: Clock;
}

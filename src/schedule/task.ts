// What can be asked of the daemon, by whoever stands before it and by its own schedule.
import type { RunsTable } from '../catalog/tables/runs.ts';
import type { SourceKind } from '../source/source.ts';

/** What can be asked of the daemon: one run each. */
export type TaskRequest =
  /** `safety`: the state before a restore in place. */
  | {
      readonly kind: 'backup';
      readonly shop: string;
      readonly source: SourceKind;
      readonly full: boolean;
      readonly safety?: boolean | undefined;
    }
  /** `verify` reads back what was not read within verify.readWithin, `all` of it when asked; checking signatures is the restore unit's. */
  | { readonly kind: 'verify'; readonly shop: string; readonly all: boolean }
  /** Into the shop's own place, as an approved request says. */
  | { readonly kind: 'restore'; readonly shop: string; readonly request: string }
  /** Into scratch, by the restore unit. `from` null: the vault whose turn it is; `source` null: database and files. */
  | { readonly kind: 'drill'; readonly shop: string; readonly from: string | null; readonly source: SourceKind | null }
  /** A plain archive in the scratch folder, by the restore unit. `at`: as it was then, epoch milliseconds; null: the newest. */
  | { readonly kind: 'export'; readonly shop: string; readonly at: number | null }
  /** Of a shop, or of DAEMON_SHOP. */
  | { readonly kind: 'prune' | 'reconcile'; readonly shop: string }
  | { readonly kind: 'catch-up'; readonly shop: string }
  /** Of DAEMON_SHOP: all vaults; all checkpoints. */
  | { readonly kind: 'probe' | 'checkpoint'; readonly shop: string };

export type TaskKind = TaskRequest['kind'];

export const TASK_KINDS = [
  'backup',
  'restore',
  'drill',
  'export',
  'verify',
  'prune',
  'reconcile',
  'catch-up',
  'probe',
  'checkpoint',
] as const satisfies TaskKind[];

/** The source that a task reads; null: none. */
export const sourceOf = (task: TaskRequest): RunsTable['source'] => (task.kind === 'backup' ? task.source : null);

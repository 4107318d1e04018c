// What a verification read and found, by the result that its run keeps: the daemon's reading of what is due, or the command's. Pure.

export interface Verified {
  readonly bytes: number;
  readonly objects: number;
  /** Objects, or what else a finding is about. */
  readonly damaged: number;
}

/** As the daemon keeps it; another coffre may have kept less. */
interface Due {
  readonly bytes?: number;
  readonly objects?: number;
  readonly damaged?: readonly unknown[];
}

/** As `coffre verify` keeps it. */
interface Copies {
  readonly snapshots?: readonly {
    readonly vaults?: readonly {
      readonly vault?: string;
      readonly readBytes?: number;
      readonly readObjects?: number;
      readonly errors?: readonly { readonly key?: string }[];
    }[];
  }[];
}

/** null: the run kept no result, as one that was cut off. */
export function verifiedBy(detail: string | null): Verified | null {
  if (detail === null) return null;
  const { bytes = 0, damaged = [], objects = 0, snapshots } = JSON.parse(detail) as Due & Copies;
  if (snapshots === undefined) return { bytes, objects, damaged: damaged.length };
  const copies = snapshots.flatMap(({ vaults = [] }) => vaults);
  // an object that several snapshots use is found once for each of them
  const found = new Set(copies.flatMap(({ errors = [], vault = '' }) => errors.map(({ key = '' }) => `${vault}\0${key}`)));
  return {
    bytes: copies.reduce((sum, { readBytes = 0 }) => sum + readBytes, 0),
    objects: copies.reduce((sum, { readObjects = 0 }) => sum + readObjects, 0),
    damaged: found.size,
  };
}

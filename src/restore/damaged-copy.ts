// What a restore tells of a copy that it could not use.

/** A copy that is not right, as the catalog wants to know it. */
export interface DamagedCopy {
  readonly snapshot: string;
  readonly vault: string;
  readonly key: string;
  readonly code: string;
  readonly message: string;
}

// What the demo found out: the document of --json, and what in it is not as it must be.

/** `billing peaks --json`, as CLI.md has it. */
export interface Peaks {
  readonly month: string;
  readonly contracts: readonly { readonly contract: string; readonly vault: string; readonly peakBytes: number; readonly at: string }[];
  readonly shops: readonly { readonly shop: string; readonly vault: string; readonly peakBytes: number; readonly at: string }[];
}

/** null: could not be shown on this machine, and `notShown` says why. */
export interface Outcome {
  /** Every version of every object of the shop refused to be deleted and to have its lock shortened. */
  lockRefused: boolean | null;
  /** The same credential could delete an object without a lock. */
  controlDeleted: boolean | null;
  databaseIdentical: boolean | null;
  filesIdentical: boolean | null;
  /** What `billing level` says that the store holds for us. */
  levelBytes: number | null;
  /** What an independent listing of every version in the store says. */
  storeBytes: number | null;
  peaks: Peaks | null;
  /** By chapter, and `total`. */
  seconds: Record<string, number>;
  notShown: string[];
  /** With --keep. */
  keep?: { readonly config: string; readonly stop: string };
}

export function newOutcome(): Outcome {
  return {
    lockRefused: null,
    controlDeleted: null,
    databaseIdentical: null,
    filesIdentical: null,
    levelBytes: null,
    storeBytes: null,
    peaks: null,
    seconds: {},
    notShown: [],
  };
}

/** What is not as it must be, in words. A null must have its reason in `notShown`, or it is wrong as well. */
export function wrongValues(outcome: Outcome): readonly string[] {
  const { lockRefused, controlDeleted, databaseIdentical, filesIdentical, levelBytes, storeBytes, peaks, notShown } = outcome;
  const wrong: (string | false)[] = [
    lockRefused === false && 'a locked version could be deleted, or its lock shortened',
    controlDeleted === false && 'the unlocked control object could not be deleted: the refusals prove nothing',
    databaseIdentical === false && 'the restored database differs',
    filesIdentical !== true && 'the restored files differ',
    levelBytes !== storeBytes && `the ledger says ${levelBytes} bytes, the store holds ${storeBytes}`,
    levelBytes === 0 && 'the ledger says that nothing is stored',
    peaks === null && 'no peaks',
    levelBytes !== null && (peaks?.contracts[0]?.peakBytes ?? 0) < levelBytes && 'the month’s peak is below the level of now',
    notShown.length === 0 &&
      [lockRefused, controlDeleted, databaseIdentical, levelBytes].includes(null) &&
      'something was not shown, and nobody said why',
  ];
  return wrong.filter((text) => text !== false);
}

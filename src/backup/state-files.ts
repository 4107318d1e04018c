// Where the daemon keeps its own copies of indexes and manifests, and the working files of a run.
import { join } from 'node:path';

/** Working folder of one run; it outlives a killed run and holds its journal. */
export const runDir = (stateDir: string, runId: string): string => join(stateDir, 'runs', runId);

/** The index in the making: written part by part, so that it tells what a killed run had stored. */
export const journalPath = (stateDir: string, runId: string): string => join(runDir(stateDir, runId), 'index.ndjson');

/** What the journal will say of parts that are stored while one before them is not. */
export const aheadPath = (stateDir: string, runId: string): string => join(runDir(stateDir, runId), 'ahead.ndjson');

/** Scratch space of the source. */
export const scratchPath = (stateDir: string, runId: string): string => join(runDir(stateDir, runId), 'scratch');

/** The daemon's own, unencrypted copy of a snapshot's index: it needs no identity to compare with it. */
export const indexCopyPath = (stateDir: string, shop: string, snapshot: string): string =>
  join(stateDir, 'indexes', shop, `${snapshot}.ndjson.zst`);

/** The daemon's own copy of a signed manifest, as it was written into this vault. */
export const manifestCopyPath = (stateDir: string, shop: string, snapshot: string, vault: string): string =>
  join(stateDir, 'manifests', shop, `${snapshot}.${vault}.json`);

/** A manifest on its way into a vault that lacks it, sealed and plain: gone when it is there. */
export const catchUpPath = (stateDir: string, name: string): string => join(stateDir, 'catch-up', name);

/** Where the copies of one shop lie: each file's name begins with its snapshot's id and a dot. */
export const copyFolders = (stateDir: string, shop: string): readonly string[] => [
  join(stateDir, 'indexes', shop),
  join(stateDir, 'manifests', shop),
];

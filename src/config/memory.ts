// What limits.memory is spent on: what a process takes before it holds any data, and what is left for data.

const MIB = 1024 * 1024;

/*
 * Measured on two cores with trees that do not compress (resident memory at its peak, less the bytes then in flight): 260 to 280 MiB
 * with one run, one or two vaults; 345 MiB with two.
 */
/** Node, the libraries, the catalog, buffers that were used and wait to be used again. */
const PROCESS_BYTES = 220 * MIB;
/** What each run adds: its threads, connections and buffers. */
const RUN_BYTES = 70 * MIB;
/** The stream of a large file or table to two vaults: with less it would take more than it was given. */
const LEAST_IN_FLIGHT_BYTES = 96 * MIB;
/** For each run. More would only wait for the vaults. */
const ENOUGH_IN_FLIGHT_BYTES = 112 * MIB;
/** Memory is given back to the system later than to the budget. */
const SLACK = 1.1;

const DEFAULT_BYTES = 512e6;

const besides = (runs: number): number => PROCESS_BYTES + runs * RUN_BYTES;

/** The least limits.memory with which `runs` runs at a time work, in whole MB. Pure. */
export function leastMemoryBytes(runs: number): number {
  return Math.ceil((besides(runs) + LEAST_IN_FLIGHT_BYTES * SLACK) / 1e6) * 1e6;
}

/** limits.memory where nothing is said. Pure. */
export function defaultMemoryBytes(runs: number): number {
  return Math.max(DEFAULT_BYTES, leastMemoryBytes(runs));
}

/** Bytes of data that may be in flight at once, over all runs. Pure. */
export function bytesInFlight(memoryBytes: number, runs: number): number {
  const left = Math.floor((memoryBytes - besides(runs)) / SLACK);
  return Math.min(Math.max(LEAST_IN_FLIGHT_BYTES, left), runs * ENOUGH_IN_FLIGHT_BYTES);
}

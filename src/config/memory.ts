// What limits.memory is spent on: what a process takes before it holds any data, and what is left for data.

const MIB = 1024 * 1024;

/** Node, the libraries, the catalog, one sealing thread for each of two cores: resident before data is held. Measured. */
const PROCESS_BYTES = 150 * MIB;
/** What each run adds besides: its threads, connections, indexes of older snapshots in SQLite's caches. Measured. */
const RUN_BYTES = 30 * MIB;
/** A large file's or table's stream to two vaults: with less it would take more than it was given. */
const LEAST_IN_FLIGHT_BYTES = 96 * MIB;
/** Memory is given back to the system later than to the budget. Measured. */
const SLACK = 1.15;

const besides = (runs: number): number => PROCESS_BYTES + runs * RUN_BYTES;

/** The least limits.memory with which `runs` runs at a time work. Pure. */
export function leastMemoryBytes(runs: number): number {
  return Math.ceil(besides(runs) + LEAST_IN_FLIGHT_BYTES * SLACK);
}

/** Bytes of data that may be in flight at once. Pure. */
export function bytesInFlight(memoryBytes: number, runs: number): number {
  return Math.max(LEAST_IN_FLIGHT_BYTES, Math.floor((memoryBytes - besides(runs)) / SLACK));
}

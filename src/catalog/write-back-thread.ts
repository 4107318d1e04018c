// Thread: writes the log of the database in workerData back into it. It waits for nobody: what is being read or written meanwhile stays in the log.
import { DatabaseSync } from 'node:sqlite';
import { workerData } from 'node:worker_threads';

/** What was written meanwhile is written back too: a log that is written back to its end is begun anew, and does not grow. */
const ROUNDS = 5;

const database = new DatabaseSync(workerData as string);
for (let round = 0; round < ROUNDS; round++) {
  const { log, checkpointed } = database.prepare('pragma wal_checkpoint(passive)').get() as { log: number; checkpointed: number };
  if (log === checkpointed) break;
}
database.close();

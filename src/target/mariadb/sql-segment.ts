// Runs the statements of an SQL segment one by one.
import type { TableChoice } from '../target.ts';
import { applyDefiners, type DefinerRule, findDefiner } from './definers.ts';
import { statementHead, writeError } from './errors.ts';
import { asServerError, type Session } from './session.ts';
import { StatementSplitter } from './split.ts';
import { isChosen, statementSubject } from './statement-subject.ts';

const NO_BACKSLASH_ESCAPES = 'NO_BACKSLASH_ESCAPES';
const DEFINER_REFUSED = new Set([1227, 4095]);

export interface RunOptions {
  /** The text's own START TRANSACTION and COMMIT are left out: the caller's transaction ends after the text was checked. */
  readonly inTransaction: boolean;
  readonly choice: TableChoice | null;
  readonly definers: DefinerRule;
  readonly onWarning: (message: string) => void;
}

/** Throws CoffreError; the transaction, if any, is the caller's to end. */
export async function runSegment(session: Session, plaintext: AsyncIterable<Uint8Array>, options: RunOptions): Promise<void> {
  const splitter = new StatementSplitter();
  const runAll = async (last: boolean): Promise<void> => {
    for (let statement = splitter.next(last); statement; statement = splitter.next(last)) {
      if (options.inTransaction && isTransactionStatement(statement)) continue;
      if (options.choice && !isChosen(statementSubject(statement), options.choice)) continue;
      await runStatement(session, applyDefiners(statement, options.definers), options.onWarning);
      if (mayChangeSqlMode(statement)) {
        const mode = (await session.text('SELECT @@sql_mode')) ?? '';
        splitter.backslashEscapes = !mode.includes(NO_BACKSLASH_ESCAPES);
      }
    }
  };
  for await (const chunk of plaintext) {
    splitter.push(chunk);
    await runAll(false);
  }
  await runAll(true);
}

/** The statements of a text that does not change how strings are read. */
export async function* splitStatements(plaintext: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const splitter = new StatementSplitter();
  for await (const chunk of plaintext) {
    splitter.push(chunk);
    for (let statement = splitter.next(); statement; statement = splitter.next()) yield statement;
  }
  for (let statement = splitter.next(true); statement; statement = splitter.next(true)) yield statement;
}

/** Throws CoffreError. A definer that may not be set is left out, and `onWarning` told. */
export async function runStatement(session: Session, statement: Buffer, onWarning: (message: string) => void): Promise<void> {
  try {
    await session.run(statement);
  } catch (error) {
    const ours = findDefiner(statement);
    if (!ours || !DEFINER_REFUSED.has(asServerError(error).errno)) throw writeError(error, statementHead(statement));
    await session.run(ours.without).catch((second: unknown) => {
      throw writeError(second, statementHead(statement));
    });
    onWarning(`definer ${ours.definer} replaced by the restoring user: ${statementHead(ours.without)}`);
  }
}

function isTransactionStatement(statement: Buffer): boolean {
  return statement.length < 40 && /^\s*(?:START TRANSACTION|COMMIT)\s*$/i.test(statement.toString('latin1'));
}

function mayChangeSqlMode(statement: Buffer): boolean {
  return statement.length < 4096 && /\bsql_mode\b/i.test(statement.toString('latin1'));
}

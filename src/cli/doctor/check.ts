// One finding of doctor, as a line and in the document.
import { asCoffreError, type ErrorCode } from '../../errors.ts';

/** One line. `warning` marks one that is green and unwise. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly hint?: string;
  readonly code?: ErrorCode;
  readonly warning?: true;
}

/** What was thrown, as a red line. */
export function redCheck(name: string, error: unknown): Check {
  const { code, message, hint } = asCoffreError(error);
  return { name, ok: false, detail: `${message} [${code}]`, hint, code };
}

// The one line of logging that a run needs: an object of fields and a message, as pino has it.

type Write = (fields: object, message: string) => void;

export interface RunLog {
  readonly debug: Write;
  readonly info: Write;
  readonly warn: Write;
  readonly error: Write;
}

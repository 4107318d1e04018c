// Reads the configuration file: YAML in, a checked and resolved `Config` out, every problem named by its line.
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { CoffreError } from '../errors.ts';
import type { Config } from './config.ts';
import { type Located, lineOf, type Problem, problemsError, problemsOf } from './problems.ts';
import { resolveConfig } from './resolve.ts';
import { configFileSchema } from './schema.ts';
import type { Environment } from './secret.ts';

export const DEFAULT_CONFIG_FILE = '/etc/coffre/coffre.yaml';

/** Throws E_CONFIG_MISSING, E_CONFIG (all problems together), E_LOCK_CEILING. Secrets are not read yet. */
export function loadConfig(file: string, env: Environment): Config {
  const path = resolve(file);
  let text: string;
  let mode: number;
  try {
    text = readFileSync(path, 'utf8');
    mode = statSync(path).mode;
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new CoffreError('E_CONFIG_MISSING', `no configuration at ${path}`, { cause });
    throw new CoffreError('E_CONFIG', `cannot read ${path}: ${code}`, {
      cause,
      hint: 'the user coffre runs as must be able to read the configuration',
    });
  }
  const config = parseConfig(text, path, env);
  // Who may write this file decides where backups go and which programs' sockets are opened.
  if ((mode & 0o022) === 0) return config;
  return { ...config, warnings: [...config.warnings, `${path}: group or others may write the configuration (chmod go-w)`] };
}

/** The same from text; `file` is absolute and gives messages their name and relative paths their base. */
export function parseConfig(text: string, file: string, env: Environment): Config {
  const lines = new LineCounter();
  // prettyErrors would quote the lines around an error, and with them perhaps a secret.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
  const located: Located = { document, lines };
  const problem = (offset: number, message: string): Problem => ({ code: 'E_CONFIG', line: lines.linePos(offset).line, message });
  if (document.errors.length > 0) {
    throw problemsError(
      file,
      document.errors.map((error) => problem(error.pos[0], `this is not valid YAML: ${firstLine(error.message)}`)),
    );
  }
  let input: unknown;
  try {
    input = document.toJS() ?? {};
  } catch (error) {
    throw problemsError(file, [problem(0, `this is not valid YAML: ${firstLine((error as Error).message)}`)]);
  }
  const parsed = configFileSchema.safeParse(input);
  if (!parsed.success) throw problemsError(file, problemsOf(located, input, parsed.error.issues));
  const { config, problems } = resolveConfig(parsed.data, file, env, (path) => lineOf(located, path));
  if (problems.length > 0) throw problemsError(file, problems);
  return config;
}

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';

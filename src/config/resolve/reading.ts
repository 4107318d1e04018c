// What every section of the configuration is resolved with: where its paths begin, where its secrets are, and what is found wrong in it.
import { dirname, resolve } from 'node:path';
import type { ErrorCode } from '../../errors.ts';
import type { Secret } from '../config.ts';
import { type KeyPath, nearestName, type Problem, printPath } from '../problems.ts';
import type { ConfigFile } from '../schema.ts';
import { type Environment, type SecretReference, secretFromCredential, secretFromEnvironment, secretFromFile } from '../secret.ts';

export interface Reading {
  /** The whole file, for what a section must agree with. */
  readonly written: ConfigFile;
  readonly env: Environment;
  /** What the configuration is refused for, as it was reported. */
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
  /** A path as the file means it: relative ones begin where the file lies. */
  absolute(path: string): string;
  /** From `<key>File: PATH` or `<key>: {…}`; at most one of them. */
  secret(at: KeyPath, key: string, filePath: string | undefined, reference: SecretReference): Secret | null;
  /** FILE:LINE of a key. */
  place(at: KeyPath): string;
  report(at: KeyPath, message: string, code?: ErrorCode): void;
  warn(at: KeyPath, message: string): void;
  /** Reports a name that is not declared. */
  mustExist(at: KeyPath, name: string, section: 'vaults' | 'plans' | 'shops'): boolean;
}

/** `file` is absolute. */
export function beginReading(written: ConfigFile, file: string, env: Environment, lineOf: (path: KeyPath) => number): Reading {
  const folder = dirname(file);
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const place = (at: KeyPath): string => `${file}:${lineOf(at)}`;
  const report: Reading['report'] = (at, message, code = 'E_CONFIG') => {
    problems.push({ code, line: lineOf(at), message: `${printPath(at)} ${message}` });
  };
  const warn: Reading['warn'] = (at, message) => {
    warnings.push(`${place(at)}: ${printPath(at)} ${message}`);
  };
  const absolute = (path: string): string => resolve(folder, path);

  const secret: Reading['secret'] = (at, key, filePath, reference) => {
    if (filePath !== undefined && reference !== undefined) report([...at, key], `is given twice: keep ${key} or ${key}File`);
    if (filePath !== undefined) return secretFromFile(absolute(filePath), env);
    if (reference?.file !== undefined) return secretFromFile(absolute(reference.file), env);
    if (reference?.credential !== undefined) return secretFromCredential(reference.credential, env);
    if (reference?.env !== undefined) return secretFromEnvironment(reference.env, env);
    return null;
  };

  const mustExist: Reading['mustExist'] = (at, name, section) => {
    if (Object.hasOwn(written[section], name)) return true;
    const known = Object.keys(written[section]);
    const nearest = nearestName(name, known);
    const allowed =
      nearest !== null
        ? `did you mean ${nearest}?`
        : known.length > 0
          ? `declared are ${known.join(', ')}`
          : `nothing is declared under ${section}`;
    report(at, `is ${JSON.stringify(name)}, which is not declared under ${section}: ${allowed}`);
    return false;
  };

  return { written, env, problems, warnings, absolute, secret, place, report, warn, mustExist };
}

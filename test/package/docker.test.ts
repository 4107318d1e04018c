// docker/: its Dockerfile and compose file as their specifications have them, and nothing in them that is not there. No container runs here.
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DCLinter } from 'dclint';
import { validate } from 'dockerfile-utils';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { coffre } from '../cli/run-coffre.ts';

const top = resolve(import.meta.dirname, '../..');
const docker = join(top, 'docker');
const read = (file: string): string => readFileSync(join(docker, file), 'utf8');

describe('Dockerfile', () => {
  it('the linter has nothing to say, and would have', () => {
    expect(validate(read('Dockerfile'))).toEqual([]);
    expect(validate('FROM debian\nCOPPY a b\n')).toEqual([expect.objectContaining({ message: expect.stringContaining('COPPY') })]);
  });

  it('what it copies and runs exists, and is not ignored', () => {
    const kept = read('Dockerfile.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    for (const path of kept) expect(existsSync(join(top, path)), path).toBe(true);
    for (const path of [
      'docker/entrypoint',
      'test/bootstrap.sh',
      'test/installed.mjs',
      'package-lock.json',
      'bin',
      'src',
      'systemd',
      'config',
    ]) {
      expect(kept).toContain(path);
    }
  });
});

describe('compose.yaml', () => {
  it('the linter and the schema of the Compose Specification have nothing to say', () => {
    const linter = new DCLinter({
      quiet: true,
      rules: {
        // coffre is built here, under the name that `admin` uses
        'no-build-and-image': 0,
        // order is for readers: the daemon first
        'services-alphabetical-order': 0,
        'service-keys-order': 0,
        'service-dependencies-alphabetical-order': 0,
        'top-level-properties-order': 0,
      },
    } as unknown as ConstructorParameters<typeof DCLinter>[0]);
    const results = linter.lintFiles([join(docker, 'compose.yaml')], false);
    expect(results).toHaveLength(1);
    expect(results.flatMap((result: { readonly messages: readonly unknown[] }) => result.messages)).toEqual([]);
  });

  it('volumes, secrets and services that are named are declared', () => {
    const { services, volumes, secrets } = parse(read('compose.yaml'));
    for (const service of Object.values<Record<string, unknown>>(services)) {
      for (const volume of (service.volumes ?? []) as string[]) {
        const [from = ''] = volume.split(':');
        if (!from.startsWith('.')) expect(Object.keys(volumes)).toContain(from);
      }
      for (const secret of (service.secrets ?? []) as string[]) expect(Object.keys(secrets)).toContain(secret);
      for (const other of Object.keys((service.depends_on ?? {}) as object)) expect(Object.keys(services)).toContain(other);
    }
  });
});

it('README.md - the flags of its commands exist', async () => {
  for (const [, command = '', flags = ''] of read('README.md')
    .replaceAll('\\\n', ' ')
    .matchAll(/admin (init|restore) ([^\n`]+)/g)) {
    const { stdout } = await coffre([command, '--help']);
    for (const [flag] of flags.matchAll(/--[a-z][a-z0-9-]*/g)) expect(stdout).toContain(flag);
  }
});

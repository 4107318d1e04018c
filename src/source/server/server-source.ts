// The source `server`: a whole machine as one tree of one file system, and what it says about itself.
import { join } from 'node:path';
import type { Clock } from '../../clock.ts';
import type { FilesConfig, ServerConfig } from '../../config/config.ts';
import { asCoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import { existing } from '../shop/host-file.ts';
import type { Carry, Finding, OpenOptions, Part, Reading, Source, SourceSummary, Warning } from '../source.ts';
import { FACTS_FOLDER, patternsOf, RAW_DATABASES, RAW_DATABASES_KEPT, SERVER_EXCLUDES, swapFiles } from './excludes.ts';
import { type Facts, gatherFacts } from './facts.ts';
import { FactsPart } from './facts-part.ts';

/** How a tree is opened here: on one file system, with the folder of facts among the names in its root. */
export interface ServerTreeOptions {
  readonly oneFileSystem: true;
  readonly addedFolder: string;
}

export class ServerSource implements Source {
  readonly kind = 'server';
  readonly #config: ServerConfig;
  readonly #host: Host;
  readonly #clock: Clock;
  readonly #openTree: (files: FilesConfig, options: ServerTreeOptions) => Source;

  constructor(config: ServerConfig, host: Host, clock: Clock, openTree: (files: FilesConfig, options: ServerTreeOptions) => Source) {
    this.#config = config;
    this.#host = host;
    this.#clock = clock;
    this.#openTree = openTree;
  }

  /** Throws as the tree does, and E_SSH_…. */
  async open(options: OpenOptions): Promise<Reading> {
    const facts = await gatherFacts(this.#host, this.#clock, options.signal);
    const warnings = [...facts.warnings, ...(await this.#rawDatabases())];
    const tree = await (await this.#tree()).open(options);
    return new ServerReading(tree, { ...facts, warnings });
  }

  async check(): Promise<readonly Finding[]> {
    try {
      return await (await this.#tree()).check();
    } catch (error) {
      const failure = asCoffreError(error);
      return [{ name: 'host', ok: false, detail: failure.message, hint: failure.hint }];
    }
  }

  async #tree(): Promise<Source> {
    const { root, exclude, own } = this.#config;
    const swap = root === '/' ? await swapFiles(this.#host) : [];
    const raw = RAW_DATABASES.map((path) => `${path}/**`);
    const ours = await patternsOf(this.#host, root, [...own, ...swap]);
    const files: FilesConfig = {
      root,
      profile: 'generic',
      exclude: [...SERVER_EXCLUDES, ...raw, `/${FACTS_FOLDER}`, ...ours, ...exclude],
    };
    return this.#openTree(files, { oneFileSystem: true, addedFolder: FACTS_FOLDER });
  }

  async #rawDatabases(): Promise<readonly Warning[]> {
    const at = (path: string): string => join(this.#config.root, path);
    const there = await existing(this.#host, [...RAW_DATABASES, ...RAW_DATABASES_KEPT].map(at));
    const said = (paths: readonly string[], kind: Warning['kind'], message: string): Warning[] =>
      paths.filter((path) => there.has(at(path))).map((path) => ({ kind, where: path, message }));
    return [
      ...said(RAW_DATABASES, 'skipped', 'raw files of a database server: not kept, the dumps of the source database are'),
      ...said(RAW_DATABASES_KEPT, 'other', 'raw files of a database server that coffre does not dump: no good copy of them while it runs'),
    ];
  }
}

class ServerReading implements Reading {
  readonly asOf: Reading['asOf'];
  readonly expectedBytes: Reading['expectedBytes'];
  readonly parallel: Reading['parallel'];
  readonly #tree: Reading;
  readonly #facts: Facts;

  constructor(tree: Reading, facts: Facts) {
    this.#tree = tree;
    this.#facts = facts;
    this.asOf = tree.asOf;
    this.expectedBytes = tree.expectedBytes;
    this.parallel = tree.parallel;
  }

  async *items(): AsyncGenerator<Part | Carry> {
    yield new FactsPart(this.#facts);
    yield* this.#tree.items();
  }

  summary(): SourceSummary {
    const tree = this.#tree.summary();
    const { files: facts, system, warnings } = this.#facts;
    return {
      ...tree,
      warnings: [...warnings, ...tree.warnings],
      counts: { ...tree.counts, files: (tree.counts.files ?? 0) + facts.length, directories: (tree.counts.directories ?? 0) + 1 },
      server: { ...(system === null ? {} : { system }), ...tree.server },
    };
  }

  close(): Promise<void> {
    return this.#tree.close();
  }
}

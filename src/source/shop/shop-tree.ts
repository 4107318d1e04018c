// The source `files` of a shop: a tree of which it is known what application it holds.
import type { FilesConfig } from '../../config/config.ts';
import { asCoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import type { Finding, OpenOptions, Reading, Source, SourceSummary } from '../source.ts';
import { type Application, detectShop, findShopNear, type ShopTree } from './detect.ts';

const NAMES: Readonly<Record<FilesConfig['profile'], string>> = { prestashop: 'PrestaShop', wordpress: 'WordPress', generic: '' };

/** Reads the tree as `openTree` does, without what the application's own tools left behind, and says in the summary what it is. */
export class ShopTreeSource implements Source {
  readonly kind = 'files';
  readonly #files: FilesConfig;
  readonly #host: Host;
  readonly #openTree: (files: FilesConfig) => Source;

  constructor(files: FilesConfig, host: Host, openTree: (files: FilesConfig) => Source) {
    this.#files = files;
    this.#host = host;
    this.#openTree = openTree;
  }

  /** Throws as the tree does, E_CONFIG when a file that says what it is cannot be read. */
  async open(options: OpenOptions): Promise<Reading> {
    const detected = detectShop(this.#host, this.#files, options.signal);
    if (this.#files.profile !== 'generic') {
      const { excludes } = await detected;
      const reading = await this.#openTree({ ...this.#files, exclude: [...excludes, ...this.#files.exclude] }).open(options);
      return new DescribedReading(reading, factsOf(await detected));
    }
    // nothing that could be found leaves anything out: both at once, for hosts that are far
    const [shop, reading] = await Promise.allSettled([detected, this.#openTree(this.#files).open(options)]);
    if (reading.status === 'rejected') throw reading.reason;
    if (shop.status === 'fulfilled') return new DescribedReading(reading.value, factsOf(shop.value));
    await reading.value.close();
    throw shop.reason;
  }

  async check(): Promise<readonly Finding[]> {
    const findings = await this.#openTree(this.#files).check();
    return this.#files.profile === 'generic' ? findings : [await this.#applicationFinding(), ...findings];
  }

  async #applicationFinding(): Promise<Finding> {
    const { root, profile } = this.#files;
    try {
      const { application } = await detectShop(this.#host, this.#files);
      if (application !== null) return { name: 'shop', ok: true, detail: `${titleOf(application)} at ${root}` };
      const near = await findShopNear(this.#host, this.#files);
      return {
        name: 'shop',
        ok: false,
        detail: `no ${NAMES[profile]} at ${root}${near === null ? '' : `, but one at ${near}`}`,
        hint: near === null ? 'check files.root, or say profile: generic' : `write root: ${near} under files:`,
      };
    } catch (error) {
      const failure = asCoffreError(error);
      return { name: 'shop', ok: false, detail: failure.message, hint: failure.hint };
    }
  }
}

export function titleOf({ name, version }: Application): string {
  return version === null ? `${name} of an unknown version` : `${name} ${version}`;
}

function factsOf({ application, secrets, excludes }: ShopTree): Readonly<Record<string, string>> {
  return {
    ...(application === null ? {} : { application: titleOf(application), layout: application.layout }),
    ...(secrets.length === 0 ? {} : { secrets: secrets.join(', ') }),
    // beside what profile and configuration leave out
    ...(excludes.length === 0 ? {} : { leftOut: excludes.join(', ') }),
  };
}

class DescribedReading implements Reading {
  readonly asOf: Reading['asOf'];
  readonly expectedBytes: Reading['expectedBytes'];
  readonly parallel: Reading['parallel'];
  readonly #inner: Reading;
  readonly #facts: Readonly<Record<string, string>>;

  constructor(inner: Reading, facts: Readonly<Record<string, string>>) {
    this.#inner = inner;
    this.#facts = facts;
    this.asOf = inner.asOf;
    this.expectedBytes = inner.expectedBytes;
    this.parallel = inner.parallel;
  }

  items(): ReturnType<Reading['items']> {
    return this.#inner.items();
  }

  summary(): SourceSummary {
    const summary = this.#inner.summary();
    const server = { ...this.#facts, ...summary.server };
    return Object.keys(server).length === 0 ? summary : { ...summary, server };
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

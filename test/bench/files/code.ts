// Text that compresses as the code of a shop does: statements over a vocabulary used as often as Zipf's law has it.
import type { Random } from '../../shop/random.ts';

const SYLLABLES = [
  'get',
  'set',
  'id',
  'pro',
  'duct',
  'or',
  'der',
  'cus',
  'tom',
  'er',
  'car',
  'ti',
  'on',
  'va',
  'lue',
  'hook',
  'mod',
  'ule',
];
const WORDS = 6000;
const PLACES = 1 << 16;

export const extensionOf = (extensions: readonly string[], n: number): string => extensions[n % extensions.length] ?? 'php';

export class CodeWriter {
  readonly #random: Random;
  /** Each word on as many places as its share. */
  readonly #places: string[] = [];

  constructor(random: Random) {
    this.#random = random;
    const words = Array.from({ length: WORDS }, () => {
      const first = random.pick(SYLLABLES);
      const rest = Array.from({ length: random.int(1, 4) }, () => random.pick(SYLLABLES));
      return first + rest.map((one) => one.charAt(0).toUpperCase() + one.slice(1)).join('');
    });
    const total = words.reduce((sum, _, rank) => sum + 1 / (rank + 4), 0);
    let share = 0;
    for (const [rank, word] of words.entries()) {
      share += 1 / (rank + 4) / total;
      while (this.#places.length < share * PLACES - 0.5) this.#places.push(word);
    }
  }

  #word(): string {
    return this.#places[this.#random.uint32() % this.#places.length] as string;
  }

  /** One statement. */
  line(): string {
    const [a, b, c] = [this.#word(), this.#word(), this.#word()];
    switch (this.#random.uint32() % 8) {
      case 0:
        return `        $${a} = $this->${b}(${this.#random.int(0, 999)}, '${c}');`;
      case 1:
        return `        if (!$this->${a} || $${b}['${c}'] === null) {`;
      case 2:
        return `            throw new PrestaShopException('${a} ${b} ${this.#random.int(100, 99_999)}');`;
      case 3:
        return '        }';
      case 4:
        return `    public function ${a}(array $${b}, ?string $${c} = null): ?array`;
      case 5:
        return `        return Db::getInstance()->executeS('SELECT \`${a}\` FROM \`' . _DB_PREFIX_ . '${b}\` WHERE \`id_${c}\` = ' . (int) $${a});`;
      case 6:
        return `     * @param array<string, mixed> $${a} ${b} ${c}`;
      default:
        return `        $this->context->smarty->assign(['${a}' => $${b}, '${c}' => Tools::getValue('${b}')]);`;
    }
  }

  /** A whole file of 1 to 40 KB, 13 KB in the mean. */
  file(path: string): string {
    const lines = [`<?php // ${path}`];
    // most are small, few are large
    const length = 16 + Math.floor(600 * (this.#random.int(0, 1000) / 1000) ** 2);
    for (let n = 0; n < length; n++) lines.push(this.line());
    return `${lines.join('\n')}\n`;
  }
}

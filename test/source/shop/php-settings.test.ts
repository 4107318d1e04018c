// PHP read without PHP: the spellings that real configurations have, and what only PHP could know, which is never guessed.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COMPUTED, type PhpSettings, type PhpValue, phpSettings } from '../../../src/source/shop/php-settings.ts';

const settings = (code: string): PhpSettings => phpSettings(Buffer.from(code, 'utf8').toString('latin1'));
const returned = (expression: string): PhpValue | undefined => settings(`<?php return ${expression};`).returned;
const constant = (code: string): PhpValue | undefined => settings(`<?php\n${code}\n`).constants.get('X');

describe('literals', () => {
  it.each([
    ["'plain'", 'plain'],
    [String.raw`'it\'s \\ \n \$'`, String.raw`it's \ \n \$`],
    [String.raw`"tab\tnl\n dollar\$ q\" b\\ x\x41 o\101 e\e u\u{41}"`, 'tab\tnl\n dollar$ q" b\\ xA oA e\x1b uA'],
    ['"pa$1 $ and $"', 'pa$1 $ and $'],
    [String.raw`"unknown \q stays"`, String.raw`unknown \q stays`],
    ["'a' . 'b'.\"c\"", 'abc'],
    ["'' . \"\\0\" . ''", '\0'],
    ["('in' . 'side')", 'inside'],
    ['true', true],
    ['FALSE', false],
    [String.raw`\NULL`, null],
    ['3306', 3306],
    ['-1', -1],
    ['0x1F', 31],
    ['017', 15],
    ['1_000', 1000],
    ['1.5e3', 1500],
    ["'multi\nline'", 'multi\nline'],
    ["'# not // a /* comment'", '# not // a /* comment'],
    ["'?> <?php'", '?> <?php'],
  ])('%s - is read', (expression, value) => {
    expect(returned(expression)).toBe(value);
  });

  it.each([
    ["getenv('DB')"],
    ["$_ENV['DB']"],
    ['DB_NAME'],
    ['"hello $name"'],
    ['"hello {$name}"'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: PHP's
    ['"hello ${name}"'],
    ['`id`'],
    ['<<<X\ntext\nX'],
    ["'a' . getenv('B')"],
    ["getenv('A') ?: 'b'"],
    ["$x ?? 'b'"],
    ["true ? 'a' : 'b'"],
    ["(string) 'a'"],
    ["'a' 'b'"],
    ["__DIR__ . '/x'"],
    ["['a' => 'b', ...$more]"],
    ["['a' => 'b', KEY => 'c']"],
    ["array_merge(['a' => 'b'], $more)"],
    ["['a' => 'b'] + $more"],
    ["require 'other.php'"],
    ['1 + 1'],
    ['new Foo'],
    ["function () { return ['a' => 'b']; }"],
  ])('%s - is computed, not guessed', (expression) => {
    expect(returned(expression)).toBe(COMPUTED);
  });

  it('arrays of both kinds, nested, with and without keys, trailing commas - keep what is literal beside what is not', () => {
    const value = returned(
      "array('a' => ['b' => 1, 'c' => getenv('X', [1, 2]), 'd' => \"2\",], 'list', 7 => 'seven', 'eight' , 'e' => null,)",
    );
    expect(value).toEqual(
      new Map<string, unknown>([
        [
          'a',
          new Map<string, unknown>([
            ['b', 1],
            ['c', COMPUTED],
            ['d', '2'],
          ]),
        ],
        ['0', 'list'],
        ['7', 'seven'],
        ['8', 'eight'],
        ['e', null],
      ]),
    );
  });

  it('a key given twice - the last one counts, as in PHP', () => {
    expect(returned("['a' => 1, 'a' => 2]")).toEqual(new Map([['a', 2]]));
  });

  it('any text as var_export writes it - comes back', () => {
    const exported = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`;
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(Buffer.from(String(returned(exported(text))), 'latin1').toString('utf8')).toBe(Buffer.from(text).toString('utf8'));
      }),
    );
  });
});

describe('constants', () => {
  it.each([
    ["define('X', 'v');", 'v'],
    ['define("X","v")  ;', 'v'],
    ["\\define( 'X' , 'v' , true );", 'v'],
    ["DEFINE('X', 'v');", 'v'],
    ["@define('X', 'v');", 'v'],
    ["const X = 'v';", 'v'],
    ["const Y = 1, X = 'v';", undefined],
    ["if (!defined('X')) define('X', 'v');", 'v'],
    ["if (!defined('X')) { define('X', 'v'); }", 'v'],
    ["defined('X') || define('X', 'v');", 'v'],
    ["define('X', 'v'); define('X', 'v');", 'v'],
    ["/* define('X', 'old'); */ define('X', 'v'); # define('X', 'no');", 'v'],
    ["// ?> html define('X', 'no'); <?php\ndefine('X', 'v');", 'v'],
    ["$s = \"define('X', 'no');\"; define('X', 'v');", 'v'],
    ["$s = <<<'E'\ndefine('X', 'no');\n  E;\ndefine('X', 'v');", 'v'],
    ["define('X', getenv('Y'));", COMPUTED],
    ["define('X', 'a'); define('X', 'b');", COMPUTED],
    ["if ($dev) { define('X', 'a'); } else { define('X', 'b'); }", COMPUTED],
    ["if ($dev) { define('X', 'a'); }", COMPUTED],
    ["if ($dev) define('X', 'a');", COMPUTED],
    ["if ($dev): define('Y', 1); define('X', 'a'); endif;", COMPUTED],
    ["foreach ($env as $k => $v) { define($k, $v); } define('X', 'a');", COMPUTED],
    ["$this->define('X', 'a');", undefined],
    ["Foo::define('X', 'a');", undefined],
    ["function define('X', 'a') {}", undefined],
    ["__halt_compiler(); define('X', 'a');", undefined],
  ])('%s', (code, value) => {
    expect(constant(code)).toBe(value);
  });

  it('of a class, typed or not, and none of its methods', () => {
    const code =
      "<?php\nuse const A\\B;\n#[Attribute]\nfinal class V { public const VERSION = '8.1.2'; const string OTHER = 'o'; function f() { return 1; } }";
    expect([...settings(code).classConstants]).toEqual([
      ['VERSION', '8.1.2'],
      ['OTHER', 'o'],
    ]);
  });

  it('variables at the top - once is a value, twice or in a condition is not', () => {
    const { variables } = settings("<?php $a = 'x'; $b = 1; $b = 2; if ($c) { $d = 3; } $table_prefix  = 'wp_'; $e = f();");
    expect(Object.fromEntries(variables)).toEqual({ a: 'x', b: COMPUTED, table_prefix: 'wp_', e: COMPUTED });
  });
});

describe('files', () => {
  it('inline HTML, a byte order mark, short tags, no closing tag - code alone counts', () => {
    expect(settings("\ufeff<?PHP\r\nreturn ['a' => 'b'];").returned).toEqual(new Map([['a', 'b']]));
    expect(settings("return ['no'];").returned).toBeUndefined();
    expect(settings("<html>define('X', 1)<?= $x ?>define('X', 2)<?php define('X', 3) ?>").constants.get('X')).toBe(3);
    expect(settings('<?xml version="1.0"?><?php define("X", 3);').constants.get('X')).toBe(3);
  });

  it('two returns, or one in a condition - computed', () => {
    expect(settings("<?php if ($x) { return ['a' => 1]; }").returned).toBe(COMPUTED);
    expect(settings("<?php if ($x) return ['a' => 1]; return ['a' => 2];").returned).toBe(COMPUTED);
    expect(settings("<?php function f() { return 1; } return ['a' => 2];").returned).toBe(COMPUTED);
  });

  it.each([
    ["<?php return 'open"],
    ['<?php return "open\\'],
    ['<?php /* open'],
    ['<?php $x = <<<E\nopen'],
    ['<?php `open'],
    [String.raw`<?php return "\u{110000}";`],
  ])('%s - E_FORMAT, and no value in the message', (code) => {
    expect(() => settings(code)).toThrow(expect.objectContaining({ code: 'E_FORMAT', message: expect.stringMatching(/^php: /) }));
  });

  it('arrays a thousand deep, brackets that never close, a megabyte of anything - an end, and no stack overflow', () => {
    expect(returned('['.repeat(1000) + ']'.repeat(1000))).toBeInstanceOf(Map);
    expect(returned('('.repeat(1000) + ')'.repeat(1000))).toBe(COMPUTED);
    expect(settings(`<?php return ${'['.repeat(5000)}`).returned).toBe(COMPUTED);
    const started = performance.now();
    for (const piece of ['define(', "'a'.", 'array(', '"$', '/', '\\', '<<<A\n', '{', "['a'=>", '#']) {
      try {
        settings(`<?php ${piece.repeat(Math.floor(200_000 / piece.length))}`);
      } catch (error) {
        expect(error).toMatchObject({ code: 'E_FORMAT' });
      }
    }
    expect(performance.now() - started).toBeLessThan(30_000);
  });

  it('random bytes - settings or E_FORMAT, nothing else', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.constantFrom(
            '<?php ',
            '?>',
            "'",
            '"',
            '\\',
            '(',
            ')',
            '[',
            ']',
            '{',
            '}',
            ';',
            ',',
            '=>',
            'define',
            'return',
            'array',
            '$a',
            '=',
            '.',
            '/*',
            '*/',
            '//',
            '\n',
            '<<<A',
            '1',
          ),
        ),
        (pieces) => {
          try {
            settings(`<?php ${pieces.join('')}`);
          } catch (error) {
            expect(error).toMatchObject({ code: 'E_FORMAT' });
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

// Values made from an OpenAPI document's schemas, good ones and spoilt ones, for a client that knows the document alone.
import fc from 'fast-check';

/** As much of JSON Schema as our document uses; a keyword that is not here is not made use of, only checked by the validator. */
export interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
}

/** What there is, by the name of the field that asks for it. */
export type Known = Readonly<Record<string, readonly string[]>>;

/** Values that the schema allows, as far as its keywords above go; mostly of what there is, where anything is known under that name. */
export function valid(schema: Schema, known: Known, field = ''): fc.Arbitrary<unknown> {
  if ('const' in schema) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return fc.oneof(...choices.map((one) => valid(one, known, field)));
  const types = [schema.type ?? []].flat();
  if (types.length > 1) return fc.oneof(...types.map((type) => valid({ ...schema, type }, known, field)));
  switch (types[0]) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return fc.integer({ min: schema.minimum ?? -(2 ** 31), max: schema.maximum ?? 2 ** 31 });
    case 'number':
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case 'array':
      return fc.array(valid(schema.items ?? {}, known, field), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems ?? 3, 3),
      });
    case 'object': {
      const properties = Object.entries(schema.properties ?? {});
      const record = Object.fromEntries(properties.map(([name, one]) => [name, valid(one, known, name)]));
      return fc.record(record, { requiredKeys: properties.map(([name]) => name).filter((name) => schema.required?.includes(name)) });
    }
    case 'string':
      return text(schema, known[field] ?? []);
    default:
      return fc.jsonValue();
  }
}

function text(schema: Schema, fits: readonly string[]): fc.Arbitrary<unknown> {
  if (schema.format === 'date-time') {
    const range = { min: new Date('1970-01-01T00:00:00Z'), max: new Date('2100-01-01T00:00:00Z'), noInvalidDate: true };
    return fc.date(range).map((date) => date.toISOString());
  }
  const made = schema.pattern
    ? fc.stringMatching(new RegExp(schema.pattern))
    : fc.string({ minLength: schema.minLength ?? 0, maxLength: Math.min(schema.maxLength ?? 20, 20), unit: 'grapheme' });
  return fits.length === 0 ? made : fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...fits) }, { weight: 1, arbitrary: made });
}

/** What nobody should send. */
const JUNK: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue(),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.constantFrom<unknown>(
    ...[
      '../../etc/passwd',
      '..%2f..%2fetc',
      "' or 1=1 --",
      '\u0000',
      '__proto__',
      'constructor',
      '\ud800',
      '9'.repeat(400),
      '-0',
      '1e999',
      '',
    ],
    ...[null, [], {}, { __proto__: { admin: true } }, Number.MAX_SAFE_INTEGER, -1, 0.5, true],
  ),
);

/** Mostly allowed, sometimes not at all. */
export function nearly(schema: Schema, known: Known, field = ''): fc.Arbitrary<unknown> {
  const good = valid(schema, known, field);
  const spoilt = fc.tuple(good, fc.string({ maxLength: 10 }), JUNK).map(([value, name, junk]) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return junk;
    const names = Object.keys(value);
    // one field is spoilt, or one is there that should not be
    const at = name.length % 2 === 0 ? (names[name.length % Math.max(1, names.length)] ?? name) : name;
    return { ...value, [at]: junk };
  });
  return fc.oneof({ weight: 5, arbitrary: good }, { weight: 3, arbitrary: spoilt }, { weight: 1, arbitrary: JUNK });
}

// The API against its own description: checked by a validator of OpenAPI that is not ours, and by a client that knows nothing else.
import { Agent, type IncomingHttpHeaders, type RequestOptions, request } from 'node:http';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildApi } from '../../src/http/api.ts';
import { SHOPS, startDaemon, type TestDaemon } from './daemon.ts';
import { type Known, nearly, type Schema, valid } from './fuzz.ts';
import { lastMonth, makeThings, SECRET_WORD, type Things } from './things.ts';

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: Schema;
}
interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>>;
}

let it: TestDaemon;
let stop: () => Promise<void> = async () => {};
let known: Known;
const agent = new Agent({ keepAlive: true, maxSockets: 4 });
let operations: { readonly method: string; readonly path: string; readonly operation: Operation }[];

beforeAll(async () => {
  it = await startDaemon({}, (end) => {
    stop = end;
  });
  const { openapi, paths, ...rest } = (await it.ask(null, 'GET', '/openapi.json')).json;
  expect(openapi).toBe('3.1.0');
  expect(rest.info.title).toBe('coffre');
  operations = Object.entries<Record<string, Operation>>(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
  const things = [await makeThings(it, 'dupont'), await makeThings(it, 'martin')];
  const named = Object.keys(things[0] ?? {}) as (keyof Things)[];
  known = {
    ...Object.fromEntries(named.map((name) => [name, things.map((of) => of[name])])),
    // a request that was refused cannot be cancelled any more: enough of them for whatever is done first
    request: (await Promise.all(Array.from({ length: 20 }, () => makeThings(it, 'dupont')))).flatMap((of) => [
      ...[of.request, of.heldRequest, of.failedRequest],
    ]),
    ...{ shop: SHOPS, shops: SHOPS, vault: ['nas'], month: ['2026-11', lastMonth(it.service.clock, 'UTC')], contract: ['csi-001'] },
  };
});
afterAll(async () => {
  agent.destroy();
  await stop();
});

test('the document is OpenAPI 3.1 to an independent validator', async () => {
  const { json } = await it.ask(null, 'GET', '/openapi.json');
  const validator = new Validator();
  const result = await validator.validate(json);
  expect(result.errors ?? []).toEqual([]);
  expect([result.valid, validator.version]).toEqual([true, '3.1']);
});

test('every route is described, and nothing else', async () => {
  const api = await buildApi(it.service, { kind: 'socket' });
  const described = operations.map(({ method, path }) => `${method} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`);
  const routes = api.routeTable.map(({ method, url }) => `${method} ${url}`).filter((route) => route !== 'GET /openapi.json');
  await api.close();
  expect(described.sort()).toEqual(routes.sort());
  for (const { method, path, operation } of operations) {
    const responses = Object.keys(operation.responses);
    expect({ method, path, summary: operation.summary, tags: operation.tags?.length, responses }).toMatchObject({
      ...{ summary: expect.stringMatching(/^\w/), tags: 1 },
      responses: expect.arrayContaining(['default', expect.stringMatching(/^20\d$/)]),
    });
  }
});

interface Made {
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string | undefined;
}

/** Requests to one operation, as the document has it: of `valid` values, or of `nearly` ones. */
function requests(path: string, operation: Operation, values: typeof nearly): fc.Arbitrary<Made> {
  const { parameters = [], requestBody } = operation;
  const chosenValues = fc.tuple(
    ...parameters.map((one) => {
      const made = values(one.schema, known, one.name).map((value) => (typeof value === 'string' ? value : String(JSON.stringify(value))));
      if (one.required) return made;
      // a valid cursor is one that a page gave
      return values === nearly || one.name !== 'cursor' ? fc.option(made, { nil: null, freq: 1 }) : fc.constant(null);
    }),
  );
  const [type, content] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  const bodies: fc.Arbitrary<string | undefined> = content
    ? fc.oneof(
        { weight: 8, arbitrary: values(content.schema, known).map((value) => String(JSON.stringify(value))) },
        { weight: values === nearly ? 1 : 0, arbitrary: fc.string({ unit: 'binary', maxLength: 50 }) },
      )
    : fc.constant(undefined);
  return fc.tuple(chosenValues, bodies).map(([chosen, body]) => {
    let target = path;
    const query = new URLSearchParams();
    const headers: Record<string, string> = body === undefined ? {} : { 'content-type': type ?? '' };
    for (const [at, value] of chosen.entries()) {
      const parameter = parameters[at];
      if (value === null || parameter === undefined) continue;
      if (parameter.in === 'path') target = target.replace(`{${parameter.name}}`, encodeURIComponent(value.toWellFormed()));
      // what HTTP cannot carry never gets to the API: test/http/hostile.test.ts
      else if (parameter.in === 'header') headers[parameter.name] = value.replaceAll(/[^\x20-\x7e]/g, '?');
      else query.append(parameter.name, value.toWellFormed());
    }
    return { path: query.size === 0 ? target : `${target}?${query}`, headers, body };
  });
}

interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Over the administrators' socket, where nothing limits the rate. A stream is left as soon as it begins. */
function send(method: string, { path, headers, body }: Made, to: RequestOptions = { socketPath: it.socket }): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...to, agent, method, path, headers: { host: 'localhost', ...to.headers, ...headers } }, (response) => {
      const told = { status: response.statusCode ?? 0, headers: response.headers };
      if (response.headers['content-type']?.startsWith('text/event-stream')) {
        response.destroy();
        resolve({ ...told, text: '' });
        return;
      }
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.once('end', () => resolve({ ...told, text }));
    });
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

describe('a client that knows only the document - nothing fails, and every answer is as described', () => {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  const compiled = new Map<Schema, ValidateFunction>();
  const check = (schema: Schema, value: unknown): string => {
    const validate = compiled.get(schema) ?? ajv.compile(schema);
    compiled.set(schema, validate);
    return validate(value) ? '' : ajv.errorsText(validate.errors);
  };

  test('of every operation', { timeout: 120_000 }, async () => {
    const statuses = new Map<string, Set<number>>();
    for (const { method, path, operation } of operations) {
      const seen = new Set<number>();
      statuses.set(`${method} ${path}`, seen);
      const holds = async (made: Made): Promise<void> => {
        const { status, headers, text } = await send(method, made);
        seen.add(status);
        const problem = `${method} ${made.path} ${made.body ?? ''}: ${status} ${text}`;
        expect(status, problem).toBeLessThan(500);
        const described = operation.responses[String(status)] ?? operation.responses.default;
        const type = (headers['content-type'] ?? '').split(';')[0] ?? '';
        if (text === '' && described?.content === undefined) return;
        const content = described?.content?.[type];
        expect(content, `${problem}: ${type} is not described`).toBeDefined();
        if (content && type.endsWith('json')) expect(check(content.schema, JSON.parse(text)), problem).toBe('');
      };
      await fc.assert(fc.asyncProperty(requests(path, operation, valid), holds), { numRuns: 8, endOnFailure: true });
      await fc.assert(fc.asyncProperty(requests(path, operation, nearly), holds), { numRuns: 15, endOnFailure: true });
      // where few of all that is allowed is there
      for (let more = 0; more < 8 && ![...seen].some((status) => status < 300); more++)
        await fc.assert(fc.asyncProperty(requests(path, operation, valid), holds), { numRuns: 8, endOnFailure: true });
    }
    // or it was the refusals alone that were looked at
    const never = [...statuses].filter(([, seen]) => ![...seen].some((status) => status < 300)).map(([name]) => name);
    expect(never).toEqual([]);
    expect(it.log.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('with a client’s token - and no word of anybody else in any of them', { timeout: 120_000 }, async () => {
    const { hostname, port } = new URL(it.url);
    const to = { host: hostname, port, headers: { authorization: `Bearer ${await it.token('client', ['dupont'])}` } };
    for (const { method, path, operation } of operations) {
      const holds = async (made: Made): Promise<void> => {
        const { status, text } = await send(method, made, to);
        const problem = `${method} ${made.path} ${made.body ?? ''}: ${status} ${text}`;
        expect(status, problem).toBeLessThan(500);
        for (const word of ['martin', 'zoe', SECRET_WORD, it.dir]) expect(text, problem).not.toContain(word);
      };
      await fc.assert(fc.asyncProperty(requests(path, operation, valid), holds), { numRuns: 5, endOnFailure: true });
      await fc.assert(fc.asyncProperty(requests(path, operation, nearly), holds), { numRuns: 5, endOnFailure: true });
    }
    expect(it.log.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

import { expect, test } from 'vitest';
import { CoffreError } from '../../src/errors.ts';
import { CopyOrder, fromAnyCopy, type OpenedCopy, type Problem } from '../../src/restore/fetch.ts';

const NEVER = new AbortController().signal;
const copies = ['near', 'far', 'farthest'].map((name) => ({ vault: { name } }) as unknown as OpenedCopy);

test('a vault that does not answer - is asked last from then on; one whose copy was wrong keeps its turn', async () => {
  const order = new CopyOrder(copies);
  const asked: string[] = [];
  const fail = new Map([
    ['near', 'E_VAULT_TIMEOUT'],
    ['far', 'E_OBJECT_ALTERED'],
  ] as const);
  const onProblem = (problem: Problem): void => order.note(problem);
  const get = (): Promise<string> =>
    fromAnyCopy(order, 'key', NEVER, onProblem, async ({ vault }) => {
      asked.push(vault.name);
      const code = fail.get(vault.name as 'near');
      if (code) throw new CoffreError(code, 'failed');
      return vault.name;
    });
  expect(await get()).toBe('farthest');
  expect(await get()).toBe('farthest');
  expect(asked).toEqual(['near', 'far', 'farthest', 'far', 'farthest']);
  fail.clear();
  expect(await get()).toBe('far');
});

// Tokens, made and revoked over the API itself.
import { Temporal } from 'temporal-polyfill';
import * as z from 'zod';
import { createToken, listTokens, revokeToken, TOKEN_NAME, TOKEN_ROLES, tokenDocument } from '../catalog/tokens.ts';
import type { Service } from '../schedule/service.ts';
import { principalOf } from './auth.ts';
import { flag, idField, instant, shopName } from './fields.ts';
import { ADMIN, unknownShop } from './principal.ts';
import type { Api } from './routes.ts';

const tokenFields = z.object({
  ...{ id: idField, name: z.string(), role: z.enum(TOKEN_ROLES), shops: z.array(z.string()).nullable(), createdAt: instant },
  ...{ createdBy: z.string(), expiresAt: instant.nullable(), lastUsedAt: instant.nullable(), lastUsedFrom: z.string().nullable() },
  ...{ revokedAt: instant.nullable(), revokedBy: z.string().nullable() },
});

const common = {
  name: z.string().regex(TOKEN_NAME).describe('what the audit calls whoever uses it'),
  expiresAt: instant.nullable().describe('null: in force until it is revoked'),
};
const tokenBody = z.discriminatedUnion('role', [
  z.strictObject({ ...common, role: z.literal('client'), shops: z.array(shopName).min(1).max(1000) }),
  z.strictObject({ ...common, role: z.enum(['admin', 'billing', 'monitor']), shops: z.null().default(null) }),
]);

export function registerTokens(api: Api, service: Service): void {
  const { catalog, clock } = service;
  api.get(
    '/v1/tokens',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['tokens'],
        summary: 'tokens in force, newest first',
        querystring: z.strictObject({ all: flag.describe('those that expired or were revoked too') }),
        response: { 200: z.object({ tokens: z.array(tokenFields) }) },
      },
    },
    async (request) => ({ tokens: (await listTokens(catalog, clock, request.query)).map(documentOf) }),
  );
  api.post(
    '/v1/tokens',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['tokens'],
        summary: 'make a token; it is told this once, only its hash is kept',
        body: tokenBody,
        response: { 201: z.object({ ...tokenFields.shape, token: z.string() }) },
      },
    },
    async (request, reply) => {
      const { name, role, shops, expiresAt } = request.body;
      for (const shop of shops ?? []) if (!service.config.shops.has(shop)) throw unknownShop();
      const until = expiresAt === null ? null : Temporal.Instant.from(expiresAt).epochMilliseconds;
      const made = await createToken(catalog, clock, { name, role, shops, expiresAt: until, who: principalOf(request).who });
      return reply.code(201).send({ ...documentOf(made.row), token: made.secret });
    },
  );
  api.delete(
    '/v1/tokens/:token',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['tokens'],
        summary: 'revoke a token, from its next request on',
        params: z.object({ token: idField }),
        response: { 200: tokenFields },
      },
    },
    async (request) => documentOf(await revokeToken(catalog, clock, request.params.token, principalOf(request).who)),
  );
}

/** Schemas know no readonly arrays. */
function documentOf(row: Parameters<typeof tokenDocument>[0]): z.output<typeof tokenFields> {
  const document = tokenDocument(row);
  return { ...document, shops: document.shops && [...document.shops] };
}

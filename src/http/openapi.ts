// The API's own description: OpenAPI 3.1, made from the schemas that requests and answers are checked with.
import swagger from '@fastify/swagger';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';
import type { Service } from '../schedule/service.ts';
import type { Api } from './routes.ts';

const DESCRIPTION = `The daemon of coffre, for programs. The verbs are those of the command line.

At the Unix socket everybody is an administrator. Over TCP each request carries a token: \`Authorization: Bearer …\`; \`coffre token create\`
makes one. A token of the role client sees its own shops, and what belongs to others does not exist for it.

Lists come in pages: \`next\` of one is \`cursor\` of the next. Errors are problem documents (RFC 9457) with a code of \`coffre errors\`.`;

/** To be called before the first route: what is registered later is in it, if it has a schema. */
export async function openapi(api: Api, service: Service): Promise<void> {
  await api.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'coffre',
        version: service.version,
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
    transform: jsonSchemaTransform,
  });
  let text: string | null = null;
  api.get('/openapi.json', { config: { access: 'anyone' }, schema: { hide: true } }, async (_request, reply) => {
    text ??= JSON.stringify(api.swagger());
    return reply.type('application/json').serializer(String).send(text);
  });
}

// Looks for secrets in bytes, in every shape in which one may be written down.
import { createPrivateKey } from 'node:crypto';

export interface Secret {
  readonly name: string;
  readonly shapes: readonly Buffer[];
}

/** A secret that is text: as it is, in base64, base64url, hex, percent-encoded, as UTF-16 and with its case folded. */
export function textSecret(name: string, text: string): Secret {
  const bytes = Buffer.from(text);
  const shapes = [text, encodeURIComponent(text), bytes.toString('hex'), ...base64Cores(bytes), text.toLowerCase(), text.toUpperCase()];
  return { name, shapes: [...new Set(shapes)].map((shape) => Buffer.from(shape)).concat(Buffer.from(text, 'utf16le')) };
}

/** The 32 secret bytes of an Ed25519 key: raw, hex, base64; its PEM is among them, for it ends with them. */
export function signingSecret(name: string, pem: string): Secret {
  const { d = '' } = createPrivateKey(pem).export({ format: 'jwk' });
  const raw = Buffer.from(d, 'base64url');
  return { name, shapes: [raw, Buffer.from(raw.toString('hex')), ...base64Cores(raw).map((text) => Buffer.from(text))] };
}

/** What base64 makes of the bytes wherever they begin in a longer text: less the characters that depend on the neighbours. */
function base64Cores(bytes: Buffer): string[] {
  return [0, 1, 2].flatMap((shift) => {
    const encoded = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    const core = encoded.slice(shift === 0 ? 0 : 4, encoded.length - 2);
    return [core, core.replaceAll('+', '-').replaceAll('/', '_')];
  });
}

/** Names of the secrets that are in there. */
export function secretsIn(secrets: readonly Secret[], content: Buffer | string): string[] {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return secrets.filter(({ shapes }) => shapes.some((shape) => bytes.includes(shape))).map(({ name }) => name);
}

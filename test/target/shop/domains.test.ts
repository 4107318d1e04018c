// The new address in .htaccess: in PrestaShop's own part, whole names only.
import { describe, expect, it } from 'vitest';
import { htaccessWith } from '../../../src/target/shop/domains.ts';
import { htaccess } from '../../servers/php-shop.ts';

const change = { from: 'www.dupont.example', to: 'neu.dupont.example', uri: null };

describe('.htaccess of another address', () => {
  it('PrestaShop’s part - as PrestaShop would write it; somebody’s own part stays', () => {
    expect(htaccessWith(htaccess('www.dupont.example'), change)).toBe(htaccess('neu.dupont.example'));
  });

  it('done again - nothing more', () => {
    const once = htaccessWith(htaccess('www.dupont.example'), change);
    expect(htaccessWith(once, change)).toBe(once);
  });

  it.each([
    ['escaped dots', '^www\\.dupont\\.example$', '^neu\\.dupont\\.example$'],
    ['capitals', '^WWW.Dupont.example$', '^neu.dupont.example$'],
    ['a port behind it', 'www.dupont.example:8080', 'neu.dupont.example:8080'],
    [
      'a longer name',
      'shop.www.dupont.example www.dupont.example.net my-www.dupont.example',
      'shop.www.dupont.example www.dupont.example.net my-www.dupont.example',
    ],
    ['dots that are none', 'wwwxdupont.example', 'wwwxdupont.example'],
  ])('%s', (_, before, after) => {
    const part = (text: string): string => `# ~~start~~\nRewriteCond %{HTTP_HOST} ${text}\n# ~~end~~\n`;
    expect(htaccessWith(part(before), change)).toBe(part(after));
  });

  it('another folder below the domain - base and error page', () => {
    const moved = htaccessWith(htaccess('www.dupont.example'), { ...change, uri: { from: '/', to: '/boutique/' } });
    expect(moved).toContain('[E=REWRITEBASE:/boutique/]');
    expect(moved).toContain('ErrorDocument 404 /boutique/index.php?controller=404');
  });

  it('a file without that part - as it was', () => {
    expect(htaccessWith('RewriteCond %{HTTP_HOST} ^www.dupont.example$\n', change)).toBe('RewriteCond %{HTTP_HOST} ^www.dupont.example$\n');
  });
});

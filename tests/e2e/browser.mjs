// Drives Debian's Chromium through a user's way to a remote, and prints what each page was, as JSON.
// Arguments: a folder for screenshots, the link, the account at the authorisation server, and what
// the user does there: `consent`, or `cancel`.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [folder, link, account, choice] = process.argv.slice(2);
const profile = await mkdtemp(join(tmpdir(), 'chromium-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  viewport: { width: 800, height: 600 },
});
const complaints = [];
const pages = [];
try {
  const page = context.pages()[0];
  page.setDefaultTimeout(60_000);
  // What there is to complain of in the pages of others is not ours.
  const own = new URL(link).origin;
  page.on('console', (said) => {
    const isOwn = said.location().url.startsWith(own);
    if (isOwn && ['error', 'warning'].includes(said.type())) complaints.push(`${page.url().split('?')[0]}: ${said.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  const look = async (name) => {
    await page.screenshot({ path: join(folder, `${name}.png`) });
    const address = new URL(page.url());
    pages.push({
      name,
      origin: address.origin,
      path: address.pathname,
      title: await page.title(),
      heading: await page.locator('h1').first().innerText(),
      text: await page.locator('body').innerText(),
      language: await page.locator('html').getAttribute('lang'),
      scripts: await page.locator('script').count(),
      color: await page.locator('body').evaluate((body) => getComputedStyle(body).color),
    });
  };
  await page.goto(link);
  await look('link');
  const connect = page.getByRole('button', { name: 'Connect' });
  if (await connect.count()) {
    await connect.click();
    const login = page.locator('input[name=login]');
    const over = page.getByRole('heading', { name: 'Not connected' });
    await login.or(over).first().waitFor();
    if (await login.count()) {
      await look('login');
      if (choice === 'cancel') {
        await page.getByText('Cancel').click();
      } else {
        await login.fill(account);
        await page.locator('input[name=password]').fill('any');
        await page.locator('[type=submit]').click();
        await page.locator('input[name=prompt][value=consent]').waitFor({ state: 'attached' });
        await look('consent');
        await page.locator('[type=submit]').click();
      }
      await page.waitForURL('**/connect/callback?*');
    }
    await look('result');
  }
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}
console.log(JSON.stringify({ pages, complaints }));

// Opens the page that shows the API in Debian's Chromium, finds an operation, tries it with a token,
// and prints what was seen, as JSON. Arguments: the page, and the token.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [address, token, screenshot] = process.argv.slice(2);
const profile = await mkdtemp(join(tmpdir(), 'chromium-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  viewport: { width: 1000, height: 800 },
});
const seen = { complaints: [], others: [] };
try {
  const page = context.pages()[0];
  page.setDefaultTimeout(60_000);
  const own = new URL(address).origin;
  page.on('console', (said) => {
    if (['error', 'warning'].includes(said.type())) seen.complaints.push(said.text());
  });
  page.on('pageerror', (error) => seen.complaints.push(String(error)));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== own) seen.others.push(request.url());
  });
  await page.goto(address);
  const operations = page.locator('details.operation');
  await operations.first().waitFor();
  seen.operations = await operations.count();
  seen.headings = await page.locator('#operations h2').allInnerTexts();

  await page.locator('#find').fill('make a team');
  seen.found = await operations.locator('visible=true').locator('> summary').allInnerTexts();
  await page.locator('#token').fill(token);
  const made = page.locator('#post_teams');
  await made.locator('> summary').click();
  await made.getByLabel('body').fill('{"name": "<b>From the page</b>"}');
  await made.getByRole('button', { name: 'Try it' }).click();
  const output = made.locator('pre[aria-live]');
  await output.filter({ hasText: '201' }).waitFor();
  seen.made = await output.innerText();

  // The token is in the page's memory and nowhere else.
  seen.kept = await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]);
  await page.screenshot({ path: screenshot });
  await page.reload();
  await operations.first().waitFor();
  seen.tokenAfterwards = await page.locator('#token').inputValue();
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}
console.log(JSON.stringify(seen));

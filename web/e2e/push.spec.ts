// Who pushes: real pushes into the running server, seen on the page.
import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';

import type { APIRequestContext, Page } from '@playwright/test';

import { waysToPush } from '../src/pages/push/waysToPush';
import { api, expect, expectNoSideScroll, poorContrast, test, waitForData } from './support';

interface PushSource {
  protocol: string;
  userAgent: string;
}

/** A name that no other push of this server has. */
const fresh = (name: string) => `${name}/${Date.now()}`;

async function pushJson(request: APIRequestContext, agent: string, data: unknown): Promise<number> {
  const response = await request.post('/api/v1/import/json', { headers: { 'User-Agent': agent }, data });
  return response.status();
}

const table = (page: Page) => page.getByRole('table', { name: 'Push sources' });
const row = (page: Page, name: string) => table(page).getByRole('row').filter({ hasText: name });
const filter = (page: Page) => page.getByRole('textbox', { name: 'Filter sources' });

function answerWith(page: Page, sources: unknown[]) {
  return page.route('**/api/v1/status/push_sources*', (route) =>
    route.fulfill({ json: { status: 'success', data: sources } }),
  );
}

function madeUp(i: number, change: Record<string, unknown> = {}) {
  const lastSeen = new Date().toISOString();
  return {
    protocol: i % 2 === 0 ? 'otlp' : 'remote_write',
    tenant: 'anonymous',
    address: `10.0.${i >> 8}.${i & 255}`,
    userAgent: `agent-${i}`,
    firstSeen: lastSeen,
    lastSeen,
    requests: 1,
    samples: i,
    samplesPerSecond: i / 60,
    refused: 0,
    errors: 0,
    bytes: 100,
    ...change,
  };
}

test.describe('Push', () => {
  test('shows who pushes, by what, and how much', async ({ page, request }) => {
    const agent = fresh('thermometer');
    for (const value of [20.5, 21, 21.5])
      expect(await pushJson(request, agent, { metric: 'e2e_temperature', value })).toBe(204);
    await page.goto('/push');
    const source = row(page, agent);
    await expect(source).toContainText('pushing');
    await expect(source).toContainText('JSON');
    await expect(source.getByTitle('3', { exact: true })).toHaveText(/^3\b/);
    await expect(source).toContainText(/\d\/s/);
    await expect(source).toContainText(/ago|just now/);
    await source.getByRole('button', { name: `Details of ${agent}` }).click();
    await expect(source).toContainText('3 pushes, 1 samples each');
    await expect(source).toContainText('127.0.0.1');
    await source.getByRole('link', { name: 'JSON' }).click();
    await expect(page).toHaveURL(/\/explore\?q=.*kymo_push_samples_total/);
  });

  test('what is refused, and what fails as a whole, is red with the reason', async ({ page, request }) => {
    const [partly, wholly] = [fresh('partly'), fresh('wholly')];
    const items = [{ metric: 'e2e_sound', value: 1 }, { labels: { a: 'b' }, value: 2 }]; // prettier-ignore
    expect(await pushJson(request, partly, items)).toBe(400);
    const broken = await request.post('/api/v1/write', {
      headers: {
        'User-Agent': wholly,
        'Content-Type': 'application/x-protobuf',
        'Content-Encoding': 'snappy',
      },
      data: Buffer.from('nonsense'),
    });
    expect(broken.status()).toBe(400);
    await page.goto('/push?state=failing');
    await expect(row(page, partly)).toContainText('item 2: "metric" must be');
    await expect(row(page, partly).getByTitle('1', { exact: true }).nth(1)).toHaveClass(/push-bad/);
    const reason = row(page, wholly).getByTestId('push-error');
    await expect(reason).toContainText('snappy');
    const colours = await reason.evaluate((element) => {
      const probe = document.createElement('span');
      probe.style.color = 'var(--kymo-bad)';
      document.body.append(probe);
      const bad = getComputedStyle(probe).color;
      probe.remove();
      return { bad, own: getComputedStyle(element).color };
    });
    expect(colours.own).toBe(colours.bad);
    await page.getByText(/^Pushing \d+/).click();
    await expect(page).toHaveURL(/state=pushing/);
    await expect(row(page, partly)).toHaveCount(0);
  });

  test('a new source comes with the refresh, and nothing else moves', async ({ page, request }) => {
    expect(await pushJson(request, fresh('first'), { metric: 'e2e_first', value: 1 })).toBe(204);
    await page.goto('/push?refresh=1s');
    await filter(page).fill('e2e-late');
    await expect(page.getByText('No source matches.')).toBeVisible();
    const agent = fresh('e2e-late');
    expect(await pushJson(request, agent, { metric: 'e2e_late', value: 1 })).toBe(204);
    await expect(row(page, agent)).toBeVisible();
    await expect(filter(page)).toBeFocused();
    await expect(filter(page)).toHaveValue('e2e-late');
  });

  test('filters by protocol and text, sorts, and the URL carries it', async ({ page, request }) => {
    const agent = fresh('e2e-filter');
    expect(await pushJson(request, agent, { metric: 'e2e_filter', value: 1 })).toBe(204);
    const lines = await request.post('/api/v2/write?bucket=e2e', { headers: { 'User-Agent': agent }, data: 'e2e_weather t=1' }); // prettier-ignore
    expect(lines.ok()).toBe(true);
    await page.goto('/push');
    await filter(page).fill(agent.toUpperCase());
    await expect(row(page, agent)).toHaveCount(2);
    await page.getByRole('combobox', { name: 'Protocol' }).click();
    await page.getByRole('option', { name: 'InfluxDB lines' }).click();
    await expect(row(page, agent)).toHaveCount(1);
    await expect(page).toHaveURL(/protocol=influx/);
    await table(page).getByRole('button', { name: 'Client' }).click();
    await expect(page).toHaveURL(/sort=client/);
    await page.reload();
    await expect(row(page, agent)).toHaveCount(1);
    await expect(table(page).getByRole('columnheader', { name: 'Client' })).toHaveAttribute(
      'aria-sort',
      'ascending',
    );
    await filter(page).fill('no such client anywhere');
    await page.getByRole('button', { name: 'Show all' }).click();
    await expect(filter(page)).toHaveValue('');
    await expect(row(page, agent)).toHaveCount(2);
  });

  test('says how to push where nothing was, and the example works', async ({ page, request, baseURL }) => {
    await answerWith(page, []);
    await page.goto('/push?protocol=json&find=curl');
    await expect(page.getByText('Nothing was pushed since the server was started')).toBeVisible();
    const example = await page.locator('pre').first().innerText();
    expect(example).toContain(new URL(baseURL ?? '').origin);
    execFileSync('bash', ['-euc', example], { timeout: 30_000 });
    const query = encodeURIComponent('room_temperature_celsius{room="kitchen"}');
    const found = await api<{ result: { value: [number, string] }[] }>(request, `/query?query=${query}`);
    expect(found.result[0]?.value[1]).toBe('21.5');
    await page.unroute('**/api/v1/status/push_sources*');
    await page.reload();
    await expect(row(page, 'curl/').first()).toContainText('JSON');
  });

  test('the other ways to push lead somewhere', async ({ page, request, baseURL }) => {
    const { origin } = new URL(baseURL ?? '');
    for (const way of waysToPush(origin)) {
      const answer = await request.post(way.path, { data: '' });
      expect([404, 405], `${way.name}: ${way.path} answers ${answer.status()}`).not.toContain(
        answer.status(),
      );
    }
    expect(await pushJson(request, fresh('any'), { metric: 'e2e_any', value: 1 })).toBe(204);
    await page.goto('/push');
    await page.getByRole('button', { name: 'How to push' }).click();
    const dialog = page.getByRole('dialog', { name: 'How to push' });
    for (const way of waysToPush(origin)) await expect(dialog).toContainText(way.name);
    await page.keyboard.press('Escape');
    await expect(dialog).toHaveCount(0);
  });

  test('those of all tenants are offered where the server would tell', async ({ page, request }) => {
    const agent = fresh('tenants');
    expect(await pushJson(request, agent, { metric: 'e2e_tenants', value: 1 })).toBe(204);
    await page.goto('/push');
    await expect(row(page, agent)).toBeVisible();
    await expect(page.getByRole('switch', { name: 'All tenants' })).toHaveCount(0);
    await page.route('**/api/v1/status/flags', (route) =>
      route.fulfill({ json: { status: 'success', data: { 'enable-admin-api': 'true' } } }),
    );
    await page.reload();
    await page.getByRole('switch', { name: 'All tenants' }).click();
    // The server was not started so, and says it; what was seen stays.
    await expect(page.getByRole('alert')).toContainText('--enable-admin-api');
    await expect(row(page, agent)).toBeVisible();
    await page.getByRole('switch', { name: 'All tenants' }).click();
    await expect(page.getByRole('alert')).toHaveCount(0);
  });

  test('a thousand sources scroll like ten', async ({ page }) => {
    await answerWith(
      page,
      Array.from({ length: 1_000 }, (_, i) => madeUp(i)),
    );
    await page.goto('/push?sort=-samples');
    await expect(row(page, 'agent-999')).toBeVisible();
    expect(await table(page).getByRole('row').count()).toBeLessThan(100);
    await expect(page.getByText('the server remembers no more')).toBeAttached();
    await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight / 2));
    await expect(row(page, 'agent-500')).toBeVisible();
    await filter(page).fill('10.0.1.4');
    await expect(row(page, 'agent-260')).toBeVisible();
  });

  test('is reached and used by keyboard', async ({ page, request }) => {
    const agent = fresh('keyboard');
    expect(await pushJson(request, agent, { metric: 'e2e_keyboard', value: 1 })).toBe(204);
    await page.goto('/status');
    await expect(page.getByRole('heading', { name: 'Status' })).toBeVisible();
    await page.keyboard.press('g');
    await page.keyboard.press('p');
    await expect(page).toHaveURL(/\/push/);
    const details = page.getByRole('button', { name: `Details of ${agent}` });
    await details.focus();
    await page.keyboard.press('Enter');
    await expect(details).toHaveAttribute('aria-expanded', 'true');
    await expect(row(page, agent)).toContainText('First seen');
    await page.keyboard.press('Enter');
    await expect(details).toHaveAttribute('aria-expanded', 'false');
    const heading = table(page).getByRole('button', { name: 'Rate' });
    await heading.focus();
    await page.keyboard.press('Space');
    await expect(page).toHaveURL(/sort=-rate/);
    await expect(heading).toBeFocused();
  });

  test('has contrast in both themes, and fits a phone', async ({ page }) => {
    const agent = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) '.repeat(3);
    const before = new Date(Date.now() - 3_600_000).toISOString();
    const fault = { refused: 3, errors: 2, lastError: `${'no_place_to_break_'.repeat(12)}: refused` };
    await answerWith(page, [
      madeUp(1, { userAgent: agent, ...fault, lastErrorTime: new Date().toISOString() }),
      madeUp(2, { ...fault, firstSeen: before, lastErrorTime: before }),
      madeUp(3, { firstSeen: before, lastSeen: before }),
    ]);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const width of [1280, 820, 390]) {
        await page.setViewportSize({ width, height: 844 });
        await page.goto('/push');
        await expect(page.getByTestId('push-error')).toHaveCount(2);
        await page.getByRole('button', { name: 'Details of agent-2' }).click();
        await expectNoSideScroll(page);
        expect(await poorContrast(page), `${width} ${colorScheme}`).toEqual([]);
        await page.getByRole('button', { name: 'How to push' }).click();
        await expect(page.getByRole('dialog')).toContainText('docs/user/collect.md');
        await expectNoSideScroll(page);
      }
    }
  });

  test('tells clients of StatsD from what is made of their lines', async ({ page, request }) => {
    const { yaml } = await api<{ yaml: string }>(request, '/status/config');
    const port = Number(/statsd[^]*?listen_tcp:\s*['"]?127\.0\.0\.1:(\d+)/.exec(yaml)?.[1]);
    await new Promise<void>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.end('e2e.orders:3|c\nno line of it\n', resolve));
      socket.on('error', reject);
    });
    await waitForData(request, 'e2e_orders == 3');
    await page.goto('/push?protocol=statsd');
    const aggregates = row(page, 'Aggregates, written by Kymo');
    await expect(aggregates).toContainText('pushing');
    const client = table(page).getByRole('row').filter({ hasText: '127.0.0.1' });
    await expect(client).toContainText('failing');
    await client.getByRole('button', { name: 'Details of 127.0.0.1' }).click();
    await expect(client).toContainText('What StatsD’s clients send is aggregated first');
  });

  test('is in the API, too', async ({ request }) => {
    const agent = fresh('api');
    expect(await pushJson(request, agent, { metric: 'e2e_api', value: 1 })).toBe(204);
    const sources = await api<PushSource[]>(request, '/status/push_sources');
    expect(sources.filter((source) => source.userAgent === agent)).toMatchObject([{ protocol: 'json' }]);
  });
});

import { drawnPixels, editor, expect, expectNoSideScroll, explore, test, waitForData } from './support';

const CPU = 'sum by (mode) (rate(node_cpu_seconds_total[1m]))';

test.describe('Explore', () => {
  test.beforeEach(async ({ request }) => {
    await waitForData(request, CPU);
  });

  test('answers what is typed, and the URL carries it', async ({ page }) => {
    await page.goto('/explore?range=5m');
    await editor(page).fill('node_load1');
    await editor(page).press('Escape');
    await editor(page).press('Enter');
    await expect(page).toHaveURL(/q=node_load1/);
    await expect.poll(() => drawnPixels(page)).toBeGreaterThan(50);
    await expect(page.getByRole('group', { name: 'Query A' })).toContainText(/\d+ series/);
  });

  test('completes metrics, with type and help', async ({ page }) => {
    await page.goto('/explore');
    await editor(page).click();
    await page.keyboard.type('node_memory_MemAvail');
    const option = page.getByRole('option', { name: /node_memory_MemAvailable_bytes/ });
    await option.click();
    await expect(editor(page)).toContainText('node_memory_MemAvailable_bytes');
    await page.keyboard.press('Enter');
    await expect(page).toHaveURL(/q=node_memory_MemAvailable_bytes/);
  });

  test('completes labels and their values', async ({ page }) => {
    await page.goto('/explore');
    await editor(page).click();
    await page.keyboard.type('node_cpu_seconds_total{mo');
    await page.getByRole('option', { name: 'mode' }).click();
    await expect(editor(page)).toContainText('{mode');
    await page.keyboard.type('="us');
    await expect(page.getByRole('option', { name: 'user' })).toBeVisible();
  });

  test('knows what Kymo adds to the language', async ({ page }) => {
    await page.goto('/explore?range=5m');
    await editor(page).click();
    await page.keyboard.type('increase_ex');
    await expect(page.getByRole('option', { name: /increase_exact/ })).toBeVisible();
    await editor(page).fill('WITH (l = node_load1) l default node_load5 default 1.5Ki');
    await editor(page).press('Escape');
    await editor(page).press('Enter');
    await expect.poll(() => drawnPixels(page)).toBeGreaterThan(50);
    // What the grammar of the editor takes for a fault, the server does not.
    await expect(page.locator('.cm-lintRange-error')).toHaveCount(0);
    await editor(page).fill('node_load1 defaut 1');
    await expect(page.locator('.cm-lintRange-error')).not.toHaveCount(0);
  });

  test('a shared link shows the same', async ({ page, context }) => {
    await page.goto(explore([CPU, 'node_load1'], { range: '15m', stacked: '1', step: '5s' }));
    await expect.poll(() => drawnPixels(page)).toBeGreaterThan(50);
    const other = await context.newPage();
    await other.goto(page.url());
    await expect(editor(other, 'A')).toHaveText(CPU);
    await expect(editor(other, 'B')).toHaveText('node_load1');
    await expect(other.getByRole('switch', { name: 'Stacked' })).toBeChecked();
    await expect(other.getByTestId('time-range')).toContainText('Last 15m');
    await expect(other.locator('figure')).toHaveCount(2);
  });

  test('shows the plan of a query as a tree, with what each part did', async ({ page }) => {
    await page.goto(explore(CPU, { range: '5m' }));
    await page.getByRole('tab', { name: 'Plan' }).click();
    await expect(page).toHaveURL(/tab=plan/);
    const tree = page.getByRole('tree', { name: 'Plan of the query' });
    const parts = tree.getByRole('treeitem');
    await expect(parts).toHaveCount(3);
    await expect(parts.nth(0)).toContainText('sum by (mode)');
    await expect(parts.nth(1)).toContainText('rate');
    await expect(parts.nth(2)).toContainText(/select range 1m.*read [\d,]+ series, [\d,]+ samples?/);
    await expect(parts.nth(2)).toContainText('node_cpu_seconds_total[1m]');
    await expectNoSideScroll(page);
  });

  test('Back brings the query before', async ({ page }) => {
    await page.goto(explore('node_load1', { range: '5m' }));
    await editor(page).fill('node_load5');
    await editor(page).press('Escape');
    await editor(page).press('Enter');
    await expect(page).toHaveURL(/q=node_load5/);
    await page.goBack();
    await expect(editor(page)).toHaveText('node_load1');
  });

  test('zooms by drag, and back by double-click', async ({ page, request }) => {
    await waitForData(request, 'count_over_time(node_load1[30s]) >= 3');
    await page.goto(explore('node_load1', { range: '1m' }));
    await expect.poll(() => drawnPixels(page)).toBeGreaterThan(20);
    const box = await page.locator('.plot .u-over').boundingBox();
    if (!box) throw new Error('no graph');
    await page.mouse.move(box.x + box.width * 0.5, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.7, box.y + 60, { steps: 4 });
    await page.mouse.move(box.x + box.width * 0.95, box.y + 60, { steps: 4 });
    await page.mouse.up();
    await expect(page).toHaveURL(/from=.*to=/);
    const url = new URL(page.url());
    const span =
      Date.parse(url.searchParams.get('to') ?? '') - Date.parse(url.searchParams.get('from') ?? '');
    expect(span).toBeGreaterThan(60_000 * 0.4);
    expect(span).toBeLessThan(60_000 * 0.5);
    await expect(page.getByRole('group', { name: 'Query A' })).toContainText(/\d+ series/);
    await page.locator('.plot .u-over').dblclick();
    await expect(page.getByTestId('time-range')).toContainText('Last 1m');
  });

  test('reads values under the crosshair, by mouse and by keyboard', async ({ page }) => {
    await page.goto(explore('node_load1', { range: '5m' }));
    await expect.poll(() => drawnPixels(page)).toBeGreaterThan(50);
    const box = await page.locator('.plot .u-over').boundingBox();
    if (!box) throw new Error('no graph');
    await page.mouse.move(box.x + box.width - 20, box.y + 40);
    await expect(page.locator('.plot-tip')).toContainText(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/);
    await page.mouse.move(box.x + 100, box.y - 60);
    await expect(page.locator('.plot-tip')).toHaveCount(0);
    await page.locator('.plot').focus();
    await page.keyboard.press('ArrowLeft');
    await expect(page.locator('.plot-tip')).toBeVisible();
    await page.keyboard.press('Escape');
    await expect(page.locator('.plot-tip')).toHaveCount(0);
  });

  test('the legend hides, and isolates with Alt', async ({ page }) => {
    await page.goto(explore(CPU, { range: '5m' }));
    const legend = page.getByRole('group', { name: 'Legend' });
    const user = legend.getByRole('button', { name: /^user/ });
    await expect(user).toHaveAttribute('aria-pressed', 'true');
    await user.click();
    await expect(user).toHaveAttribute('aria-pressed', 'false');
    await user.click({ modifiers: ['Alt'] });
    await expect(user).toHaveAttribute('aria-pressed', 'true');
    await expect(legend.getByRole('button', { name: /^idle/ })).toHaveAttribute('aria-pressed', 'false');
    await user.click({ modifiers: ['Alt'] });
    await expect(legend.getByRole('button', { name: /^idle/ })).toHaveAttribute('aria-pressed', 'true');
  });

  test('shows a fault where it is, and keeps the graph', async ({ page }) => {
    await page.goto(explore('node_load1', { range: '5m' }));
    await expect.poll(() => drawnPixels(page)).toBeGreaterThan(50);
    await editor(page).fill('sum(rate(node_load1[5m])');
    await editor(page).press('Escape');
    await editor(page).press('Enter');
    const group = page.getByRole('group', { name: 'Query A' });
    await expect(group.getByRole('alert')).toContainText('unclosed left parenthesis');
    await expect(page.locator('.cm-lintRange-error')).toHaveText(')');
    await expect(page.locator('figure')).toContainText('Earlier answer');
    expect(await drawnPixels(page)).toBeGreaterThan(50);
  });

  test('marks a fault while it is typed', async ({ page }) => {
    await page.goto('/explore');
    await editor(page).fill('rate(up)');
    await expect(page.locator('.cm-lintRange-error').first()).toBeVisible();
  });

  test('a query that takes long shows, and can be cancelled', async ({ page }) => {
    let aborted = false;
    await page.route('**/api/v1/query_range?*', () => {
      // Never answered: the page must give up by itself.
    });
    page.on('requestfailed', (request) => {
      if (request.url().includes('/query_range')) aborted = true;
    });
    await page.goto(explore('node_load1'));
    const group = page.getByRole('group', { name: 'Query A' });
    await expect(group).toContainText(/Running for/);
    await group.getByRole('button', { name: 'Cancel' }).click();
    await expect(group).toContainText('Cancelled');
    expect(aborted).toBe(true);
    await page.unroute('**/api/v1/query_range?*');
    await group.getByRole('button', { name: 'Run again' }).click();
    await expect.poll(() => drawnPixels(page)).toBeGreaterThan(50);
    await expect(group).not.toContainText('Cancelled');
  });

  test.describe('an empty answer says why', () => {
    test('no such metric, with one click to the right one', async ({ page }) => {
      await page.goto(explore('rate(node_cpu_second_total[1m])', { range: '5m' }));
      const reason = page.getByTestId('empty-reason');
      await expect(reason).toContainText('There is no metric node_cpu_second_total');
      await reason.getByRole('button', { name: 'node_cpu_seconds_total', exact: true }).click();
      await expect(editor(page)).toHaveText('rate(node_cpu_seconds_total[1m])');
      await expect.poll(() => drawnPixels(page)).toBeGreaterThan(50);
    });

    test('which matcher lets nothing through', async ({ page }) => {
      await page.goto(explore('node_cpu_seconds_total{mode="idel"}', { range: '5m' }));
      const reason = page.getByTestId('empty-reason');
      await expect(reason).toContainText('mode="idel" lets none through');
      await expect(reason.getByRole('button', { name: 'idle' })).toBeVisible();
    });

    test('data ended or has not begun, and when it was last seen', async ({ page }) => {
      await page.goto(explore('node_load1', { from: '2020-01-01T00:00:00Z', to: '2020-01-01T01:00:00Z' }));
      await expect(page.getByTestId('empty-reason')).toContainText(/has no samples here.*last seen .* ago/);
    });

    test('the expression drops everything', async ({ page }) => {
      await page.goto(explore('node_load1 > 1e9', { range: '5m', tab: 'table' }));
      await expect(page.getByTestId('empty-reason')).toContainText(
        'the expression lets none of them through',
      );
    });
  });

  test('a table sorts, filters and shows units', async ({ page }) => {
    await page.goto(explore('node_cpu_seconds_total', { tab: 'table' }));
    const table = page.getByRole('table');
    await expect(table.getByRole('row').nth(1)).toBeVisible();
    await table.getByRole('button', { name: 'value' }).click();
    await expect(table.getByRole('columnheader', { name: /value/ })).toHaveAttribute(
      'aria-sort',
      'descending',
    );
    await table.getByRole('button', { name: 'mode' }).click();
    await expect(table.getByRole('row').nth(1)).toContainText('idle');
    await table.getByRole('button', { name: 'mode' }).click();
    await expect(table.getByRole('row').nth(1)).toContainText('user');
    await page.getByRole('textbox', { name: 'Filter rows' }).fill('mode="user"');
    await expect(page.locator('.results-body')).toContainText(/\d+ of \d+ rows/);
    await expect(table.getByRole('row').nth(1)).toContainText('user');
    await table.getByRole('row').nth(1).getByRole('link').click();
    await expect(page).toHaveURL(/q=node_cpu_seconds_total%7B/);
  });

  test('the answer as JSON', async ({ page }) => {
    await page.goto(explore('up', { tab: 'json' }));
    const text = page.getByRole('region', { name: 'Answer as JSON' });
    await expect(text).toContainText('"resultType": "vector"');
  });

  test('a counter offers its rate', async ({ page }) => {
    await page.goto(explore('node_cpu_seconds_total', { range: '5m' }));
    await page.getByRole('button', { name: /per second/ }).click();
    await expect(editor(page)).toHaveText('rate(node_cpu_seconds_total[5m])');
  });

  test('explains the unit on hover', async ({ page }) => {
    await page.goto(explore('rate(node_network_receive_bytes_total[1m])', { range: '5m' }));
    await page.getByText('bytes per second', { exact: true }).hover();
    await expect(page.getByRole('tooltip')).toContainText('its name says “_bytes”');
  });

  test('remembers queries and favourites', async ({ page }) => {
    await page.goto('/explore?range=5m');
    await editor(page).fill('node_load15');
    await editor(page).press('Escape');
    await editor(page).press('Enter');
    await expect(page).toHaveURL(/node_load15/);
    await page.getByRole('button', { name: 'Favourite' }).click();
    await page.goto('/explore');
    await page.getByRole('button', { name: 'History' }).click();
    await page.getByRole('tab', { name: 'Favourites' }).click();
    await page.getByRole('tabpanel').getByRole('button', { name: 'node_load15' }).click();
    await expect(editor(page)).toHaveText('node_load15');
  });

  test('several queries, each with its own place', async ({ page }) => {
    await page.goto(explore('node_load1', { range: '5m' }));
    await page.getByRole('button', { name: 'Add a query' }).click();
    await editor(page, 'B').fill('up');
    await editor(page, 'B').press('Escape');
    await editor(page, 'B').press('Enter');
    await expect(page).toHaveURL(/q=node_load1&q=up/);
    await expect(page.locator('figure')).toHaveCount(2);
    await page.getByRole('button', { name: 'Remove query A' }).click();
    await expect(editor(page)).toHaveText('up');
    await expect(page).not.toHaveURL(/node_load1/);
  });

  test('links of Prometheus lead here', async ({ page }) => {
    await page.goto('/graph?g0.expr=node_load1&g0.tab=1&g0.range_input=2h');
    await expect(page).toHaveURL(/\/explore\?q=node_load1/);
    await expect(page.getByRole('tab', { name: 'Table' })).toHaveAttribute('aria-selected', 'true');
    await expect(page.getByTestId('time-range')).toContainText('Last 2h');
  });

  test('copies as curl', async ({ page, context, baseURL }) => {
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.goto(explore('node_load1', { range: '5m' }));
    await page.getByRole('button', { name: 'More for query A' }).click();
    await page.getByRole('menuitem', { name: 'Copy as curl' }).click();
    await expect(page.getByRole('menuitem', { name: 'Copied' })).toBeVisible();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    expect(copied).toContain(`curl -sG '${new URL(baseURL ?? '').origin}/api/v1/query_range'`);
    expect(copied).toContain("'query=node_load1'");
  });

  test('fits a phone', async ({ page }) => {
    await page.setViewportSize({ width: 390, height: 844 });
    for (const tab of ['graph', 'table', 'json']) {
      await page.goto(explore([CPU, 'node_load1'], { range: '5m', tab }));
      await expect(page.getByRole('group', { name: 'Query A' })).toContainText(/\d+ series/);
      await expectNoSideScroll(page);
    }
  });
});

test('a hundred series of ten thousand points stay smooth', async ({ page }) => {
  const start = 1_700_000_000;
  const count = 10_000;
  const result = Array.from({ length: 100 }, (_, s) => ({
    metric: { __name__: 'synthetic', series: String(s) },
    values: Array.from({ length: count }, (_, i) => [start + i, String(Math.sin(i / 200 + s) * 50 + s * 10)]),
  }));
  await page.route('**/api/v1/query_range?*', (route) =>
    route.fulfill({ json: { status: 'success', data: { resultType: 'matrix', result } } }),
  );
  // Lines that are drawn, and not how long it takes: that depends on the machine.
  await page.addInitScript(() => {
    const canvas = CanvasRenderingContext2D.prototype;
    const own = Object.getOwnPropertyDescriptor(canvas, 'stroke');
    const stroke = own?.value as (...path: unknown[]) => unknown;
    const counted = window as unknown as { strokes: number };
    counted.strokes = 0;
    const counting = function (this: unknown, ...path: unknown[]) {
      counted.strokes += 1;
      return Reflect.apply(stroke, this, path);
    };
    Object.defineProperty(canvas, 'stroke', { ...own, value: counting });
  });
  const strokes = () => page.evaluate(() => (window as unknown as { strokes: number }).strokes);
  await page.goto(
    explore('synthetic', {
      from: new Date(start * 1_000).toISOString(),
      to: new Date((start + count - 1) * 1_000).toISOString(),
      step: '1s',
    }),
  );
  await expect.poll(() => drawnPixels(page), { timeout: 30_000 }).toBeGreaterThan(1_000);
  const box = await page.locator('.plot .u-over').boundingBox();
  if (!box) throw new Error('no graph');
  // Moving the crosshair across the graph must not draw it anew.
  let before = -1;
  const settled = async () => {
    const last = before;
    before = await strokes();
    return before >= 100 && before === last;
  };
  await expect.poll(settled).toBe(true);
  for (let i = 1; i <= 40; i += 1) await page.mouse.move(box.x + (box.width * i) / 41, box.y + 100);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => done(null))));
  await expect(page.locator('.plot-tip')).toBeVisible();
  expect(await strokes()).toBe(before);
});

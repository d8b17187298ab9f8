import { drawnPixels, expect, expectNoSideScroll, test, waitForData } from './support';

test.describe('Overview', () => {
  test.beforeEach(async ({ request }) => {
    await waitForData(request, 'rate(node_cpu_seconds_total[1m])');
  });

  test('is the start page', async ({ page }) => {
    await page.goto('/');
    await expect(page).toHaveURL(/\/overview/);
    await expect(page).toHaveTitle('Overview · Kymo');
  });

  test('says how much is watched', async ({ page }) => {
    await page.goto('/overview?range=5m');
    await expect(page.getByRole('link', { name: 'Targets' }).last()).toBeVisible();
    await expect(page.locator('.tile', { hasText: 'Targets' })).toContainText(/\d+ up/);
    await expect(page.locator('.tile', { hasText: 'Active series' })).toContainText(/\d/);
    await expect(page.locator('.tile', { hasText: 'Samples per second' })).toContainText(/\d.*\/s/);
  });

  test('names a target that is down, and leads to it', async ({ page, request }) => {
    await waitForData(request, 'up == 0');
    await page.goto('/overview');
    const trouble = page.getByRole('region', { name: 'Trouble, newest first' });
    await trouble.getByRole('link', { name: 'Target is down' }).first().click();
    await expect(page).toHaveURL(/\/targets\?state=down/);
    await expect(page.getByRole('note').first()).toContainText(/refused|error|connect/i);
  });

  test('draws the vital signs of a host', async ({ page }) => {
    await page.goto('/overview?range=5m');
    for (const sign of ['cpu', 'load', 'memory', 'space', 'io', 'busy', 'network', 'pressure']) {
      await expect(page.getByTestId(`panel-${sign}`)).toBeVisible();
    }
    for (const sign of ['cpu', 'load', 'memory']) {
      await expect(page.getByTestId(`panel-${sign}`).locator('canvas')).toBeVisible();
      await expect.poll(() => drawnPixels(page, `[data-testid=panel-${sign}] canvas`)).toBeGreaterThan(50);
    }
    await expect(page.getByTestId('panel-cpu')).toContainText('user');
    await expect(page.getByTestId('panel-cpu')).toContainText('%');
    await expect(page.getByTestId('panel-memory')).toContainText('iB');
  });

  test('refreshes by itself without moving the page', async ({ page }) => {
    await page.goto('/overview?range=5m&refresh=1s');
    await expect(page.getByTestId('panel-memory').locator('canvas')).toBeVisible();
    await page.mouse.wheel(0, 300);
    // Scrolling may be smooth: where it is has to be the same twice.
    let before = -1;
    const settled = async () => {
      const last = before;
      before = await page.evaluate(() => window.scrollY);
      return before > 200 && before === last;
    };
    await expect.poll(settled).toBe(true);
    for (let i = 0; i < 2; i += 1)
      await page.waitForResponse((r) => r.url().includes('/query_range') && r.ok());
    expect(await page.evaluate(() => window.scrollY)).toBe(before);
  });

  test('keeps what it showed when the server is gone, and says so', async ({ page }) => {
    await page.goto('/overview?range=5m&refresh=1s');
    await expect(page.locator('.tile', { hasText: 'Targets' })).toContainText(/\d+ up/);
    await expect(page.getByTestId('panel-cpu').locator('canvas')).toBeVisible();
    await page.route('**/api/v1/**', (route) => route.abort());
    await expect(page.getByRole('alert').first()).toContainText('does not answer');
    await expect(page.locator('.tile', { hasText: 'Targets' })).toContainText(/\d+ up/);
    await expect(page.getByTestId('panel-cpu').locator('canvas')).toBeVisible();
    await page.unroute('**/api/v1/**');
    await expect(page.getByRole('alert')).toHaveCount(0);
  });

  test('fits a phone', async ({ page }) => {
    await page.setViewportSize({ width: 390, height: 844 });
    await page.goto('/overview?range=5m');
    await expect(page.getByTestId('panel-cpu').locator('canvas')).toBeVisible();
    await expectNoSideScroll(page);
    await expect(page.getByRole('navigation', { name: 'Pages' })).not.toBeInViewport();
    await page.getByRole('button', { name: 'Menu' }).click();
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Status' }).click();
    await expect(page).toHaveURL(/\/status/);
  });
});

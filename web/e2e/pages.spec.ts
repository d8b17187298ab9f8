import {
  api,
  axeFaults,
  editor,
  expect,
  expectNoSideScroll,
  poorContrast,
  test,
  waitForData,
} from './support';

interface Targets {
  activeTargets: {
    scrapePool: string;
    health: string;
    labels: Record<string, string>;
    discoveredLabels: Record<string, string>;
  }[];
}

test.describe('Targets', () => {
  test('lists pools with their counts, and why a target is down', async ({ page, request }) => {
    await waitForData(request, 'up == 0');
    const { activeTargets } = await api<Targets>(request, '/targets');
    await page.goto('/targets?refresh=1s');
    for (const pool of new Set(activeTargets.map((target) => target.scrapePool))) {
      await expect(page.getByRole('heading', { name: pool, exact: true })).toBeVisible();
    }
    await expect(page.getByRole('list', { name: 'Targets' })).toContainText(/\d+ of \d+ up/);
    await page.getByText(/^Down \d+/).click();
    await expect(page).toHaveURL(/state=down/);
    await expect(page.getByRole('note').first()).not.toBeEmpty();
    // A scrape may fail at any time on a slow machine: both are asked again.
    const difference = async () => {
      const { activeTargets } = await api<Targets>(request, '/targets');
      const down = activeTargets.filter((target) => target.health === 'down').length;
      return (await page.getByRole('button', { name: /^Details of/ }).count()) - down;
    };
    await expect.poll(difference).toBe(0);
  });

  test('filters by text, and the URL carries it', async ({ page, request }) => {
    const { activeTargets } = await api<Targets>(request, '/targets');
    const instance = activeTargets[0]?.labels['instance'] ?? '';
    await page.goto('/targets');
    await page.getByRole('textbox', { name: 'Filter targets' }).fill(`instance="${instance}"`);
    await expect(page.getByRole('button', { name: /^Details of/ })).toHaveCount(
      activeTargets.filter((target) => target.labels['instance'] === instance).length,
    );
    await page.reload();
    await expect(page.getByRole('textbox', { name: 'Filter targets' })).toHaveValue(`instance="${instance}"`);
    await page.getByRole('textbox', { name: 'Filter targets' }).fill('no such target anywhere');
    await expect(page.getByText('No target matches.')).toBeVisible();
    await page.getByRole('button', { name: 'Show all' }).click();
    await expect(page.getByRole('button', { name: /^Details of/ })).toHaveCount(activeTargets.length);
  });

  test('shows labels before relabelling', async ({ page }) => {
    await page.goto('/targets');
    await page.getByRole('button', { name: /^Details of/ }).first().click(); // prettier-ignore
    await expect(page.getByRole('columnheader', { name: 'Before relabelling' })).toBeVisible();
    await expect(page.getByRole('rowheader', { name: '__address__' })).toBeVisible();
    await expect(page.getByRole('row').filter({ hasText: 'job' })).toContainText(/job.+/);
  });

  test('says how many samples a target gave, and when', async ({ page, request }) => {
    await waitForData(request, 'scrape_samples_scraped > 0');
    await page.goto('/targets?state=up');
    const row = page.locator('.target-row').first();
    await expect(row).toContainText(/[1-9][\d,]* samples/);
    await expect(row).toContainText(/ago|just now/);
  });

  test('ten thousand targets scroll like ten', async ({ page }) => {
    const activeTargets = Array.from({ length: 10_000 }, (_, i) => ({
      discoveredLabels: { __address__: `10.0.0.1:${i}` },
      labels: { job: `pool${i % 50}`, instance: `10.0.0.1:${i}` },
      scrapePool: `pool${i % 50}`,
      scrapeUrl: `http://10.0.0.1:${i}/metrics`,
      lastError: i % 100 === 0 ? 'connection refused' : '',
      lastScrape: new Date().toISOString(),
      lastScrapeDuration: 0.01,
      health: i % 100 === 0 ? 'down' : 'up',
      scrapeInterval: '15s',
      scrapeTimeout: '10s',
    }));
    await page.route('**/api/v1/targets', (route) =>
      route.fulfill({ json: { status: 'success', data: { activeTargets, droppedTargets: [] } } }),
    );
    await page.goto('/targets');
    await expect(page.getByText('All 10,000')).toBeVisible();
    await expect(page.getByRole('listitem').first()).toBeVisible();
    expect(await page.getByRole('listitem').count()).toBeLessThan(100);
    await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight / 2));
    const shownInTheMiddle = () =>
      page.evaluate(() =>
        Number(document.elementFromPoint(640, 400)?.closest('[role=listitem]')?.getAttribute('data-index')),
      );
    await expect.poll(shownInTheMiddle).toBeGreaterThan(4_000);
    await page.getByRole('textbox', { name: 'Filter targets' }).fill('10.0.0.1:7777');
    await expect(page.getByRole('button', { name: /^Details of/ })).toHaveCount(1);
  });

  test('fits a phone', async ({ page }) => {
    await page.setViewportSize({ width: 390, height: 844 });
    await page.goto('/targets');
    await expect(page.getByRole('button', { name: /^Details of/ }).first()).toBeVisible();
    await expectNoSideScroll(page);
  });
});

test.describe('relabelling', () => {
  test('a target shows what each rule did to it', async ({ page, request }) => {
    await waitForData(request, 'up{job="exporter"}');
    await page.goto('/targets?pool=exporter');
    await page.getByRole('button', { name: /^Details of/ }).first().click(); // prettier-ignore
    const rules = page.getByRole('list', { name: 'Relabelling rules' });
    await expect(rules.getByRole('listitem')).toHaveCount(3);
    await expect(rules).toContainText('drop if __address__ matches left-out:1');
    await expect(rules).toContainText('changes nothing');
    await expect(rules).toContainText('+ zone="test"');
  });

  test('discovery says what became of each target, and why', async ({ page, request }) => {
    await waitForData(request, 'up{job="exporter"}');
    await page.goto('/discovery?pool=exporter');
    const found = page.getByRole('list', { name: 'Discovered' });
    await expect(found.locator('.found-row')).toHaveCount(3);
    await expect(found).toContainText('rule 1: drop if __address__ matches left-out:1');
    await expect(found).toContainText('no address');
    await page.getByRole('button', { name: 'What relabelling did to left-out:1' }).click();
    await expect(found).toContainText('drops the target');
    await expect(found).toContainText('is not reached');
    await page.getByText(/^Invalid \d+/).click();
    await expect(page).toHaveURL(/fate=invalid/);
    await expect(found.locator('.found-row')).toHaveCount(1);
    await page.getByText(/^All \d+/).click();
    await page.getByRole('textbox', { name: 'Filter what was discovered' }).fill('zone=test');
    await expect(found.locator('.found-row')).toHaveCount(1);
    await page.getByRole('textbox', { name: 'Filter what was discovered' }).fill('nothing like it');
    await expect(page.getByText('Nothing matches.')).toBeVisible();
    await page.getByRole('button', { name: 'Show all' }).click();
    await expect(page.getByRole('textbox', { name: 'Filter what was discovered' })).toHaveValue('');
    await expect(found.getByRole('heading', { name: 'kymo', exact: true })).toBeVisible();
    await expect(page).toHaveURL(/\/discovery$/);
  });

  test('what is counted is what the chosen pool and text would show', async ({ page, request }) => {
    await waitForData(request, 'up{job="exporter"}');
    await page.goto('/discovery');
    await page.getByRole('combobox', { name: 'Pool' }).click();
    await page.getByRole('option', { name: 'exporter', exact: true }).click();
    await expect(page).toHaveURL(/pool=exporter/);
    const states = page.getByRole('radiogroup', { name: 'What became of them' });
    await expect(states).toHaveText('All 3Scraped 1Dropped 1Invalid 1');
    await page.getByRole('textbox', { name: 'Filter what was discovered' }).fill('left-out');
    await expect(states).toHaveText('All 1Scraped 0Dropped 1Invalid 0');
    await page.goto('/targets?pool=exporter');
    const targets = page.getByRole('radiogroup', { name: 'State' });
    await expect(targets).toHaveText('All 1Up 1Down 0Not yet 0Dropped 1');
  });

  test('pools without targets are there, and say why', async ({ page, request }) => {
    await waitForData(request, 'up{job="exporter"}');
    for (const [path, list] of [
      ['/targets', 'Targets'],
      ['/discovery', 'Discovered'],
    ] as const) {
      await page.goto(path);
      const shown = page.getByRole('list', { name: list });
      await expect(shown.getByRole('heading', { name: 'found-nothing' })).toBeVisible();
      await expect(shown).toContainText('Discovery works, and names no target.');
      await expect(shown.getByRole('heading', { name: 'all-left-out' })).toBeVisible();
    }
    await page.goto('/targets?pool=all-left-out');
    await expect(page.getByText('relabelling dropped all 2 found')).toBeVisible();
    await page.getByRole('link', { name: 'What each rule did' }).click();
    await expect(page).toHaveURL(/\/discovery\?pool=all-left-out/);
    await expect(page.getByRole('list', { name: 'Discovered' }).locator('.found-row')).toHaveCount(2);
  });

  test('an ordinary drop is no alarm, and an invalid target is one', async ({ page, request }) => {
    await waitForData(request, 'up{job="exporter"}');
    await page.goto('/discovery?pool=exporter');
    await page.getByRole('button', { name: 'What relabelling did to left-out:1' }).click();
    const colourOf = (text: string) =>
      page.getByText(text, { exact: true }).evaluate((element) => {
        const probe = document.createElement('span');
        probe.style.color = 'var(--kymo-bad)';
        document.body.append(probe);
        const bad = getComputedStyle(probe).color;
        probe.remove();
        return getComputedStyle(element).color === bad ? 'alarming' : 'calm';
      });
    expect(await colourOf('drops the target')).toBe('calm');
    expect(await colourOf('no address')).toBe('alarming');
  });

  test('pools fold, by keyboard too, and the URL carries it', async ({ page, request }) => {
    await waitForData(request, 'up{job="exporter"}');
    await page.goto('/discovery');
    const found = page.getByRole('list', { name: 'Discovered' });
    const fold = found.getByRole('button', { name: 'Pool exporter' });
    await expect(fold).toHaveAttribute('aria-expanded', 'true');
    await fold.focus();
    await page.keyboard.press('Enter');
    await expect(fold).toHaveAttribute('aria-expanded', 'false');
    await expect(fold).toBeFocused();
    await expect(page).toHaveURL(/but=exporter/);
    await expect(found).not.toContainText('left-out:1');
    await page.getByRole('button', { name: 'Fold all' }).click();
    await expect(page).toHaveURL(/fold=all/);
    await expect(found.locator('.found-row')).toHaveCount(0);
    await page.reload();
    await fold.click();
    await expect(found.locator('.found-row')).toHaveCount(3);
  });

  test('a discovery that fails is told at its pool', async ({ page }) => {
    await page.route('**/api/v1/targets', (route) =>
      route.fulfill({
        json: {
          status: 'success',
          data: { activeTargets: [], droppedTargets: [], droppedTargetCounts: { shop: 0 } },
          warnings: ['shop: consul: connection refused'],
        },
      }),
    );
    for (const path of ['/targets', '/discovery']) {
      await page.goto(path);
      await expect(page.getByRole('note')).toHaveText('Discovery: consul: connection refused');
      await expect(page.getByText('Nothing was found, for discovery fails.')).toBeVisible();
    }
  });

  test('a server without pools says how to make one', async ({ page }) => {
    await page.route('**/api/v1/targets', (route) =>
      route.fulfill({
        json: { status: 'success', data: { activeTargets: [], droppedTargets: [], droppedTargetCounts: {} } },
      }),
    );
    for (const path of ['/targets', '/discovery']) {
      await page.goto(path);
      await expect(page.getByText('scrape_configs:')).toBeVisible();
    }
  });

  test('a dropped target leads to its rules', async ({ page, request }) => {
    await waitForData(request, 'up{job="exporter"}');
    await page.goto('/targets?state=dropped');
    await expect(page.getByText('rule 1: drop if __address__ matches left-out:1')).toBeVisible();
    await page.getByRole('button', { name: 'What relabelling did to left-out:1' }).click();
    const rules = page.getByRole('list', { name: 'Relabelling rules' });
    await expect(rules).toContainText('drops the target');
  });

  test('a series limit is told where it bites', async ({ page }) => {
    const target = {
      discoveredLabels: { __address__: 'a:1' },
      labels: { job: 'big', instance: 'a:1' },
      scrapePool: 'big',
      scrapeUrl: 'http://a:1/metrics',
      lastError: '',
      lastScrape: new Date().toISOString(),
      lastScrapeDuration: 0.01,
      health: 'up',
      scrapeInterval: '15s',
      scrapeTimeout: '10s',
      seriesLimitExcess: 1234,
    };
    await page.route('**/api/v1/targets', (route) =>
      route.fulfill({ json: { status: 'success', data: { activeTargets: [target], droppedTargets: [] } } }),
    );
    await page.goto('/targets');
    await expect(page.getByText(/1,234 new series were left out/)).toBeVisible();
  });

  test('discovery fits a phone', async ({ page, request }) => {
    await waitForData(request, 'up{job="exporter"}');
    await page.setViewportSize({ width: 390, height: 844 });
    await page.goto('/discovery');
    await page.getByRole('button', { name: 'What relabelling did to left-out:1' }).click();
    await expect(page.getByText('drops the target')).toBeVisible();
    await expectNoSideScroll(page);
  });
});

test.describe('Status', () => {
  test('shows version, storage, flags and the configuration with its lines', async ({ page, request }) => {
    const build = await api<{ kymoVersion: string }>(request, '/status/buildinfo');
    const { yaml } = await api<{ yaml: string }>(request, '/status/config');
    await page.goto('/status');
    await expect(page.locator('#server')).toContainText(build.kymoVersion);
    await expect(page.locator('#server')).toContainText(/Started.*ago|just now/);
    await expect(page.locator('#storage')).toContainText(/Series in the head\s*[\d,]+/);
    await expect(page.locator('#cardinality')).toContainText('Series by metric');
    if (yaml.trim() !== '') {
      const config = page.getByRole('region', { name: 'Configuration' });
      await config.scrollIntoViewIfNeeded();
      await expect(config.locator('.line-number').first()).toHaveText('1');
      await expect(config).toContainText((yaml.split('\n')[0] ?? '').trim());
    }
    await expect(page.locator('#flags').getByRole('textbox')).toBeVisible();
  });

  test('ends a query that runs', async ({ page, request }) => {
    await waitForData(request, 'node_load1');
    // Much work, of which nothing is known beforehand.
    const query = 'sum_over_time(count(deriv(({job="node"} @ end())[20m:1s]))[4h:1s])';
    const running = request.get('/api/v1/query', { params: { query }, timeout: 180_000 });
    await expect
      .poll(async () =>
        (await api<{ query: string }[]>(request, '/status/active_queries')).map((one) => one.query),
      )
      .toContain(query);
    await page.goto('/status');
    const row = page.getByRole('row').filter({ hasText: query });
    await row.getByRole('button', { name: /^End query \d+$/ }).click();
    const answer = await running;
    expect(answer.ok()).toBe(false);
    await expect(row).toHaveCount(0);
  });

  test('shows memory by consumer where the server tells', async ({ page, request }) => {
    const kymo = await request.get('/api/v1/status/kymo');
    await page.goto('/status');
    await expect(page.locator('#server')).toContainText('Processors');
    if (kymo.ok()) await expect(page.getByRole('table', { name: 'Memory by consumer' })).toContainText(/iB/);
    else await expect(page.locator('#memory')).toHaveCount(0);
  });

  test('fits a phone', async ({ page }) => {
    await page.setViewportSize({ width: 390, height: 844 });
    await page.goto('/status');
    await expect(page.locator('#cardinality ol').first()).toBeVisible();
    await expectNoSideScroll(page);
  });
});

test.describe('while the server starts', () => {
  test('its progress shows', async ({ page }) => {
    await page.route('**/-/ready', (route) => route.fulfill({ status: 503, body: 'Service Unavailable' }));
    await page.route('**/api/v1/status/walreplay', (route) =>
      route.fulfill({ json: { status: 'success', data: { min: 1, max: 40, current: 17 } } }),
    );
    await page.goto('/status');
    await expect(page.getByText('17 of 40 MiB')).toBeVisible();
    await page.unroute('**/-/ready');
    await expect(page.getByText('17 of 40 MiB')).toHaveCount(0);
  });
});

test.describe('shell', () => {
  test('the theme is chosen, kept, and there from the first paint', async ({ page }) => {
    await page.emulateMedia({ colorScheme: 'light' });
    await page.goto('/status');
    const root = page.locator('html');
    await expect(root).toHaveAttribute('data-mantine-color-scheme', 'light');
    await page.getByRole('button', { name: /^Theme:/ }).click();
    await page.getByRole('button', { name: /^Theme:/ }).click();
    await expect(root).toHaveAttribute('data-mantine-color-scheme', 'dark');
    await page.route('**/assets/index-*.js', () => {
      // The application never comes: what is there was there before it.
    });
    await page.goto('/targets', { waitUntil: 'commit' });
    await expect(root).toHaveAttribute('data-mantine-color-scheme', 'dark');
    await page.unroute('**/assets/index-*.js');
    await page.goto('/targets');
    await expect(page.getByRole('button', { name: 'Theme: dark. Change to as the system' })).toBeVisible();
    await page.getByRole('button', { name: /^Theme:/ }).click();
    await expect(root).toHaveAttribute('data-mantine-color-scheme', 'light');
    await page.emulateMedia({ colorScheme: 'dark' });
    await expect(root).toHaveAttribute('data-mantine-color-scheme', 'dark');
  });

  test('text has contrast in both themes', async ({ page }) => {
    test.slow();
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const path of ['/status', '/targets', '/discovery', '/overview', '/explore?q=up']) {
        await page.goto(path);
        await expect(page.locator('.panel').first()).toBeVisible();
        await expect(page.locator('[aria-busy=true], .mantine-Skeleton-root')).toHaveCount(0);
        expect(await poorContrast(page), `${path} ${colorScheme}`).toEqual([]);
      }
    }
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    test(`nothing is out of reach for those who cannot see it (${colorScheme})`, async ({
      page,
      request,
    }) => {
      test.slow();
      await waitForData(request, 'up{job="exporter"}');
      await page.emulateMedia({ colorScheme });
      for (const path of ['/status', '/targets', '/discovery', '/push', '/overview']) {
        await page.goto(path);
        await expect(page.locator('.panel').first()).toBeVisible();
        await expect(page.locator('[aria-busy=true], .mantine-Skeleton-root')).toHaveCount(0);
        const details = page.locator('.list-row .row-open').first();
        if ((await details.count()) > 0) await details.click();
        await expect(page.locator('.mantine-Skeleton-root')).toHaveCount(0);
        expect(await axeFaults(page), `${path} ${colorScheme}`).toEqual([]);
      }
    });
  }

  test('keys lead to pages, to search and to the list of keys', async ({ page }) => {
    await page.goto('/status');
    await expect(page.getByRole('heading', { name: 'Status' })).toBeVisible();
    await page.keyboard.press('g');
    await page.keyboard.press('t');
    await expect(page).toHaveURL(/\/targets/);
    await page.keyboard.press('?');
    await expect(page.getByRole('dialog', { name: 'Keys' })).toContainText('Search metrics and pages');
    await page.keyboard.press('Escape');
    await expect(page.getByRole('dialog')).toHaveCount(0);
    await page.keyboard.press('g');
    await page.keyboard.press('o');
    await expect(page).toHaveURL(/\/overview/);
    await page.keyboard.press('[');
    await expect(page).toHaveURL(/from=.*to=/);
    await page.keyboard.press(']');
    await expect(page.getByTestId('time-range')).toContainText('Last 1h');
    await page.keyboard.press('z');
    await expect(page.getByTestId('time-range')).toContainText('Last 2h');
  });

  test('search jumps to a metric', async ({ page, request }) => {
    await waitForData(request, 'node_load5');
    await page.goto('/targets');
    await expect(page.getByRole('list', { name: 'Targets' })).toBeVisible();
    for (const key of ['/', 'Control+k']) {
      await page.keyboard.press(key);
      await expect(page.getByRole('combobox', { name: 'Search metrics and pages' })).toBeFocused();
      await page.keyboard.press('Escape');
      await expect(page.getByRole('dialog')).toHaveCount(0);
    }
    await page.keyboard.press('/');
    await page.keyboard.type('node load5');
    await expect(page.getByRole('option', { name: /^node_load5/ })).toHaveAttribute('aria-selected', 'true');
    await page.keyboard.press('Enter');
    await expect(page).toHaveURL(/\/explore\?q=node_load5/);
    await expect(editor(page)).toHaveText('node_load5');
  });

  test('typing in a field triggers no keys', async ({ page }) => {
    await page.goto('/targets');
    const field = page.getByRole('textbox', { name: 'Filter targets' });
    await field.click();
    await page.keyboard.type('/?gs[]');
    await expect(field).toHaveValue('/?gs[]');
    await expect(page).toHaveURL(/\/targets/);
    await expect(page.getByRole('dialog')).toHaveCount(0);
  });

  test('a time range is chosen, relative and absolute, and goes along to other pages', async ({ page }) => {
    await page.goto('/overview');
    await page.getByTestId('time-range').click();
    await page.getByRole('button', { name: '6h', exact: true }).click();
    await expect(page).toHaveURL(/range=6h/);
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Explore' }).click();
    await expect(page).toHaveURL(/\/explore\?range=6h/);
    await page.getByTestId('time-range').click();
    await page.getByLabel('From').fill('2026-01-01T00:00:00');
    await page.getByLabel('To', { exact: true }).fill('2026-01-01T02:00:00');
    await page.getByRole('button', { name: 'Show this time' }).click();
    await expect(page.getByTestId('time-range')).toContainText('2026-01-01 00:00:00 – 02:00:00');
    await page.goBack();
    await expect(page.getByTestId('time-range')).toContainText('Last 6h');
  });

  test('the rail folds and stays folded', async ({ page }) => {
    await page.goto('/status');
    const rail = page.getByRole('navigation', { name: 'Pages' });
    await page.getByRole('button', { name: 'Narrow the rail' }).click();
    expect((await rail.boundingBox())?.width).toBeLessThan(80);
    await page.reload();
    await expect(page.getByRole('button', { name: 'Widen the rail' })).toBeVisible();
    expect((await rail.boundingBox())?.width).toBeLessThan(80);
  });

  test('an address that is no page says so', async ({ page }) => {
    await page.goto('/no/such/page');
    await expect(page.getByText('There is no page at')).toBeVisible();
    await page.getByRole('link', { name: 'To the overview' }).click();
    await expect(page).toHaveURL(/\/overview/);
  });

  test('Tab reaches everything in order, the skip link first', async ({ page }) => {
    await page.goto('/status');
    await expect(page.locator('#server dd').first()).toBeVisible();
    await page.keyboard.press('Tab');
    await expect(page.getByRole('link', { name: 'Skip to the page' })).toBeFocused();
    await page.keyboard.press('Enter');
    await expect(page.locator('#page')).toBeFocused();
    await page.keyboard.press('Tab');
    await expect(page.getByRole('link', { name: 'Server' })).toBeFocused();
  });
});

// Alerts from their firing to their silence: silenced, looked at, told why they are quiet, and routed.
import type { APIRequestContext, Page } from '@playwright/test';

import { api, axeFaults, expect, expectNoSideScroll, poorContrast, test, waitForData } from './support';

interface Silence {
  id: string;
  status: { state: string };
}

async function silences(request: APIRequestContext): Promise<Silence[]> {
  return (await (await request.get('/api/v2/silences')).json()) as Silence[];
}

/** Alerts as the notifier knows them. */
async function fingerprintOf(request: APIRequestContext, alertname: string): Promise<string> {
  let found = '';
  await expect
    .poll(async () => {
      const alerts = (await (await request.get(`/api/v2/alerts?filter=alertname="${alertname}"`)).json()) as {
        fingerprint: string;
      }[];
      found = alerts[0]?.fingerprint ?? '';
      return found;
    })
    .not.toBe('');
  return found;
}

test.beforeEach(async ({ request }) => {
  await waitForData(request, 'ALERTS{alertname="TargetDown",alertstate="firing"}');
  await fingerprintOf(request, 'TargetDown');
});

// What is silenced here would be missed by the other specifications.
test.afterEach(async ({ request }) => {
  for (const { id, status } of await silences(request))
    if (status.state !== 'expired') await request.delete(`/api/v2/silence/${id}`);
});

const alertRow = (page: Page) =>
  page.getByRole('list', { name: 'Alerts' }).getByRole('listitem').filter({ hasText: 'of broken is down' });
const silenceRows = (page: Page) => page.locator('.silence-line').filter({ hasText: 'TargetD' });
const silence = (page: Page) => page.locator('.row-list-item').filter({ has: silenceRows(page) });

test.describe('Silences', () => {
  test('are made in two clicks beside an alert, looked at, and ended', async ({ page, request }) => {
    await page.goto('/alerts');
    await alertRow(page)
      .getByRole('button', { name: /^Silence / })
      .click();
    await page.getByRole('button', { name: '2 h', exact: true }).click();
    await expect(page.getByText(/^Quiet until /)).toBeVisible();
    await page.getByRole('link', { name: 'Look at the silence' }).click();
    await expect(page).toHaveURL(/\/silences\?find=/);
    const row = silence(page);
    await expect(row).toContainText('active');
    await expect(row).toContainText('alertname="TargetDown"');
    await expect(row).toContainText('They hold for 1 alert that fires now.');
    await page.goto('/alerts?state=silenced');
    await expect(alertRow(page)).toContainText('silenced');
    await alertRow(page)
      .getByRole('button', { name: /^Details of/ })
      .click();
    await page.getByRole('link', { name: /^silence / }).click();
    await silence(page).getByRole('button', { name: 'End it now' }).click();
    await page.getByRole('button', { name: 'End the silence' }).click();
    await expect(silenceRows(page)).toContainText('expired');
    expect((await silences(request)).filter(({ status }) => status.state === 'active')).toEqual([]);
    await page.goto('/alerts?state=firing');
    await expect(alertRow(page)).toContainText('firing');
  });

  test('of a group are undone where they were made', async ({ page, request }) => {
    await page.goto('/alerts');
    await page.getByRole('button', { name: 'Silence all of TargetDown' }).click();
    await expect(page.getByText('They hold for 1 alert that fires now.')).toBeVisible();
    await page.getByRole('textbox', { name: 'Your name' }).fill('ann');
    await page.getByRole('button', { name: '30 m' }).click();
    await page.getByRole('button', { name: 'Undo' }).click();
    await expect(page.getByText('The silence is ended again.')).toBeVisible();
    expect((await silences(request)).every(({ status }) => status.state === 'expired')).toBe(true);
  });

  test('are made by hand, with a look at what they hold for, and changed', async ({ page }) => {
    await page.goto('/silences/new?match=team%3D"infra"&comment=disks');
    const preview = page.getByRole('list', { name: 'Alerts for which they hold' });
    await expect(preview.getByRole('link', { name: 'TargetDown' })).toBeVisible();
    await page.getByRole('button', { name: 'Another condition' }).click();
    await page.getByRole('combobox', { name: 'Label 2' }).fill('alertname');
    await page.getByRole('combobox', { name: 'Comparison 2' }).selectOption('=~');
    await page.getByRole('combobox', { name: 'Value 2' }).fill('Target(');
    await expect(page.getByRole('alert')).toBeVisible();
    await page.getByRole('combobox', { name: 'Value 2' }).fill('TargetD.*');
    await expect(preview.getByRole('link', { name: 'TargetDown' })).toBeVisible();
    await page.getByRole('textbox', { name: 'How long' }).fill('long');
    await page.getByRole('button', { name: 'Silence', exact: true }).click();
    await expect(page.getByText('Say how long')).toBeVisible();
    await page.getByRole('textbox', { name: 'How long' }).fill('1h30m');
    await page.getByRole('textbox', { name: 'Your name' }).fill('ann');
    await page.getByRole('button', { name: 'Silence', exact: true }).click();
    const row = silence(page);
    await expect(row).toContainText('ann: disks');
    await expect(row).toContainText('1h 30m');
    await row.getByRole('link', { name: 'Change' }).click();
    await expect(page.getByRole('textbox', { name: 'Your name' })).toHaveValue('ann');
    await page.getByRole('textbox', { name: 'Why' }).fill('more disks');
    await page.getByRole('button', { name: 'Change it' }).click();
    await expect(silenceRows(page)).toContainText('ann: more disks');
    await page.getByRole('textbox', { name: 'Filter silences' }).fill('team=infra more');
    await expect(page).toHaveURL(/find=team/);
    await expect(silenceRows(page)).toHaveCount(1);
  });

  test('that do not exist are said to be none', async ({ page }) => {
    await page.goto('/silences/00000000-0000-0000-0000-000000000000/edit');
    await expect(page.getByText('There is no such silence')).toBeVisible();
    await page.route('**/api/v2/silences', (route) => route.fulfill({ json: [] }));
    await page.goto('/silences');
    await expect(page.getByText('Nothing is silenced')).toBeVisible();
    await expect(page.getByRole('link', { name: 'New silence' })).toBeVisible();
  });
});

test.describe('An alert', () => {
  test('has a page with its graph, threshold and links', async ({ page }) => {
    await page.goto('/alerts');
    await alertRow(page)
      .getByRole('link', { name: /is down$/ })
      .click();
    await expect(page).toHaveURL(/\/alerts\/[0-9a-f]{16}/);
    await expect(page.getByRole('heading', { name: 'TargetDown' })).toBeVisible();
    await expect(page.getByText('fires at 0')).toBeVisible();
    await expect(page.getByRole('link', { name: 'Runbook', exact: true })).toHaveAttribute(
      'href',
      /runbooks\.invalid/,
    );
    await page.goto(`${page.url()}?range=5m`);
    const graph = page.getByRole('application', { name: /^Graph: up/ });
    await expect(graph.locator('canvas')).toBeVisible();
    await expect(async () => {
      await graph.focus();
      await page.keyboard.press('ArrowLeft');
      await expect(page.locator('.plot-tip')).toContainText('threshold 0', { timeout: 2_000 });
    }).toPass();
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Alerts' }).click();
    await expect(page).toHaveURL(/\/alerts(\?|$)/);
    await page.goto('/alerts/0123456789abcdef');
    await expect(page.getByText('Nothing is known of this alert')).toBeVisible();
  });

  test('tells its silence in its timeline, and why nobody was told', async ({ page }) => {
    await page.goto('/alerts');
    await alertRow(page)
      .getByRole('link', { name: /is down$/ })
      .click();
    const happened = page.locator('.timeline');
    await expect(happened).toContainText('It fires:');
    await page.getByRole('button', { name: /^Silence / }).click();
    await page.getByRole('textbox', { name: 'Why' }).fill('new disks');
    await page.getByRole('textbox', { name: 'Your name' }).fill('ann');
    await page.getByRole('button', { name: '2 h', exact: true }).click();
    await expect(page.getByText(/^Quiet until /)).toBeVisible();
    await page.keyboard.press('Escape');
    await expect(happened).toContainText(/silence \S+ of ann \(new disks\)/);
    await page.getByRole('button', { name: 'Why?' }).click();
    await expect(page.locator('.why-answer')).not.toBeEmpty();
    await page.getByRole('textbox', { name: 'Alerts with these labels' }).fill('alertname=NoSuchAlert');
    await page.getByRole('button', { name: 'Why?' }).click();
    await expect(page.locator('.why-answer')).toContainText(/rule/i);
  });
});

test('An alert is acknowledged in two clicks, and given back', async ({ page }) => {
  await page.goto('/alerts');
  await alertRow(page)
    .getByRole('button', { name: /^Acknowledge / })
    .click();
  await page.getByRole('textbox', { name: 'Your name' }).fill('ann');
  await page.getByRole('button', { name: '2 h', exact: true }).click();
  await expect(page.getByText('ann takes care of it for 2 h')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(alertRow(page)).toContainText('ann takes care of it');
  await alertRow(page)
    .getByRole('link', { name: /is down$/ })
    .click();
  await expect(page.locator('.timeline')).toContainText('ann');
  await page.getByRole('button', { name: 'No longer' }).click();
  await expect(page.getByRole('button', { name: 'No longer' })).toHaveCount(0);
});

test.describe('Routing', () => {
  test('shows the tree, and the way of an alert through it', async ({ page }) => {
    await page.goto('/routing');
    const tree = page.getByRole('list', { name: 'Routing tree' });
    await expect(tree.getByText('team="infra"')).toBeVisible();
    await expect(tree).toContainText('each alert by itself');
    await expect(tree).toContainText('mute in never');
    await page.getByRole('textbox', { name: 'Labels of the alert' }).fill('team=infra severity="page"');
    await page.getByRole('button', { name: 'Show its way' }).click();
    await expect(page).toHaveURL(/labels=/);
    await expect(page.getByText('It goes to pager.')).toBeVisible();
    await expect(tree.locator('[aria-current="true"]')).toContainText('severity=~"critical|page"');
    await page.reload();
    await expect(tree.getByText('it ends here')).toHaveCount(1);
    await page.getByRole('textbox', { name: 'Labels of the alert' }).fill('team=~infra');
    await page.getByRole('button', { name: 'Show its way' }).click();
    await expect(page.getByRole('alert')).toContainText('write name=value');
    await page.getByRole('button', { name: 'No alert' }).click();
    await expect(tree.getByText('it ends here')).toHaveCount(0);
    await expect(page.getByRole('list', { name: 'Receivers' })).toContainText('tells nobody');
  });

  test('says what did not reach its receiver', async ({ page, request }) => {
    expect(await api<unknown[]>(request, '/notifications/failed')).toEqual([]);
    const failure = {
      time: new Date().toISOString(),
      receiver: 'pager',
      integration: 'webhook',
      groupKey: '{}',
      alerts: 2,
      attempts: 5,
      error: 'connection refused',
    };
    await page.route('**/api/v1/notifications/failed', (route) =>
      route.fulfill({ json: { status: 'success', data: [failure] } }),
    );
    await page.goto('/routing');
    await expect(page.getByRole('list', { name: 'Receivers' })).toContainText('1 not delivered');
    const given = page.getByRole('list', { name: 'Notifications that were given up' });
    await expect(given).toContainText('pager by webhook, of 2 alerts, tried 5 times: connection refused');
  });
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`alerting is for everybody, on a phone too (${colorScheme})`, async ({ page, request }) => {
    test.slow();
    const matchers = [{ name: 'team', value: 'nobody', isRegex: false, isEqual: true }];
    const startsAt = new Date().toISOString();
    const endsAt = new Date(Date.now() + 3_600_000).toISOString();
    const made = await request.post('/api/v2/silences', {
      data: { matchers, startsAt, endsAt, createdBy: 'ann', comment: 'disks' },
    });
    expect(made.ok()).toBe(true);
    const alert = await fingerprintOf(request, 'TargetDown');
    await page.emulateMedia({ colorScheme });
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 844 });
      for (const path of [
        '/silences?find=ann',
        '/silences/new?match=team%3Dinfra',
        `/alerts/${alert}`,
        '/routing?labels=team%3Dinfra',
      ]) {
        await page.goto(path);
        await expect(page.locator('.panel').first()).toBeVisible();
        await page.waitForLoadState('networkidle');
        expect(await axeFaults(page), `${path} ${width}`).toEqual([]);
        expect(await poorContrast(page), `${path} ${width}`).toEqual([]);
        await expectNoSideScroll(page);
      }
    }
    await page.goto('/alerts');
    await page.getByRole('button', { name: 'Silence all of TargetDown' }).click();
    await expect(page.getByRole('button', { name: '2 h', exact: true })).toBeVisible();
    expect(await axeFaults(page), 'the popover').toEqual([]);
    await page.keyboard.press('Escape');
    await expect(page.getByRole('button', { name: 'Silence all of TargetDown' })).toBeFocused();
  });
}

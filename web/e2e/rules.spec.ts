// Rules and alerts of the running server: what works, what fires, what is asked.
import type { Page } from '@playwright/test';

import { axeFaults, expect, expectNoSideScroll, test, waitForData } from './support';

const rules = (page: Page) => page.getByRole('list', { name: 'Rules' });
const alerts = (page: Page) => page.getByRole('list', { name: 'Alerts' });

test.beforeEach(async ({ request }) => {
  await waitForData(request, 'ALERTS{alertname="TargetDown",alertstate="firing"}');
  await waitForData(request, 'ALERTS{alertname="SlowToFire",alertstate="pending"}');
  await waitForData(request, 'job:up:sum');
});

test.describe('Rules', () => {
  test('stand in their groups with state, cost and what is wrong', async ({ page }) => {
    await page.goto('/rules');
    await expect(rules(page).getByRole('heading', { name: 'e2e', exact: true })).toBeVisible();
    const row = (name: string) => rules(page).getByRole('listitem').filter({ has: page.getByRole('link', { name, exact: true }) }); // prettier-ignore
    await expect(row('TargetDown')).toContainText('firing');
    await expect(row('TargetDown')).toContainText('1 alert');
    await expect(row('TargetDown')).toContainText('severity=critical');
    await expect(row('TargetDown')).toContainText(/\d (µs|ms|s)/);
    await expect(row('SlowToFire')).toContainText('pending');
    await expect(row('NeverFires')).toContainText('inactive');
    await expect(row('job:up:sum')).toContainText('recording');
    await expect(row('torn:many')).toContainText('failing');
    await expect(row('torn:many').getByRole('note')).not.toBeEmpty();
    await row('TargetDown').getByRole('link', { name: 'TargetDown', exact: true }).click();
    await expect(page).toHaveURL(/\/explore\?q=up/);
  });

  test('are filtered by state and text, ordered and folded, and the URL carries it', async ({ page }) => {
    await page.goto('/rules');
    await page.getByText(/^Failing 1$/).click();
    await expect(page).toHaveURL(/state=failing/);
    await expect(page.getByRole('button', { name: /^Details of/ })).toHaveCount(1);
    await page.goto('/rules');
    await page.getByRole('textbox', { name: 'Filter rules' }).fill('severity=warning');
    await expect(page.getByRole('button', { name: /^Details of/ })).toHaveCount(2);
    await page.getByRole('combobox', { name: 'Order' }).selectOption('cost');
    await expect(page).toHaveURL(/order=cost/);
    await expect(rules(page).getByRole('heading')).toHaveCount(0);
    await page.reload();
    await expect(page.getByRole('textbox', { name: 'Filter rules' })).toHaveValue('severity=warning');
    await page.getByRole('textbox', { name: 'Filter rules' }).fill('no such rule');
    await page.getByRole('button', { name: 'Show all' }).click();
    await expect(page.getByRole('button', { name: /^Details of/ })).toHaveCount(5);
    await page.goto('/rules?fold=all');
    await expect(rules(page).getByRole('heading')).toHaveCount(2);
    await expect(page.getByRole('button', { name: /^Details of/ })).toHaveCount(0);
  });

  test('lead to their alerts, and alerts to their rule', async ({ page }) => {
    await page.goto('/rules');
    await page.getByRole('button', { name: 'Details of TargetDown' }).click();
    await expect(page.getByRole('link', { name: 'https://runbooks.invalid/target-down' })).toBeVisible();
    await page.getByRole('link', { name: 'On the page Alerts' }).click();
    await expect(page).toHaveURL(/\/alerts\?find=/);
    // The address changes before the page does, and both have such a button.
    await expect(page.getByRole('list', { name: 'Alerts', exact: true })).toBeVisible();
    await page.getByRole('button', { name: /^Details of TargetDown/ }).click();
    await page.getByRole('link', { name: 'e2e', exact: true }).click();
    await expect(page).toHaveURL(/\/rules\?find=TargetDown/);
    await expect(page.getByRole('button', { name: /^Details of/ })).toHaveCount(1);
  });

  test('a group that is slower than its interval says so', async ({ page }) => {
    const lastEvaluation = new Date().toISOString();
    const rule = {
      type: 'recording',
      name: 'slow',
      query: '1',
      health: 'ok',
      evaluationTime: 12,
      lastEvaluation,
    };
    const group = {
      name: 'slow',
      file: 'a.yml',
      rules: [rule],
      interval: 10,
      limit: 0,
      evaluationTime: 12,
      lastEvaluation,
    };
    await page.route('**/api/v1/rules', (route) =>
      route.fulfill({ json: { status: 'success', data: { groups: [group] } } }),
    );
    await page.goto('/rules');
    await expect(page.getByRole('note')).toContainText('takes 120 % of its interval: evaluations are missed');
  });

  test('without any, the page says how to make one', async ({ page }) => {
    await page.route('**/api/v1/rules', (route) =>
      route.fulfill({ json: { status: 'success', data: { groups: [] } } }),
    );
    await page.goto('/rules');
    await expect(page.getByText('rule_files:')).toBeVisible();
  });
});

test.describe('A rule', () => {
  test('is tried: its graph, whom it holds for, and what it would have done', async ({ page }) => {
    await page.goto('/rules');
    await page.getByRole('button', { name: 'Details of TargetDown' }).click();
    await page.getByRole('link', { name: 'Try a change' }).click();
    await expect(page).toHaveURL(/\/rules\/try\?name=TargetDown/);
    await expect(page.getByRole('application', { name: /^Graph: up/ })).toBeVisible();
    await expect(page.getByRole('list', { name: 'Series for which it holds' })).toContainText('job=broken');
    await expect(page.getByText('Compared with the rule of this name in force.')).toBeVisible();
    await page.getByRole('textbox', { name: 'Must hold for' }).fill('soon');
    await expect(page.getByText('How long it must hold is no duration')).toBeVisible();
    await expect(page.getByRole('button', { name: 'Backtest' })).toBeDisabled();
    await page.getByRole('textbox', { name: 'Must hold for' }).fill('1s');
    await expect(page).toHaveURL(/for=1s/);
    await expect(page.locator('pre.teach')).toContainText('for: 1s');
    await page.getByText('Last 1d', { exact: true }).click();
    await page.getByRole('button', { name: 'Backtest' }).click();
    await expect(page.locator('.try-report')).toContainText('It would have fired 1 time');
    await expect(page.locator('.try-report')).toContainText('Against the rule in force');
    await expect(page.getByRole('list', { name: 'Alerts that it would have raised' })).toContainText(
      'goes on',
    );
  });

  test('that is wrong is said to be', async ({ page }) => {
    await page.goto('/rules/try');
    await expect(page.getByText('Nothing is stored, and nobody is told.')).toBeVisible();
    await page.getByRole('textbox', { name: 'Query of the rule, PromQL' }).fill('sum by (');
    await expect(page.getByRole('alert').first()).toContainText('parse error');
  });
});

test.describe('Alerts', () => {
  test('stand in groups with summary, value and since when', async ({ page }) => {
    await page.goto('/alerts');
    await expect(alerts(page).getByRole('heading', { name: 'TargetDown' })).toBeVisible();
    const row = alerts(page).getByRole('listitem').filter({ hasText: '127.0.0.1:1 of broken is down' });
    await expect(row).toContainText('firing');
    await expect(row).toContainText('critical');
    await expect(row.locator('time')).toHaveAttribute('title', /UTC$/);
    await row.getByRole('button', { name: /^Details of TargetDown/ }).click();
    await expect(row).toContainText('alertname="TargetDown"');
    await expect(row).toContainText('up{job="broken"} == 0');
  });

  test('are filtered by state and label, grouped by any label, and the URL carries it', async ({ page }) => {
    await page.goto('/alerts');
    await page.getByText(/^Pending 1$/).click();
    await expect(page).toHaveURL(/state=pending/);
    await expect(alerts(page).getByRole('heading')).toHaveText(['SlowToFire']);
    await page.goto('/alerts');
    await page.getByRole('textbox', { name: 'Filter alerts' }).fill('severity=critical');
    await expect(alerts(page).getByRole('heading')).toHaveText(['TargetDown']);
    await page.getByRole('textbox', { name: 'Filter alerts' }).fill('');
    await page.getByRole('combobox', { name: 'Group by' }).selectOption('severity');
    await expect(page).toHaveURL(/by=severity/);
    await page.reload();
    await expect(alerts(page).getByRole('heading')).toHaveText(['severity=critical', 'severity=warning']);
  });

  test('two thousand at once scroll like ten', async ({ page }) => {
    const activeAt = new Date().toISOString();
    const many = Array.from({ length: 2_000 }, (_, i) => ({
      labels: { alertname: `A${i % 20}`, instance: `host-${i}` },
      annotations: { summary: `host-${i} is down` },
      state: 'firing',
      activeAt,
      value: '1e+00',
    }));
    const rule = {
      type: 'alerting',
      name: 'A',
      query: 'up == 0',
      state: 'firing',
      alerts: many,
      health: 'ok',
      evaluationTime: 0.1,
      lastEvaluation: activeAt,
    };
    const group = {
      name: 'many',
      file: 'a.yml',
      rules: [rule],
      interval: 15,
      limit: 0,
      evaluationTime: 0.1,
      lastEvaluation: activeAt,
    };
    await page.route('**/api/v1/rules', (route) =>
      route.fulfill({ json: { status: 'success', data: { groups: [group] } } }),
    );
    // What fires here beside them would be counted as soon as the notifier has answered.
    await page.route('**/api/v2/alerts', (route) => route.fulfill({ json: [] }));
    await page.goto('/alerts');
    await expect(page.getByText('Firing 2,000')).toBeVisible();
    expect(await alerts(page).getByRole('listitem').count()).toBeLessThan(100);
    await page.getByRole('textbox', { name: 'Filter alerts' }).fill('instance=host-1777');
    await expect(page.getByRole('button', { name: /^Details of/ })).toHaveCount(1);
  });
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`rules and alerts are for everybody, on a phone too (${colorScheme})`, async ({ page }) => {
    test.slow();
    await page.emulateMedia({ colorScheme });
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 844 });
      for (const path of ['/rules', '/alerts']) {
        await page.goto(path);
        await page.getByRole('button', { name: /^Details of TargetDown/ }).click();
        expect(await axeFaults(page), `${path} ${width}`).toEqual([]);
        await expectNoSideScroll(page);
      }
    }
  });
}

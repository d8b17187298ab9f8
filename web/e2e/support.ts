// What the specifications share: waiting for real data, and watching that a page stays clean.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { expect, test as base, type APIRequestContext, type Page } from '@playwright/test';

interface Watch {
  /** Requests that left the machine; faults and refusals of the page. Must be empty at the end. */
  faults: string[];
}

export const test = base.extend<Watch>({
  faults: [
    async ({ page, baseURL }, use) => {
      const faults: string[] = [];
      const home = new URL(baseURL ?? '').origin;
      page.on('pageerror', (error) => faults.push(`fault: ${error.message}`));
      page.on('request', (request) => {
        const url = new URL(request.url());
        if (url.protocol.startsWith('http') && url.origin !== home)
          faults.push(`left the machine: ${request.url()}`);
      });
      page.on('console', (message) => {
        // What the server refuses is shown by the page; what the policy refuses is a fault of the page.
        if (message.type() === 'error' && /content security policy|react|warning/i.test(message.text())) {
          faults.push(`console: ${message.text()}`);
        }
      });
      await use(faults);
      expect(faults).toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

interface Envelope<T> {
  data: T;
}

export async function api<T>(request: APIRequestContext, path: string): Promise<T> {
  const response = await request.get(`/api/v1${path}`);
  expect(response.ok(), `${path} answers ${response.status()}`).toBe(true);
  return ((await response.json()) as Envelope<T>).data;
}

/** Waits until a query answers something, for the server may have been started a moment ago. */
export async function waitForData(request: APIRequestContext, query: string): Promise<void> {
  await expect
    .poll(
      async () =>
        (await api<{ result: unknown[] }>(request, `/query?query=${encodeURIComponent(query)}`)).result
          .length,
      {
        timeout: 120_000,
      },
    )
    .toBeGreaterThan(0);
}

export function explore(queries: string | string[], more: Record<string, string> = {}): string {
  const params = new URLSearchParams(more);
  for (const query of [queries].flat()) params.append('q', query);
  return `/explore?${params.toString()}`;
}

/** The editor of a query; typing goes to it once it has the focus. */
export function editor(page: Page, letter = 'A') {
  return page.getByRole('textbox', { name: `Query ${letter}, PromQL` });
}

/** Whether a graph has been drawn: some pixel of its canvas is neither empty nor the grid. */
export async function drawnPixels(page: Page, selector = '.plot canvas'): Promise<number> {
  return page
    .locator(selector)
    .first()
    .evaluate((canvas: HTMLCanvasElement) => {
      const context = canvas.getContext('2d');
      if (!context || canvas.width === 0) return 0;
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      let coloured = 0;
      for (let i = 0; i < data.length; i += 4) {
        const [r = 0, g = 0, b = 0, a = 0] = [data[i], data[i + 1], data[i + 2], data[i + 3]];
        // Axes and grid are grey; lines are not.
        if (a > 60 && Math.max(r, g, b) - Math.min(r, g, b) > 40) coloured += 1;
      }
      return coloured;
    });
}

/** The page does not scroll sideways. */
export async function expectNoSideScroll(page: Page): Promise<void> {
  const overflow = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(overflow).toBeLessThanOrEqual(0);
}

/** Texts whose contrast with what is behind them is under WCAG AA's 4.5 : 1 (3 : 1 if large). */
export function poorContrast(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const canvas = document.createElement('canvas');
    canvas.width = 1;
    canvas.height = 1;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    if (!context) throw new Error('no canvas');
    const parse = (color: string): number[] => {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = color;
      context.fillRect(0, 0, 1, 1);
      return [...context.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (color: number[]) => {
      const [r = 0, g = 0, b = 0] = color.map((c) => {
        const s = c / 255;
        return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element: Element): number[] => {
      for (let at: Element | null = element; at; at = at.parentElement) {
        const color = parse(getComputedStyle(at).backgroundColor);
        if ((color[3] ?? 0) > 250) return color;
      }
      return [255, 255, 255, 255];
    };
    const poor: string[] = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const words = node.textContent?.trim() ?? '';
      const element = node.parentElement;
      if (words === '' || !element || !element.checkVisibility({ opacityProperty: true })) continue;
      if (element.closest('script, style, noscript, [disabled], .visually-hidden, .skip-link')) continue;
      const style = getComputedStyle(element);
      const [light = 0, dark = 0] = [luminance(parse(style.color)), luminance(behind(element))].sort(
        (a, b) => b - a,
      );
      const ratio = (light + 0.05) / (dark + 0.05);
      const size = parseFloat(style.fontSize);
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      if (ratio < (large ? 3 : 4.5)) poor.push(`${ratio.toFixed(2)} ${words.slice(0, 40)}`);
    }
    return [...new Set(poor)];
  });
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds that keeps people from using the page: one line a fault. */
export async function axeFaults(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: {
        run: (what: Document) => Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>;
      };
    };
    const { violations } = await axe.run(document);
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
  });
}

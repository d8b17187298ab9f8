import { describe, expect, it } from 'vitest';

import { curlExample, waysToPush } from './waysToPush';

describe('how to push', () => {
  const origin = 'https://kymo.lan:9090';

  it('names where this page came from', () => {
    expect(curlExample(origin)).toContain(`"${origin}/api/v1/import/json"`);
    for (const way of waysToPush(origin)) expect(way.text, way.name).toContain(origin);
  });

  it('by hand is sound JSON', () => {
    const body = /'(\{.*\})'/.exec(curlExample(origin))?.[1] ?? '';
    expect(JSON.parse(body)).toEqual({
      metric: 'room_temperature_celsius',
      labels: { room: 'kitchen' },
      value: 21.5,
    });
  });

  it('uses the paths that it says', () => {
    for (const way of waysToPush(origin)) {
      // Telegraf adds its path itself.
      if (way.path !== '/write') expect(way.text, way.name).toContain(`${origin}${way.path}`);
    }
  });
});

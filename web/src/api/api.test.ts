import { afterEach, describe, expect, it, vi } from 'vitest';

import { advice, ApiError, ask } from './client';
import { readKymoStatus } from './kymo';

function serverAnswers(status: number, body: string) {
  const fetched = vi.fn<typeof fetch>(() => Promise.resolve(new Response(body, { status })));
  vi.stubGlobal('fetch', fetched);
  return fetched;
}

afterEach(() => vi.unstubAllGlobals());

async function failure(promise: Promise<unknown>): Promise<ApiError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

describe('asking the server', () => {
  it('gives data and warnings', async () => {
    const fetched = serverAnswers(200, '{"status":"success","data":[1],"warnings":["w"]}');
    const answer = await ask<number[]>('/query', {
      query: 'up{a="b"}',
      limit: 3,
      'match[]': ['x', 'y'],
      none: undefined,
    });
    expect(answer.data).toEqual([1]);
    expect(answer.warnings).toEqual(['w']);
    expect(fetched.mock.calls[0]?.[0]).toBe(
      '/api/v1/query?query=up%7Ba%3D%22b%22%7D&limit=3&match%5B%5D=x&match%5B%5D=y',
    );
  });

  it('sends a long query as a form', async () => {
    const fetched = serverAnswers(200, '{"status":"success","data":null}');
    await ask('/query', { query: 'x'.repeat(5_000) });
    expect(fetched.mock.calls[0]?.[1]?.method).toBe('POST');
  });

  it.each([
    [
      400,
      '{"status":"error","errorType":"bad_data","error":"1:5: parse error"}',
      'bad_request',
      '1:5: parse error',
    ],
    [422, '{"status":"error","errorType":"execution","error":"too many"}', 'bad_request', 'too many'],
    [
      503,
      '{"status":"error","errorType":"timeout","error":"query timed out"}',
      'unavailable',
      'query timed out',
    ],
    [503, 'Service Unavailable', 'unavailable', 'Service Unavailable'],
    [404, '<html>', 'missing', 'The server answered 404 without a reason.'],
    [500, '{"status":"error","errorType":"internal","error":"bug"}', 'server', 'bug'],
    [200, 'not json', 'server', 'not json'],
  ] as const)('%d %s is %s', async (status, body, kind, message) => {
    serverAnswers(status, body);
    const error = await failure(ask('/query'));
    expect(error.kind).toBe(kind);
    expect(error.message).toBe(message);
    expect(advice(error)).not.toBe('');
  });

  it('says when nobody answers', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')));
    expect((await failure(ask('/query'))).kind).toBe('unreachable');
  });

  it('does not call a cancelled request an error', async () => {
    const stop = new AbortController();
    vi.stubGlobal('fetch', (_: string, init: RequestInit) => {
      stop.abort();
      return Promise.reject(init.signal?.reason as Error);
    });
    await expect(ask('/query', {}, stop.signal)).rejects.not.toBeInstanceOf(ApiError);
  });
});

it('reads Kymo’s status leniently', () => {
  const status = readKymoStatus({
    uptimeSeconds: 1.5,
    memory: [{ consumer: 'process', usedBytes: 1, peakBytes: 2, limitBytes: 3 }, { consumer: 'odd' }, null],
    storage: { headSeries: 5, blockMinTime: null },
  });
  expect(status.uptimeMs).toBe(1_500);
  expect(status.memory).toEqual([{ consumer: 'process', usedBytes: 1, peakBytes: 2, limitBytes: 3 }]);
  expect(status.storage).toEqual({ headSeries: 5 });
  expect(readKymoStatus('nonsense')).toEqual({ uptimeMs: null, memory: [], storage: {} });
});

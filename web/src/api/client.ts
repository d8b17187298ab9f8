// The one place that talks to the server. Every answer is data, or an ApiError that says what went wrong in the
// server's words.

/** What the reader can do about a failure. */
export type ApiErrorKind =
  /** The request is wrong: change it. */
  | 'bad_request'
  /** The server cannot yet or not now: wait, or ask for less. */
  | 'unavailable'
  /** Nobody answered. */
  | 'unreachable'
  /** The server does not know this address. */
  | 'missing'
  /** Anything else: the server's fault. */
  | 'server';

export class ApiError extends Error {
  constructor(
    readonly kind: ApiErrorKind,
    readonly status: number,
    readonly errorType: string,
    message: string,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

export interface Answer<T> {
  data: T;
  warnings: string[];
  infos: string[];
  /** From the request's first byte to the parsed answer. */
  tookMs: number;
  /** Size of the answer as text. */
  bytes: number;
}

export type Params = Record<string, string | number | string[] | undefined>;

export function toSearch(params: Params): URLSearchParams {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value === undefined) continue;
    if (Array.isArray(value)) for (const one of value) search.append(key, one);
    else search.set(key, String(value));
  }
  return search;
}

/** A URL longer than this goes as a form instead. */
const URL_LENGTH_MAX = 4_000;

/** Asks `/api/v1<path>`. Rejects with `ApiError`, or with the signal's reason if it was aborted. */
export async function ask<T>(path: string, params: Params = {}, signal?: AbortSignal): Promise<Answer<T>> {
  const search = toSearch(params).toString();
  const begun = performance.now();
  const init: RequestInit = { headers: { Accept: 'application/json' }, ...(signal ? { signal } : {}) };
  const asForm = search.length > URL_LENGTH_MAX;
  let response: Response;
  let body: string;
  try {
    response = asForm
      ? await fetch(`/api/v1${path}`, { ...init, method: 'POST', body: new URLSearchParams(search) })
      : await fetch(`/api/v1${path}${search === '' ? '' : `?${search}`}`, init);
    body = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable();
  }
  return { ...readAnswer<T>(response.status, body), tookMs: performance.now() - begun, bytes: body.length };
}

/** Sends `/api/v1<path>` JSON, or nothing. Rejects as `ask` does. */
export async function send<T>(
  method: 'POST' | 'DELETE',
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<T> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers: {
        Accept: 'application/json',
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable();
  }
  return readAnswer<T>(response.status, text).data;
}

export function unreachable(): ApiError {
  return new ApiError(
    'unreachable',
    0,
    'network',
    'The server does not answer. Is it running, and is the network up?',
  );
}

interface Envelope {
  status?: string;
  data?: unknown;
  error?: string;
  errorType?: string;
  warnings?: string[];
  infos?: string[];
}

/** Reads an answer's text. */
export function readAnswer<T>(status: number, body: string): Pick<Answer<T>, 'data' | 'warnings' | 'infos'> {
  let envelope: Envelope;
  try {
    const read: unknown = JSON.parse(body);
    // What the notifier refuses is a text.
    envelope = typeof read === 'string' ? { error: read } : ((read as Envelope | null) ?? {});
  } catch {
    const kind = kindOf(status, '');
    const words = body.trim().slice(0, 300);
    throw new ApiError(
      status < 400 ? 'server' : kind,
      status,
      '',
      words === '' || words.startsWith('<') ? `The server answered ${status} without a reason.` : words,
    );
  }
  if (envelope.status !== 'success') {
    const errorType = envelope.errorType ?? '';
    throw new ApiError(
      kindOf(status, errorType),
      status,
      errorType,
      envelope.error ?? `The server answered ${status}.`,
    );
  }
  return { data: envelope.data as T, warnings: envelope.warnings ?? [], infos: envelope.infos ?? [] };
}

export function kindOf(status: number, errorType: string): ApiErrorKind {
  if (errorType === 'bad_data' || errorType === 'execution' || status === 400 || status === 422)
    return 'bad_request';
  if (status === 404 || status === 405 || status === 501) return 'missing';
  if (status === 503 || status === 429 || status === 504 || errorType === 'timeout') return 'unavailable';
  return 'server';
}

/** What a person should do about an error, one sentence. */
export function advice(error: ApiError): string {
  switch (error.kind) {
    case 'bad_request':
      return 'Change the query or its range and run it again.';
    case 'unavailable':
      return error.errorType === 'timeout'
        ? 'Ask for a shorter range, fewer series or a coarser step.'
        : 'It may be starting or busy; this page tries again by itself.';
    case 'unreachable':
      return 'What you see is the last that was received. This page tries again by itself.';
    case 'missing':
      return 'This server does not offer it.';
    case 'server':
      return 'The server’s log says more.';
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

// What a page shows, as fields of its URL. A field at its default is left out, so that links stay short.
import { useCallback } from 'react';

import { useUrlParams } from '../app/useUrlParams';

export interface Field<T> {
  param: string;
  /** Of nonsense makes the default: a mangled link still shows a page. */
  read: (text: string) => T;
  /** Empty for the default. */
  write: (value: T) => string;
}

export function textField(param: string): Field<string> {
  return { param, read: (text) => text, write: (value) => value };
}

/** One of several words, the first unless said otherwise. */
export function choiceField<T extends string>(param: string, choices: readonly T[], usual: T): Field<T> {
  return {
    param,
    read: (text) => ((choices as readonly string[]).includes(text) ? (text as T) : usual),
    write: (value) => (value === usual ? '' : value),
  };
}

export function flagField(param: string, word: string): Field<boolean> {
  return { param, read: (text) => text === word, write: (value) => (value ? word : '') };
}

export type Fields<T> = { [K in keyof T]: Field<T[K]> };

/** The fields' values, and how to change some of them; `fields` must not change. */
export function useUrlFields<T extends object>(fields: Fields<T>): [T, (part: Partial<T>) => void] {
  const [params, setParams] = useUrlParams();
  const names = Object.keys(fields) as (keyof T)[];
  const values = {} as T;
  for (const name of names) values[name] = fields[name].read(params.get(fields[name].param) ?? '');
  const change = useCallback(
    (part: Partial<T>) =>
      setParams(
        (old) => {
          const next = new URLSearchParams(old);
          for (const name of Object.keys(part) as (keyof T)[]) {
            const text = fields[name].write(part[name] as T[keyof T]);
            if (text === '') next.delete(fields[name].param);
            else next.set(fields[name].param, text);
          }
          return next;
        },
        { replace: true },
      ),
    [fields, setParams],
  );
  return [values, change];
}

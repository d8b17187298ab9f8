// The URL's parameters as state. Changes start from what the address bar says now, not from the last render: a page
// that is still loading, or two changes at once, must not undo each other.
import { useCallback } from 'react';
import { useNavigate, useSearchParams } from 'react-router';

export type ChangeParams = (
  change: (now: URLSearchParams) => URLSearchParams,
  options?: { replace?: boolean },
) => void;

export function useUrlParams(): [URLSearchParams, ChangeParams] {
  const [params] = useSearchParams();
  const navigate = useNavigate();
  const change = useCallback<ChangeParams>(
    (by, options = {}) => {
      const { pathname, search, hash } = window.location;
      const next = by(new URLSearchParams(search)).toString();
      void navigate(
        { pathname, search: next === '' ? '' : `?${next}`, hash },
        { replace: options.replace ?? false },
      );
    },
    [navigate],
  );
  return [params, change];
}

// Palette slots that stay with their series while the page lives.
import { useMemo, useState } from 'react';

import { ColorRegistry } from '../lib/palette';

export function useColors(keys: readonly string[]): Map<string, number> {
  const [registry] = useState(() => new ColorRegistry());
  return useMemo(() => registry.assign(keys), [registry, keys]);
}

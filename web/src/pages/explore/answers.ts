// Telling the two kinds of answers apart, and counting what is in them.
import type { Answer } from '../../api/client';
import type { RangeAnswer } from '../../api/hooks';
import type { InstantResult } from '../../api/types';

export function isRangeAnswer(data: RangeAnswer | Answer<InstantResult>): data is RangeAnswer {
  return 'frame' in data;
}

/** `null` for scalars and strings, which are no series. */
export function seriesCountOf(data: RangeAnswer | Answer<InstantResult>): number | null {
  if (isRangeAnswer(data)) return data.frame.columns.length;
  return data.data.resultType === 'vector' || data.data.resultType === 'matrix'
    ? data.data.result.length
    : null;
}

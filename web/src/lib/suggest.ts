// "Did you mean": the nearest of many names.

/** Edit distance with transpositions (optimal string alignment), given up beyond `max`. */
export function distance(a: string, b: string, max: number): number {
  if (Math.abs(a.length - b.length) > max) return max + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    let best = i;
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(cost);
      if (cost < best) best = cost;
    }
    if (best > max) return max + 1;
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? max + 1;
}

/** Up to `count` names that a typing error could have turned into `wanted`, nearest first. */
export function didYouMean(wanted: string, names: readonly string[], count = 3): string[] {
  const max = Math.max(1, Math.min(5, Math.floor(wanted.length / 4)));
  const lower = wanted.toLowerCase();
  const scored: { name: string; score: number }[] = [];
  for (const name of names) {
    const other = name.toLowerCase();
    let score = distance(lower, other, max);
    // A name cut short, or with a suffix forgotten (`_total`, `_bytes`), is as near as a typing error.
    if (score > max && lower.length >= 4 && (other.startsWith(lower) || lower.startsWith(other))) {
      score = max + Math.abs(other.length - lower.length) / 100;
    }
    if (score <= max + 1 && name !== wanted && (score <= max || other.startsWith(lower)))
      scored.push({ name, score });
  }
  scored.sort((a, b) => a.score - b.score || a.name.localeCompare(b.name));
  return scored.slice(0, count).map((s) => s.name);
}

/** Search as people type it: every word must occur; whole-word and early hits first. */
export function searchNames(query: string, names: readonly string[], limit: number): string[] {
  const words = query
    .toLowerCase()
    .split(/[\s_]+/)
    .filter((w) => w !== '');
  if (words.length === 0) return names.slice(0, limit);
  const joinedWords = words.join('_');
  const scored: { name: string; score: number }[] = [];
  for (const name of names) {
    const lower = name.toLowerCase();
    let score = 0;
    let all = true;
    for (const word of words) {
      const at = lower.indexOf(word);
      if (at < 0) {
        all = false;
        break;
      }
      score += at === 0 || /[^a-z0-9]/.test(lower[at - 1] ?? '') ? 0 : 5;
      score += at / 100;
    }
    if (!all) continue;
    if (lower.startsWith(joinedWords)) score -= 3;
    if (lower === joinedWords) score -= 10;
    scored.push({ name, score: score + lower.length / 1_000 });
  }
  scored.sort((a, b) => a.score - b.score || a.name.localeCompare(b.name));
  return scored.slice(0, limit).map((s) => s.name);
}

// An alert's name: a hash of its labels, the same as the notifier's and Prometheus'.
import type { Labels } from './labels';

const START = 0xcbf29ce484222325n;
const PRIME = 0x100000001b3n;

/** FNV-1a of 64 bits over the labels in their order, each name and value ended by 0xff; 16 hexadecimal digits. */
export function fingerprint(labels: Labels): string {
  let hash = START;
  const put = (byte: number) => {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * PRIME);
  };
  const encoder = new TextEncoder();
  const pairs = Object.entries(labels).map(
    ([name, value]) => [encoder.encode(name), encoder.encode(value)] as const,
  );
  pairs.sort(([a], [b]) => compareBytes(a, b));
  for (const [name, value] of pairs) {
    for (const part of [name, value]) {
      part.forEach(put);
      put(0xff);
    }
  }
  return hash.toString(16).padStart(16, '0');
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

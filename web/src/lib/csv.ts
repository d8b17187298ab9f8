// Tables as CSV (RFC 4180). A cell that a spreadsheet would run as a formula is kept text.

export function toCsv(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, ...rows].map((row) => row.map(cell).join(',')).join('\r\n') + '\r\n';
}

function cell(text: string): string {
  const isNumber = /^[-+]?(\d|\.\d|Inf|NaN)/.test(text);
  const safe = !isNumber && /^[=+\-@\t]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

// Just enough of YAML's looks to colour a configuration as the server prints it, line by line.

export interface YamlToken {
  text: string;
  kind: 'plain' | 'key' | 'string' | 'number' | 'comment' | 'mark';
}

export function yamlTokens(line: string): YamlToken[] {
  const tokens: YamlToken[] = [];
  const push = (text: string, kind: YamlToken['kind']) => {
    if (text !== '') tokens.push({ text, kind });
  };
  const head = /^(\s*(?:- +)*)(?:([\w.$/-]+|"[^"]*"|'[^']*')(:)(?=\s|$))?(.*)$/.exec(line);
  if (!head) return [{ text: line, kind: 'plain' }];
  push(head[1] ?? '', 'mark');
  push(head[2] ?? '', 'key');
  push(head[3] ?? '', 'mark');
  const rest = head[4] ?? '';
  const split = splitComment(rest);
  const value = split.value;
  const trimmed = value.trim();
  let kind: YamlToken['kind'] = 'plain';
  if (/^["'].*["']$/.test(trimmed)) kind = 'string';
  else if (/^-?\d+(\.\d+)?([a-z]{1,2})?$/i.test(trimmed) || /^(true|false|null|~)$/.test(trimmed))
    kind = 'number';
  push(value, kind);
  push(split.comment, 'comment');
  return tokens;
}

function splitComment(text: string): { value: string; comment: string } {
  let quoteMark = '';
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i] ?? '';
    if (quoteMark !== '') {
      if (c === quoteMark) quoteMark = '';
    } else if (c === '"' || c === "'") quoteMark = c;
    else if (c === '#' && (i === 0 || /\s/.test(text[i - 1] ?? ''))) {
      return { value: text.slice(0, i), comment: text.slice(i) };
    }
  }
  return { value: text, comment: '' };
}

//! The newer syntax: names and values are any text, in double quotes if it holds a sign that means something.

use model::{MatchOp, Matcher};

use super::MatcherError;

/// Signs that may stand only in quotes.
pub(crate) fn is_reserved(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    OpenBrace,
    CloseBrace,
    Comma,
    Operator(MatchOp),
    Quoted,
    Unquoted,
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    /// Characters before it, and before its end.
    columns: (usize, usize),
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    column: usize,
    peeked: Option<Token<'a>>,
}

/// Why a token is not what was wanted.
enum Fault {
    End,
    Other(String),
}

impl Fault {
    fn because(self, what: &str) -> MatcherError {
        match self {
            Self::End => MatcherError(format!("end of input: {what}")),
            Self::Other(text) => MatcherError(format!("{text}: {what}")),
        }
    }
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, bytes: usize, kind: Kind) -> Token<'a> {
        let text = &self.rest()[..bytes];
        let start = self.column;
        self.at += bytes;
        self.column += text.chars().count();
        Token { kind, text, columns: (start, self.column) }
    }

    fn peek(&mut self) -> Result<Option<Token<'a>>, Fault> {
        if self.peeked.is_none() {
            self.peeked = self.scan()?;
        }
        Ok(self.peeked)
    }

    fn next(&mut self) -> Result<Option<Token<'a>>, Fault> {
        let token = self.peek()?;
        self.peeked = None;
        Ok(token)
    }

    fn scan(&mut self) -> Result<Option<Token<'a>>, Fault> {
        let spaces = self.rest().len() - self.rest().trim_start().len();
        self.take(spaces, Kind::Unquoted);
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(None) };
        const SIGNS: [(&str, Kind); 7] = [
            ("{", Kind::OpenBrace),
            ("}", Kind::CloseBrace),
            (",", Kind::Comma),
            ("=~", Kind::Operator(MatchOp::Regex)),
            ("=", Kind::Operator(MatchOp::Equal)),
            ("!=", Kind::Operator(MatchOp::NotEqual)),
            ("!~", Kind::Operator(MatchOp::NotRegex)),
        ];
        if let Some((sign, kind)) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
            return Ok(Some(self.take(sign.len(), *kind)));
        }
        if first == '"' {
            return self.scan_quoted().map(Some);
        }
        let end = rest.find(is_reserved).unwrap_or(rest.len());
        if end == 0 {
            let (start, text) = (self.column, first);
            return Err(Fault::Other(format!("{start}:{}: {text}: invalid input", start + 1)));
        }
        Ok(Some(self.take(end, Kind::Unquoted)))
    }

    fn scan_quoted(&mut self) -> Result<Token<'a>, Fault> {
        let rest = self.rest();
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return Ok(self.take(at + 1, Kind::Quoted)),
                _ => {}
            }
        }
        let (start, end) = (self.column, self.column + rest.chars().count());
        Err(Fault::Other(format!("{start}:{end}: {rest}: missing end \"")))
    }

    fn expect(&mut self, wanted: impl Fn(Kind) -> bool) -> Result<Token<'a>, Fault> {
        match self.peek()? {
            None => Err(Fault::End),
            Some(token) if wanted(token.kind) => {
                self.peeked = None;
                Ok(token)
            }
            Some(Token { text, columns: (start, end), .. }) => {
                Err(Fault::Other(format!("{start}:{end}: unexpected {text}")))
            }
        }
    }
}

/// Reads matchers separated by commas, with or without braces around them.
pub(crate) fn parse(text: &str) -> Result<Vec<Matcher>, MatcherError> {
    let mut lexer = Lexer { text, at: 0, column: 0, peeked: None };
    let mut matchers = Vec::new();
    let plain = |fault: Fault| match fault {
        Fault::End => MatcherError("end of input".to_owned()),
        Fault::Other(text) => MatcherError(text),
    };
    let Some(first) = lexer.peek().map_err(plain)? else { return Ok(matchers) };
    let braces = first.kind == Kind::OpenBrace;
    if braces {
        lexer.next().map_err(plain)?;
    }
    let is_close = |token: Option<Token<'_>>| token.is_none_or(|token| token.kind == Kind::CloseBrace);
    if !is_close(lexer.peek().map_err(plain)?) {
        loop {
            matchers.push(matcher(&mut lexer)?);
            let what = "expected a comma or close brace";
            let after = lexer.peek().map_err(|fault| fault.because(what))?;
            if is_close(after) {
                break;
            }
            lexer.expect(|kind| kind == Kind::Comma).map_err(|fault| fault.because(what))?;
            let what = "expected a matcher or close brace after comma";
            let after = lexer.peek().map_err(|fault| fault.because(what))?;
            if is_close(after) {
                break;
            }
            if !after.is_some_and(|token| matches!(token.kind, Kind::Quoted | Kind::Unquoted)) {
                return Err(lexer
                    .expect(|_| false)
                    .err()
                    .map_or_else(|| MatcherError(what.to_owned()), |fault| fault.because(what)));
            }
        }
    }
    let close = lexer.next().map_err(plain)?;
    let column = lexer.column;
    match (braces, close) {
        (true, None) => Err(MatcherError(format!("0:{column}: end of input: expected close brace"))),
        (false, Some(_)) => Err(MatcherError(format!("0:{column}: }}: expected opening brace"))),
        _ => match lexer.next().map_err(|fault| fault.because("expected end of input"))? {
            None => Ok(matchers),
            Some(Token { text, columns: (start, end), .. }) => {
                Err(MatcherError(format!("{start}:{end}: {text}: expected end of input")))
            }
        },
    }
}

fn matcher(lexer: &mut Lexer<'_>) -> Result<Matcher, MatcherError> {
    let is_text = |kind| matches!(kind, Kind::Quoted | Kind::Unquoted);
    let name = lexer.expect(is_text).map_err(|fault| fault.because("expected label name"))?;
    let name = unquote(name)?;
    let operator = lexer
        .expect(|kind| matches!(kind, Kind::Operator(_)))
        .map_err(|fault| fault.because("expected an operator such as '=', '!=', '=~' or '!~'"))?;
    let Kind::Operator(op) = operator.kind else {
        return Err(MatcherError("BUG: an operator was expected and found".to_owned()));
    };
    let value = lexer.expect(is_text).map_err(|fault| fault.because("expected label value"))?;
    let value = unquote(value)?;
    let failed = |error| MatcherError(format!("failed to create matcher: {error}"));
    Matcher::new(op, &name, &value).map_err(failed)
}

/// Resolves Go's escapes.
fn unquote(token: Token<'_>) -> Result<String, MatcherError> {
    if token.kind == Kind::Unquoted {
        return Ok(token.text.to_owned());
    }
    let (start, end) = token.columns;
    let invalid = || MatcherError(format!("{start}:{end}: {}: invalid input", token.text));
    let inner = token.text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or_else(invalid)?;
    let mut bytes: Vec<u8> = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            if c == '\n' {
                return Err(invalid());
            }
            bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        match chars.next().ok_or_else(invalid)? {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' => bytes.push(b'\\'),
            '"' => bytes.push(b'"'),
            'x' => bytes
                .push(u8::try_from(digits(&mut chars, 2, 16).ok_or_else(invalid)?).map_err(|_| invalid())?),
            first @ '0'..='7' => {
                let rest = digits(&mut chars, 2, 8).ok_or_else(invalid)?;
                let high = first.to_digit(8).ok_or_else(invalid)? * 64;
                bytes.push(u8::try_from(high + rest).map_err(|_| invalid())?);
            }
            sign @ ('u' | 'U') => {
                let count = if sign == 'u' { 4 } else { 8 };
                let code = digits(&mut chars, count, 16).and_then(char::from_u32).ok_or_else(invalid)?;
                bytes.extend(code.encode_utf8(&mut [0; 4]).bytes());
            }
            _ => return Err(invalid()),
        }
    }
    String::from_utf8(bytes).map_err(|_| invalid())
}

fn digits(chars: &mut std::str::Chars<'_>, count: usize, base: u32) -> Option<u32> {
    let mut value: u32 = 0;
    for _ in 0..count {
        value = value.checked_mul(base)?.checked_add(chars.next()?.to_digit(base)?)?;
    }
    Some(value)
}

//! Text to tokens, one at a time, as the grammar asks for them.
//!
//! What a character means depends on where it stands: within braces there are names, strings and matcher
//! operators only; after `[` there are durations and their arithmetic; elsewhere there is everything else. The
//! lexer itself counts brackets, because Prometheus reports an unbalanced one in the lexer's words.

use super::token::{Token, TokenKind as T, quoted, quoted_char};
use crate::ast::BinaryOp;

/// Reads tokens off a text.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    /// Next character to read.
    pos: usize,
    /// Start of the token being read.
    start: usize,
    paren_depth: usize,
    in_braces: bool,
    in_brackets: bool,
    /// Directly after `[` or an operator of duration arithmetic: only durations may follow.
    in_duration: bool,
    /// A `:` was seen since `[`.
    got_colon: bool,
    /// What may be a duration was seen after some `[`.
    got_duration: bool,
    /// Why the last token was [`T::Error`]; it stands from `start` to the end of the text.
    message: Option<String>,
}

type Lexed = Result<T, String>;

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            pos: 0,
            start: 0,
            paren_depth: 0,
            in_braces: false,
            in_brackets: false,
            in_duration: false,
            got_colon: false,
            got_duration: false,
            message: None,
        }
    }

    /// Why the last token was [`T::Error`].
    pub(crate) fn message(&mut self) -> String {
        self.message.take().unwrap_or_default()
    }

    /// The next token. After [`T::Eof`] or [`T::Error`] there is nothing sensible to ask for.
    pub(crate) fn next_token(&mut self) -> Token {
        self.skip_space_and_comments();
        self.start = self.pos;
        let lexed = if self.in_braces {
            self.within_braces()
        } else if self.in_duration {
            self.within_duration()
        } else {
            self.anywhere_else()
        };
        match lexed {
            Ok(kind) => Token { kind, start: self.start, end: self.pos },
            Err(message) => {
                self.message = Some(message);
                Token { kind: T::Error, start: self.start, end: self.text.len() }
            }
        }
    }

    fn skip_space_and_comments(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\n' | '\r') => self.pos += 1,
                // Where only a duration may stand, Prometheus knows no comments.
                Some('#') if !self.in_duration => {
                    let rest = &self.text[self.pos..];
                    self.pos += rest.find(['\n', '\r']).unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.pos..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, wanted: impl Fn(u8) -> bool) -> bool {
        let found = self.text.as_bytes().get(self.pos).is_some_and(|b| wanted(*b));
        self.pos += usize::from(found);
        found
    }

    fn anywhere_else(&mut self) -> Lexed {
        let Some(c) = self.bump() else { return self.end_of_text() };
        Ok(match c {
            ',' => T::Comma,
            '=' => match self.peek() {
                Some('=') => self.two(T::Op(BinaryOp::Eql)),
                next @ Some('~') => {
                    return Err(format!("unexpected character after '=': {}", quoted_char(next)));
                }
                _ => T::Equal,
            },
            '!' => match self.bump() {
                Some('=') => T::Op(BinaryOp::Neq),
                next => return Err(format!("unexpected character after '!': {}", quoted_char(next))),
            },
            '<' => match self.peek() {
                Some('=') => self.two(T::Op(BinaryOp::Lte)),
                Some('/') => self.two(T::Op(BinaryOp::TrimUpper)),
                _ => T::Op(BinaryOp::Lss),
            },
            '>' => match self.peek() {
                Some('=') => self.two(T::Op(BinaryOp::Gte)),
                Some('/') => self.two(T::Op(BinaryOp::TrimLower)),
                _ => T::Op(BinaryOp::Gtr),
            },
            '"' | '\'' | '`' => return self.string(c),
            '0'..='9' => return self.number_or_duration(),
            '.' if self.peek().is_some_and(|c| c.is_ascii_digit()) => return self.number_or_duration(),
            ':' if self.in_brackets => return self.colon_in_brackets(),
            c if is_alpha(c) && self.in_brackets => return self.word_in_brackets(c),
            ':' => return Ok(self.word()),
            c if is_alpha(c) => return Ok(self.word()),
            '(' | ')' => return self.paren(c),
            '{' => {
                self.in_braces = true;
                T::LeftBrace
            }
            '[' if self.in_brackets => return Err("unexpected left bracket '['".to_owned()),
            '[' => {
                self.in_brackets = true;
                self.in_duration = true;
                self.got_colon = false;
                T::LeftBracket
            }
            ']' if !self.in_brackets => return Err("unexpected right bracket ']'".to_owned()),
            ']' => {
                self.in_brackets = false;
                T::RightBracket
            }
            '@' => T::At,
            c => match arithmetic(c) {
                Some(op) => T::Op(op),
                None => return Err(format!("unexpected character: {}", quoted_char(Some(c)))),
            },
        })
    }

    /// Takes the second character of an operator too.
    fn two(&mut self, kind: T) -> T {
        self.pos += 1;
        kind
    }

    fn end_of_text(&self) -> Lexed {
        if self.paren_depth != 0 {
            return Err("unclosed left parenthesis".to_owned());
        }
        if self.in_brackets {
            return Err("unclosed left bracket".to_owned());
        }
        Ok(T::Eof)
    }

    fn paren(&mut self, c: char) -> Lexed {
        if c == '(' {
            self.paren_depth += 1;
            return Ok(T::LeftParen);
        }
        if self.paren_depth == 0 {
            // Prometheus reports the place behind it.
            self.start = self.pos;
            return Err("unexpected right parenthesis ')'".to_owned());
        }
        self.paren_depth -= 1;
        Ok(T::RightParen)
    }

    fn colon_in_brackets(&mut self) -> Lexed {
        if self.got_colon {
            return Err("unexpected colon ':'".to_owned());
        }
        self.got_colon = true;
        Ok(T::Colon)
    }

    fn word_in_brackets(&mut self, first: char) -> Lexed {
        let keyword =
            matches!(first, 's' | 'S' | 'm' | 'M' | 'r' | 'R').then(|| self.duration_keyword()).flatten();
        keyword.ok_or_else(|| format!("unexpected character: {}, expected ':'", quoted_char(Some(first))))
    }

    /// `step`, `range`, `min_of` or `max_of`, whose first letter was read.
    fn duration_keyword(&mut self) -> Option<T> {
        while self.accept(|b| is_alpha(char::from(b))) {}
        match T::of_word(&self.text[self.start..self.pos])? {
            kind @ (T::Step | T::Range | T::MinOf | T::MaxOf) => Some(kind),
            _ => None,
        }
    }

    fn within_duration(&mut self) -> Lexed {
        let Some(c) = self.bump() else {
            return Err("unexpected end of input in duration expression".to_owned());
        };
        Ok(match c {
            ']' => {
                self.in_brackets = false;
                self.in_duration = false;
                self.got_colon = false;
                T::RightBracket
            }
            ':' => {
                if !self.got_duration || self.got_colon {
                    self.start = self.pos;
                }
                if !self.got_duration {
                    return Err("unexpected colon before duration in duration expression".to_owned());
                }
                if self.got_colon {
                    return Err("unexpected repeated colon in duration expression".to_owned());
                }
                self.got_colon = true;
                T::Colon
            }
            '(' | ')' => {
                // What ends in a parenthesis, such as `step()`, may be a duration too.
                self.got_duration |= c == ')';
                return self.paren(c);
            }
            ',' => T::Comma,
            's' | 'S' | 'm' | 'M' | 'r' | 'R' => {
                let keyword = self.duration_keyword();
                return keyword.ok_or_else(|| unexpected_in_duration(c));
            }
            '0'..='9' => return self.duration_operand(),
            '.' if self.peek().is_some_and(|c| c.is_ascii_digit()) => return self.duration_operand(),
            c => T::Op(arithmetic(c).ok_or_else(|| unexpected_in_duration(c))?),
        })
    }

    fn duration_operand(&mut self) -> Lexed {
        self.got_duration = true;
        // What follows is lexed as everywhere else, until the next `[`.
        self.in_duration = false;
        self.number_or_duration()
    }

    fn within_braces(&mut self) -> Lexed {
        let Some(c) = self.bump() else { return Err("unexpected end of input inside braces".to_owned()) };
        Ok(match c {
            ',' => T::Comma,
            '"' | '\'' | '`' => return self.string(c),
            '=' if self.accept(|b| b == b'~') => T::EqualRegex,
            '=' => T::Equal,
            '!' => match self.bump() {
                Some('~') => T::NotRegex,
                Some('=') => T::Op(BinaryOp::Neq),
                next => {
                    return Err(format!(
                        "unexpected character after '!' inside braces: {}",
                        quoted_char(next)
                    ));
                }
            },
            '{' => return Err("unexpected left brace '{'".to_owned()),
            '}' => {
                self.in_braces = false;
                T::RightBrace
            }
            c if is_alpha(c) => {
                while self.accept(is_alphanumeric) {}
                T::Identifier
            }
            c => return Err(format!("unexpected character inside braces: {}", quoted_char(Some(c)))),
        })
    }

    fn word(&mut self) -> T {
        while self.accept(|b| is_alphanumeric(b) || b == b':') {}
        let word = &self.text[self.start..self.pos];
        match T::of_word(word) {
            // So that metrics of these names still work, they are keywords only in front of "(".
            Some(T::Fill | T::FillLeft | T::FillRight) if !self.paren_follows() => T::Identifier,
            Some(kind) => kind,
            None if word.contains(':') => T::MetricIdentifier,
            None => T::Identifier,
        }
    }

    fn paren_follows(&self) -> bool {
        self.text[self.pos..].trim_start_matches([' ', '\t', '\n', '\r']).starts_with('(')
    }

    fn number_or_duration(&mut self) -> Lexed {
        self.pos = self.start;
        if self.scan_number() {
            return Ok(T::Number);
        }
        if self.scan_rest_of_duration() {
            return Ok(T::Duration);
        }
        let fault_at = self.pos;
        if self.scan_number_with_unit() {
            return Ok(T::Number);
        }
        self.pos = fault_at;
        Err(format!("bad number or duration syntax: {}", quoted(&self.text[self.start..self.pos])))
    }

    /// Scans what may be a number; whether it is one is seen when it is parsed. On failure the position is where
    /// a duration's unit would stand, or right behind the fault.
    fn scan_number(&mut self) -> bool {
        let hex = self.accept(|b| b == b'0') && self.accept(|b| matches!(b, b'x' | b'X'));
        if hex {
            self.accept(|b| b == b'_');
        }
        let is_digit = |b: u8| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
        self.accept(|b| b == b'.');
        self.accept(is_digit);
        let (mut got_dot, mut got_exponent) = (false, false);
        // What may not follow an exponent or an underscore.
        let ends_badly = |b: u8| matches!(b, b'.' | b'_' | b'e' | b'E');
        loop {
            if self.accept(|b| b == b'.') {
                // A dot comes once, is not followed by "_", and there are no hexadecimal fractions.
                if got_dot || self.accept(|b| matches!(b, b'.' | b'_')) || hex {
                    return false;
                }
                got_dot = true;
            } else if self.accept(|b| matches!(b, b'e' | b'E')) {
                if got_exponent {
                    return false;
                }
                got_exponent = true;
                self.accept(|b| matches!(b, b'+' | b'-'));
                if self.accept(ends_badly) || self.pos == self.text.len() {
                    return false;
                }
            } else if self.accept(|b| b == b'_') {
                if self.accept(ends_badly) || self.pos == self.text.len() {
                    return false;
                }
            } else if self.accept(is_digit) {
                while self.accept(is_digit) {}
            } else {
                break;
            }
        }
        self.pos > self.start && !self.alphanumeric_follows()
    }

    fn scan_rest_of_duration(&mut self) -> bool {
        if !self.accept(|b| b"smhdwy".contains(&b)) {
            return false;
        }
        // "ms"; "hs" and the like are found when the duration is parsed.
        self.accept(|b| b == b's');
        while self.accept(|b| b.is_ascii_digit()) {
            while self.accept(|b| b.is_ascii_digit()) {}
            if !self.accept(|b| b"smhdw".contains(&b)) {
                return false;
            }
            self.accept(|b| b == b's');
        }
        !self.accept(is_alphanumeric)
    }

    /// A decimal number with one of Kymo's units: `1Ki`, `1.5M`.
    fn scan_number_with_unit(&mut self) -> bool {
        self.pos = self.start;
        self.accept(|b| b.is_ascii_digit());
        while self.accept(|b| b.is_ascii_digit() || b == b'_') {}
        if self.accept(|b| b == b'.') {
            while self.accept(|b| b.is_ascii_digit()) {}
        }
        let unit = self.pos;
        while self.accept(is_alphanumeric) {}
        super::literal::unit_factor(&self.text[unit..self.pos]).is_some()
    }

    fn alphanumeric_follows(&self) -> bool {
        self.text.as_bytes().get(self.pos).is_some_and(|b| is_alphanumeric(*b))
    }

    /// The rest of a string whose opening quote was read.
    fn string(&mut self, quote: char) -> Lexed {
        let raw = quote == '`';
        loop {
            match self.bump() {
                None if raw => return Err("unterminated raw string".to_owned()),
                None => return Err("unterminated quoted string".to_owned()),
                Some('\n') if !raw => return Err("unterminated quoted string".to_owned()),
                Some('\u{fffd}') => return Err("invalid UTF-8 rune".to_owned()),
                Some('\\') if !raw => self.escape(quote)?,
                Some(c) if c == quote => return Ok(T::String),
                Some(_) => {}
            }
        }
    }

    /// The rest of an escape sequence whose backslash was read.
    fn escape(&mut self, quote: char) -> Result<(), String> {
        let unterminated = || Err("escape sequence not terminated".to_owned());
        let Some(c) = self.bump() else { return unterminated() };
        let (digits, radix, first) = match c {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(()),
            c if c == quote => return Ok(()),
            '0'..='7' => (3, 8, Some(c)),
            'x' => (2, 16, self.bump()),
            'u' => (4, 16, self.bump()),
            'U' => (8, 16, self.bump()),
            c => return Err(format!("unknown escape sequence {}", code_point(c))),
        };
        let value_max = if matches!(c, 'u' | 'U') { u32::from(char::MAX) } else { 255 };
        let mut next = first;
        let mut value: u32 = 0;
        for at in 0..digits {
            if at > 0 {
                next = self.bump();
            }
            let Some(c) = next else { return unterminated() };
            let Some(digit) = c.to_digit(radix) else {
                return Err(format!("illegal character {} in escape sequence", code_point(c)));
            };
            value = value.wrapping_mul(radix).wrapping_add(digit);
        }
        if value > value_max || (0xD800..0xE000).contains(&value) {
            return Err("escape sequence is an invalid Unicode code point".to_owned());
        }
        Ok(())
    }
}

fn unexpected_in_duration(c: char) -> String {
    format!("unexpected character in duration expression: {}", quoted_char(Some(c)))
}

fn arithmetic(c: char) -> Option<BinaryOp> {
    Some(match c {
        '+' => BinaryOp::Add,
        '-' => BinaryOp::Sub,
        '*' => BinaryOp::Mul,
        '/' => BinaryOp::Div,
        '%' => BinaryOp::Mod,
        '^' => BinaryOp::Pow,
        _ => return None,
    })
}

/// A character as Go's `%#U` writes it.
fn code_point(c: char) -> String {
    format!("U+{:04X} '{c}'", u32::from(c))
}

fn is_alpha(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_alphanumeric(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

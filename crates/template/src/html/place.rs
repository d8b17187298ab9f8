//! What a value may be in an attribute or element, and how it is made so.

use crate::escape;
use crate::text::Text;
use crate::value::{Safe, Value};

/// What stands for a value that could do harm where it was to stand. Go's word, so that one finds what it means.
const FAILSAFE: &str = "ZgotmplZ";

/// Elements whose content is no markup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Raw {
    Script,
    Style,
    /// `textarea` and `title`.
    Text,
}

impl Raw {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "script" => Some(Self::Script),
            "style" => Some(Self::Style),
            "textarea" | "title" => Some(Self::Text),
            _ => None,
        }
    }

    pub(super) fn content(self) -> Content {
        match self {
            Self::Script => Content::Script(None),
            Self::Style => Content::Style,
            Self::Text => Content::Plain,
        }
    }

    /// Where the element's end tag begins.
    pub(super) fn end_in(self, text: &str) -> Option<usize> {
        let names: &[&str] = match self {
            Self::Script => &["script"],
            Self::Style => &["style"],
            Self::Text => &["textarea", "title"],
        };
        text.match_indices("</").map(|(at, _)| at).find(|at| {
            let rest = &text[at + 2..];
            names
                .iter()
                .any(|name| rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name)))
        })
    }
}

/// The language that stands in an attribute or element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Plain,
    Url(UrlPart),
    Style,
    /// With the quote of the string that is open.
    Script(Option<char>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UrlPart {
    Start,
    Path,
    /// Behind `?` or `#`.
    Query,
}

/// Attributes that hold a URL, besides those whose name says so.
const URL_ATTRIBUTES: &[&str] = &[
    "action",
    "archive",
    "background",
    "cite",
    "classid",
    "codebase",
    "data",
    "formaction",
    "href",
    "icon",
    "longdesc",
    "manifest",
    "poster",
    "profile",
    "src",
    "srcset",
    "usemap",
    "xmlns",
];

impl Content {
    pub(super) fn of_attribute(name: &str) -> Self {
        let name = name.strip_prefix("data-").unwrap_or(name);
        let name = match name.split_once(':') {
            Some(("xmlns", _)) => "xmlns",
            Some((_, name)) => name,
            None => name,
        };
        if URL_ATTRIBUTES.contains(&name) {
            Self::Url(UrlPart::Start)
        } else if name.starts_with("on") {
            Self::Script(None)
        } else if name == "style" {
            Self::Style
        } else if ["src", "uri", "url"].iter().any(|part| name.contains(part)) {
            Self::Url(UrlPart::Start)
        } else {
            Self::Plain
        }
    }

    /// What it is after some literal text.
    pub(super) fn after(self, text: &str) -> Self {
        match self {
            Self::Url(_) if text.contains(['?', '#']) => Self::Url(UrlPart::Query),
            Self::Url(UrlPart::Start) if !text.trim_start().is_empty() => Self::Url(UrlPart::Path),
            Self::Script(quote) => Self::Script(string_after(quote, text)),
            other => other,
        }
    }

    /// The value in that language; still to be escaped for HTML.
    pub(super) fn value(
        &mut self,
        value: &Value,
        plain: &str,
        safe: Option<Safe>,
        bytes_max: usize,
    ) -> String {
        let mut out = Text::new(bytes_max);
        match *self {
            Self::Plain => return plain.to_owned(),
            Self::Url(part) => {
                if part == UrlPart::Start {
                    *self = Self::Url(UrlPart::Path);
                }
                if part == UrlPart::Start && safe != Some(Safe::Url) && !is_harmless(plain) {
                    return format!("#{FAILSAFE}");
                }
                let keeps = part != UrlPart::Query || safe == Some(Safe::Url);
                url(&mut out, plain, keeps);
            }
            Self::Style => return style(plain).to_owned(),
            Self::Script(Some(_)) => script_string(&mut out, plain),
            Self::Script(None) => script(&mut out, value),
        }
        // Escaping multiplies the length; what no longer fits is told by the text that this goes to.
        if out.is_full() { " ".repeat(bytes_max + 1) } else { out.into_string() }
    }
}

/// The string that is open after some literal script.
fn string_after(mut quote: Option<char>, text: &str) -> Option<char> {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            Some(_) if c == '\\' => {
                chars.next();
            }
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            _ => {}
        }
    }
    quote
}

/// Whether a URL has no scheme, or one that runs nothing.
fn is_harmless(url: &str) -> bool {
    match url.split_once(':') {
        Some((scheme, _)) if !scheme.contains('/') => {
            ["http", "https", "mailto"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
        }
        _ => true,
    }
}

/// Percent-encodes; what has a meaning in URLs stays if `keeps`.
fn url(out: &mut Text, text: &str, keeps: bool) {
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let stays = match byte {
            b'!' | b'#' | b'$' | b'&' | b'*' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@'
            | b'[' | b']' => keeps,
            // What is encoded already is not encoded again.
            b'%' => {
                keeps && bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
            }
            byte => escape::is_unreserved(*byte),
        };
        if stays { out.push((*byte).into()) } else { percent_lower(out, *byte) }
    }
}

fn percent_lower(out: &mut Text, byte: u8) {
    out.push_str(&format!("%{byte:02x}"));
}

/// A value of CSS, if it can be nothing more.
fn style(text: &str) -> &str {
    let breaks_out = |c: char| {
        matches!(
            c,
            '\0' | '"' | '\'' | '(' | ')' | '/' | ';' | '@' | '[' | '\\' | ']' | '`' | '{' | '}' | '<' | '>'
        )
    };
    let letters: String =
        text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let is_harmful = text.contains(breaks_out)
        || text.contains("--")
        || letters.contains("expression")
        || letters.contains("mozbinding");
    if is_harmful { FAILSAFE } else { text }
}

/// Within a string of JavaScript in HTML.
fn script_string(out: &mut Text, text: &str) {
    for c in text.chars() {
        match c {
            '\0'..='\x07'
            | '\x0b'
            | '\x0e'..='\x1f'
            | '"'
            | '&'
            | '\''
            | '+'
            | '<'
            | '>'
            | '`'
            | '\u{2028}'
            | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            '\x08' => out.push_str("\\u0008"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\x0c' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '/' => out.push_str("\\/"),
            '\\' => out.push_str("\\\\"),
            c => out.push(c),
        }
    }
}

/// A value of JavaScript: JSON, which the escapes of `json` keep from ending the script.
fn script(out: &mut Text, value: &Value) {
    let json = crate::json::write(value, out.room()).unwrap_or_else(|_| "null".to_owned());
    // So that it does not grow together with a word beside it.
    let is_word = json.starts_with(|c: char| c.is_ascii_alphanumeric());
    let space = if is_word { " " } else { "" };
    out.push_str(space);
    out.push_str(&json);
    out.push_str(space);
}

/// A name of an attribute, if it is a harmless one.
pub(super) fn attribute_name(text: &str) -> &str {
    let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_harmless = Content::of_attribute(&text.to_ascii_lowercase()) == Content::Plain;
    if is_name && is_harmless { text } else { FAILSAFE }
}

/// Escapes for text and quoted attributes.
pub(super) fn escape(out: &mut Text, text: &str) {
    for c in text.chars() {
        escape_char(out, c);
    }
}

fn escape_char(out: &mut Text, c: char) {
    match c {
        '\0' => out.push('\u{fffd}'),
        '"' => out.push_str("&#34;"),
        '&' => out.push_str("&amp;"),
        '\'' => out.push_str("&#39;"),
        '+' => out.push_str("&#43;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    }
}

/// Escapes for attributes without quotes.
pub(super) fn escape_unquoted(out: &mut Text, text: &str) {
    if text.is_empty() {
        // Otherwise what follows would become the value.
        return out.push_str(FAILSAFE);
    }
    for c in text.chars() {
        match c {
            '\t' | '\n' | '\x0b' | '\x0c' | '\r' | ' ' | '=' | '`' => {
                out.push_str(&format!("&#{};", u32::from(c)));
            }
            '\0' => out.push_str("&#xfffd;"),
            c => escape_char(out, c),
        }
    }
}

/// Escapes HTML that is safe as text for an attribute: entities stay.
pub(super) fn normalise(out: &mut Text, text: &str) {
    for c in text.chars() {
        if c == '&' { out.push('&') } else { escape_char(out, c) }
    }
}

/// What is left of HTML without its tags and comments.
pub(super) fn without_tags(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let tag = &rest[at..];
        let is_tag = tag[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        let end = if tag.starts_with("<!--") {
            tag.find("-->").map(|end| end + 3)
        } else {
            tag.find('>').map(|end| end + 1)
        };
        if !is_tag {
            out.push('<');
            rest = &tag[1..];
            continue;
        }
        rest = end.map_or("", |end| &tag[end..]);
    }
    out.push_str(rest);
    out
}

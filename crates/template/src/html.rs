//! Where a template writes: plain text, or HTML in which each value is escaped for the place where it stands.
//!
//! Why: labels and annotations come from outside, and an email shows them. As Go's `html/template` does, a value in text
//! is escaped as text, one in an attribute as an attribute, one in a link also as a part of a URL whose scheme must be
//! harmless, one in a script as a value of JavaScript, one in a style only if it cannot break out of it.
//! Go works the places out before a template runs; here they follow what is written, which comes to the same for every
//! template that Go accepts. Literal text is the template's author's and stays as it is, but for comments, which go.
//! Map: here the states between markup · [`place`] values of attributes and elements.

mod place;

use place::{Content, Raw};

use crate::format;
use crate::text::Text;
use crate::value::{Safe, Value};

pub(crate) enum Writer {
    Plain(Text),
    Html(Box<Html>),
}

impl Writer {
    pub(crate) fn plain(bytes_max: usize) -> Self {
        Self::Plain(Text::new(bytes_max))
    }

    pub(crate) fn html(bytes_max: usize) -> Self {
        Self::Html(Box::new(Html {
            out: Text::new(bytes_max),
            state: State::Text,
            name: String::new(),
            element: None,
        }))
    }

    /// An empty one of the same kind.
    pub(crate) fn fresh(&self, bytes_max: usize) -> Self {
        match self {
            Self::Plain(_) => Self::plain(bytes_max),
            Self::Html(_) => Self::html(bytes_max),
        }
    }

    /// What a value is safe as that a function of the language has escaped.
    pub(crate) fn escaped_by(&self, function: &str) -> Option<Safe> {
        match (self, function) {
            (Self::Html(_), "html") => Some(Safe::Html),
            (Self::Html(_), "urlquery") => Some(Safe::Url),
            _ => None,
        }
    }

    /// Literal text of the template.
    pub(crate) fn text(&mut self, text: &str) {
        match self {
            Self::Plain(out) => out.push_str(text),
            Self::Html(html) => html.literal(text),
        }
    }

    /// A value that an action yields.
    pub(crate) fn value(&mut self, value: &Value) -> Result<(), String> {
        match self {
            Self::Plain(out) => format::display(out, value),
            Self::Html(html) => html.value(value),
        }
        Ok(())
    }

    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Plain(out) => out.is_full(),
            Self::Html(html) => html.out.is_full(),
        }
    }

    pub(crate) fn into_string(self) -> String {
        match self {
            Self::Plain(out) => out.into_string(),
            Self::Html(html) => html.out.into_string(),
        }
    }
}

pub(crate) struct Html {
    out: Text,
    state: State,
    /// The name of the attribute that is being read, or was last.
    name: String,
    /// The element whose tag is open, if its content is no markup.
    element: Option<Raw>,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Text,
    /// Within `<!-- -->`, which is not written.
    Comment,
    /// In a tag, outside of its attributes.
    Tag,
    AttributeName,
    AfterName,
    BeforeValue,
    Attribute {
        quote: Option<char>,
        content: Content,
    },
    /// In an element whose content is no markup.
    Raw(Raw, Content),
}

impl Html {
    fn literal(&mut self, mut text: &str) {
        while !text.is_empty() {
            text = match self.state.clone() {
                State::Text => self.markup(text),
                State::Comment => match text.find("-->") {
                    Some(at) => {
                        self.state = State::Text;
                        &text[at + 3..]
                    }
                    None => "",
                },
                State::Tag => self.tag(text),
                State::AttributeName => self.attribute_name(text),
                State::AfterName => self.after_name(text),
                State::BeforeValue => self.before_value(text),
                State::Attribute { quote, content } => self.attribute(text, quote, content),
                State::Raw(raw, content) => self.raw(text, raw, content),
            };
        }
    }

    /// Text up to and with the beginning of a tag.
    fn markup<'t>(&mut self, text: &'t str) -> &'t str {
        let Some(at) = text.find('<') else {
            self.out.push_str(text);
            return "";
        };
        self.out.push_str(&text[..at]);
        let rest = &text[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            self.state = State::Comment;
            return comment;
        }
        let name_at = if rest.starts_with("</") { 2 } else { 1 };
        let name_end = rest[name_at..].find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != ':');
        let name = &rest[name_at..name_end.map_or(rest.len(), |end| name_at + end)];
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            // `<!DOCTYPE` stays; a lone `<` would begin a tag together with what follows.
            let is_declaration = rest.get(..9).is_some_and(|head| head.eq_ignore_ascii_case("<!doctype"));
            self.out.push_str(if is_declaration { "<" } else { "&lt;" });
            return &rest[1..];
        }
        self.out.push_str(&rest[..name_at + name.len()]);
        self.element = if name_at == 1 { Raw::of(name) } else { None };
        self.state = State::Tag;
        &rest[name_at + name.len()..]
    }

    fn tag<'t>(&mut self, text: &'t str) -> &'t str {
        let Some(c) = text.chars().next() else { return "" };
        match c {
            '>' => {
                self.out.push(c);
                self.state = match self.element.take() {
                    Some(raw) => State::Raw(raw, raw.content()),
                    None => State::Text,
                };
            }
            c if c.is_ascii_whitespace() || c == '/' => self.out.push(c),
            _ => {
                self.name.clear();
                self.state = State::AttributeName;
                return text;
            }
        }
        &text[c.len_utf8()..]
    }

    fn attribute_name<'t>(&mut self, text: &'t str) -> &'t str {
        let end = text
            .find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/'))
            .unwrap_or(text.len());
        self.name.push_str(&text[..end].to_ascii_lowercase());
        self.out.push_str(&text[..end]);
        if end < text.len() {
            self.state = State::AfterName;
        }
        &text[end..]
    }

    fn after_name<'t>(&mut self, text: &'t str) -> &'t str {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
        self.out.push_str(&text[..text.len() - rest.len()]);
        if let Some(after) = rest.strip_prefix('=') {
            self.out.push('=');
            self.state = State::BeforeValue;
            return after;
        }
        if !rest.is_empty() {
            self.state = State::Tag;
        }
        rest
    }

    fn before_value<'t>(&mut self, text: &'t str) -> &'t str {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
        self.out.push_str(&text[..text.len() - rest.len()]);
        let Some(c) = rest.chars().next() else { return "" };
        if c == '>' {
            self.state = State::Tag;
            return rest;
        }
        let quote = Some(c).filter(|c| matches!(c, '"' | '\''));
        self.state = State::Attribute { quote, content: Content::of_attribute(&self.name) };
        match quote {
            Some(quote) => {
                self.out.push(quote);
                &rest[1..]
            }
            None => rest,
        }
    }

    fn attribute<'t>(&mut self, text: &'t str, quote: Option<char>, content: Content) -> &'t str {
        let ends = |c: char| match quote {
            Some(quote) => c == quote,
            None => c.is_ascii_whitespace() || c == '>',
        };
        let end = text.find(ends).unwrap_or(text.len());
        self.out.push_str(&text[..end]);
        if end == text.len() {
            self.state = State::Attribute { quote, content: content.after(&text[..end]) };
            return "";
        }
        self.state = State::Tag;
        match quote {
            Some(quote) => {
                self.out.push(quote);
                &text[end + 1..]
            }
            None => &text[end..],
        }
    }

    /// The content of an element up to its end tag.
    fn raw<'t>(&mut self, text: &'t str, raw: Raw, content: Content) -> &'t str {
        let end = raw.end_in(text).unwrap_or(text.len());
        self.out.push_str(&text[..end]);
        self.state =
            if end < text.len() { State::Text } else { State::Raw(raw, content.after(&text[..end])) };
        &text[end..]
    }

    fn value(&mut self, value: &Value) {
        if self.state == State::BeforeValue {
            self.state = State::Attribute { quote: None, content: Content::of_attribute(&self.name) };
        }
        let mut plain = Text::new(self.out.room());
        if !matches!(value, Value::Nil) {
            format::display(&mut plain, value);
        }
        if plain.is_full() {
            return self.out.fill(' ', usize::MAX);
        }
        let safe = if let Value::Safe(safe, _) = value { Some(*safe) } else { None };
        let plain = plain.as_str();
        match &mut self.state {
            State::Text if safe == Some(Safe::Html) => self.out.push_str(plain),
            State::Text => place::escape(&mut self.out, plain),
            State::Comment => {}
            State::Tag | State::AttributeName | State::AfterName => {
                let name = place::attribute_name(plain);
                self.out.push_str(name);
                self.name.push_str(&name.to_ascii_lowercase());
                self.state = State::AttributeName;
            }
            State::Attribute { quote, content } => {
                let text = content.value(value, plain, safe, self.out.room());
                match quote {
                    Some(_) if safe == Some(Safe::Html) => {
                        place::normalise(&mut self.out, &place::without_tags(&text));
                    }
                    Some(_) => place::escape(&mut self.out, &text),
                    None => place::escape_unquoted(&mut self.out, &text),
                }
            }
            State::Raw(raw, content) => {
                let text = content.value(value, plain, safe, self.out.room());
                match raw {
                    Raw::Text if safe == Some(Safe::Html) => place::normalise(&mut self.out, &text),
                    Raw::Text => place::escape(&mut self.out, &text),
                    Raw::Script | Raw::Style => self.out.push_str(&text),
                }
            }
            State::BeforeValue => {}
        }
    }
}

#[cfg(test)]
mod tests;

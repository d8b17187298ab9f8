//! Text into a tree. Bounded: size of the text, depth (by the parser), and nodes after aliases are resolved.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use crate::Error;
use crate::node::{Document, Entry, Mark, Node, Value};

/// The largest file that is read.
pub const TEXT_BYTES_MAX: usize = 64 << 20;
/// The most nodes a document may have once its aliases are copied in.
pub const NODES_MAX: usize = 2_000_000;
/// The deepest nesting.
const DEPTH_MAX: usize = 100;

impl Document {
    /// Reads a file of one document. Further documents must be empty.
    ///
    /// # Errors
    /// The first fault of syntax, a key that comes twice, or a limit.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Error::new(format!("the file is larger than {} MiB", TEXT_BYTES_MAX >> 20)));
        }
        let mut builder = Builder {
            parser: Parser::new_from_str(text),
            anchors: HashMap::new(),
            node_count: 0,
            position: Mark { line: 1, column: 1 },
        };
        builder.document()
    }

    /// As [`Document::parse`], for bytes that may not be text.
    ///
    /// # Errors
    /// As `parse`, or if the bytes are not UTF-8.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            let mark = Mark {
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
            };
            Error::at(mark, "the file is not UTF-8 text")
        })?;
        Self::parse(text.strip_prefix('\u{feff}').unwrap_or(text))
    }
}

struct Builder<'input> {
    parser: Parser<'input, StrInput<'input>>,
    anchors: HashMap<usize, Node>,
    node_count: usize,
    position: Mark,
}

impl<'input> Builder<'input> {
    fn document(&mut self) -> Result<Document, Error> {
        let mut root: Option<Node> = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, span) => {
                    let empty = || scalar(mark_of(&span), String::new(), true);
                    return Ok(Document { root: root.unwrap_or_else(empty) });
                }
                (Event::DocumentStart(..), _) => {
                    let first = self.next()?;
                    let node = self.node(first, 0)?;
                    if root.is_some() && !node.is_null() {
                        return Err(Error::at(node.mark, "a second YAML document in one file")
                            .with_remedy("only one is read; remove the --- and what follows"));
                    }
                    root.get_or_insert(node);
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'input>, Span), Error> {
        loop {
            let (event, span) = match self.parser.next_event() {
                None => return Err(Error::at(self.position, "the file ends too early")),
                Some(Err(error)) => {
                    let marker = error.marker();
                    let mark = Mark { line: marker.line().max(1), column: marker.col() + 1 };
                    return Err(Error::at(mark, format!("not valid YAML: {}", error.info())));
                }
                Some(Ok(event)) => event,
            };
            self.position = mark_of(&span);
            if !matches!(event, Event::Comment(..) | Event::Anchor(..)) {
                return Ok((event, span));
            }
        }
    }

    fn node(&mut self, (event, span): (Event<'input>, Span), depth: usize) -> Result<Node, Error> {
        let mark = mark_of(&span);
        self.count(1, mark)?;
        if depth > DEPTH_MAX {
            return Err(Error::at(mark, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                if tag
                    .as_ref()
                    .is_some_and(|tag| tag.suffix() == "binary" && tag.handle() == "tag:yaml.org,2002:")
                {
                    return Ok(scalar(mark, binary(&text).map_err(|error| error.or_at(mark))?, false));
                }
                let tagged_text = tag.is_some_and(|tag| tag.core_suffix() == Some("str"));
                let plain = style == ScalarStyle::Plain && !tagged_text;
                (scalar(mark, text.into_owned(), plain), anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        item => items.push(self.node(item, depth + 1)?),
                    }
                }
                (Node::new(mark, Value::Sequence(items)), anchor)
            }
            Event::MappingStart(_, anchor, _) => (self.mapping(mark, depth)?, anchor),
            Event::Alias(id) => {
                let copy = self.anchors.get(&id).cloned();
                let copy = copy.ok_or_else(|| Error::at(mark, "an alias that contains itself"))?;
                self.count(size_of_tree(&copy), mark)?;
                (copy, 0)
            }
            _ => return Err(Error::at(mark, "not valid YAML: a value was expected here")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn mapping(&mut self, mark: Mark, depth: usize) -> Result<Node, Error> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines: HashMap<String, Mark> = HashMap::new();
        let mut merged: Vec<Node> = Vec::new();
        loop {
            let event = self.next()?;
            if matches!(event.0, Event::MappingEnd) {
                break;
            }
            let key_node = self.node(event, depth + 1)?;
            let Value::Scalar { text: key, plain } = key_node.value else {
                return Err(Error::at(key_node.mark, "a key must be a single word or number"));
            };
            let event = self.next()?;
            let value = self.node(event, depth + 1)?;
            if plain && key == "<<" {
                merged.push(value);
                continue;
            }
            if let Some(first) = lines.insert(key.clone(), key_node.mark) {
                let error = Error::at(
                    key_node.mark,
                    format!("key {key:?} comes twice: first in line {}", first.line),
                );
                return Err(error.with_remedy("remove one of them"));
            }
            entries.push(Entry { key, mark: key_node.mark, value });
        }
        for node in merged {
            merge(&mut entries, node)?;
        }
        Ok(Node::new(mark, Value::Mapping(entries)))
    }

    fn count(&mut self, more: usize, mark: Mark) -> Result<(), Error> {
        self.node_count = self.node_count.saturating_add(more);
        if self.node_count > NODES_MAX {
            return Err(Error::at(mark, format!("more than {NODES_MAX} values once aliases are copied in")));
        }
        Ok(())
    }
}

/// `<<: *base`: takes the keys that are not there yet.
fn merge(entries: &mut Vec<Entry>, base: Node) -> Result<(), Error> {
    match base.value {
        Value::Mapping(more) => {
            for entry in more {
                if !entries.iter().any(|own| own.key == entry.key) {
                    entries.push(entry);
                }
            }
            Ok(())
        }
        Value::Sequence(bases) => bases.into_iter().try_for_each(|base| merge(entries, base)),
        Value::Scalar { .. } => Err(Error::at(base.mark, "<< needs a mapping, or a list of mappings")),
    }
}

fn scalar(mark: Mark, text: String, plain: bool) -> Node {
    Node::new(mark, Value::Scalar { text, plain })
}

/// `!!binary`: base64 of what must be text in the end.
fn binary(base64: &str) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let mut bits = (0_u32, 0_u32);
    for c in base64.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=') {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(Error::new("!!binary needs base64")),
        };
        bits = ((bits.0 << 6 | u32::from(digit)) & 0xffff, bits.1 + 6);
        if bits.1 >= 8 {
            bits.1 -= 8;
            bytes.push((bits.0 >> bits.1) as u8);
        }
    }
    let shown = bytes.escape_ascii().to_string();
    String::from_utf8(bytes).map_err(|_| {
        Error::new(format!("\"{shown}\" is not a valid label name, nor any other text: it is not UTF-8"))
    })
}

fn size_of_tree(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::Sequence(items) => 1 + items.iter().map(size_of_tree).sum::<usize>(),
        Value::Mapping(entries) => 1 + entries.iter().map(|entry| size_of_tree(&entry.value)).sum::<usize>(),
    }
}

fn mark_of(span: &Span) -> Mark {
    Mark { line: span.start.line().max(1), column: span.start.col() + 1 }
}

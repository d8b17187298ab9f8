//! A tree back into text, with what types marked as secret hidden.

use crate::node::{Document, Node, Value};

/// YAML lets a key stand on one line with its value only up to 1024 characters, escapes included.
const KEY_BYTES_MAX: usize = 100;

impl Document {
    /// The document as block-style YAML, comments gone, secrets as `<secret>`. Secrets are known only after the
    /// tree was read into a type that marks them.
    pub fn print_redacted(&self) -> String {
        let mut out = String::new();
        match &self.root.value {
            Value::Scalar { .. } if self.root.is_null() => {}
            Value::Scalar { text: content, .. } => {
                // Quoted whatever it is: at the start of a line, "---" and the like have a meaning of their own.
                text(&mut out, if self.root.secret.get() { "<secret>" } else { content }, false);
                out.push('\n');
            }
            Value::Sequence(_) | Value::Mapping(_) => block(&mut out, &self.root, 0),
        }
        out
    }
}

/// Writes a list or mapping, each line indented, each ended.
fn block(out: &mut String, node: &Node, indent: usize) {
    match &node.value {
        Value::Mapping(entries) => {
            for entry in entries {
                out.push_str(&" ".repeat(indent));
                if entry.key.len() > KEY_BYTES_MAX {
                    out.push_str("? ");
                    text(out, &entry.key, false);
                    out.push('\n');
                    out.push_str(&" ".repeat(indent));
                } else {
                    text(out, &entry.key, false);
                }
                out.push(':');
                // Lists stand at the level of their key, as Prometheus prints them.
                let deeper =
                    if matches!(entry.value.value, Value::Sequence(_)) { indent } else { indent + 2 };
                after_colon(out, &entry.value, deeper);
            }
        }
        Value::Sequence(items) => {
            for item in items {
                out.push_str(&" ".repeat(indent));
                out.push('-');
                match &item.value {
                    Value::Mapping(entries) if !entries.is_empty() => {
                        let start = out.len();
                        block(out, item, indent + 2);
                        // The first key stands on the line of the dash.
                        out.replace_range(start..start + indent + 2, " ");
                    }
                    _ => after_colon(out, item, indent + 2),
                }
            }
        }
        Value::Scalar { .. } => scalar(out, node),
    }
}

fn after_colon(out: &mut String, node: &Node, indent: usize) {
    match &node.value {
        Value::Mapping(entries) if entries.is_empty() => out.push_str(" {}\n"),
        Value::Sequence(items) if items.is_empty() => out.push_str(" []\n"),
        Value::Mapping(_) | Value::Sequence(_) => {
            out.push('\n');
            block(out, node, indent);
        }
        Value::Scalar { .. } => {
            out.push(' ');
            scalar(out, node);
            out.push('\n');
        }
    }
}

fn scalar(out: &mut String, node: &Node) {
    if let Value::Scalar { text: content, plain } = &node.value {
        match node.secret.get() && !content.is_empty() {
            true => out.push_str("<secret>"),
            false => text(out, content, *plain),
        }
    }
}

/// Plain where that cannot be misread, else in double quotes.
fn text(out: &mut String, content: &str, was_plain: bool) {
    let looks_like_a_word = content.chars().all(|c| c.is_alphanumeric() || "_-./ ".contains(c))
        && content.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '/')
        && !content.ends_with(' ')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&content.to_ascii_lowercase().as_str());
    if looks_like_a_word || (was_plain && !content.contains(['\n', '\r'])) {
        out.push_str(content);
        return;
    }
    out.push('"');
    for c in content.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || c == '\u{feff}' || matches!(c, '\u{2028}' | '\u{2029}') => {
                out.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_too_long_for_one_line_survive_printing() {
        let key = "k\t".repeat(1_000);
        let text = format!(
            "? \"{}\"\n: a: 1\nb:\n- ? \"{}\"\n  : [x]\n",
            key.replace('\t', "\\t"),
            "l".repeat(2_000)
        );
        let document = Document::parse(&text).expect("valid");
        let again = Document::parse(&document.print_redacted()).expect("what is printed can be read");
        assert_eq!(again.print_redacted(), document.print_redacted());
        assert!(again.root.get(&key).is_some_and(|value| value.get("a").is_some()));
    }
}

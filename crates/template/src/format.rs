//! Go's `fmt`: verbs with their flags, and how values of each kind look.
//!
//! Map: here the format string and values · [`float`] floats · [`integer`] integers · [`text`] strings and quoting.
//! Known difference: a pointer within a list or struct is shown as what it points to, where Go shows an address.

mod float;
mod integer;
mod text;

pub(crate) use text::{backquote, is_print, quote};

use crate::text::Text;
use crate::value::{Map, Object, Value};

/// The largest width or precision that an argument may be, as in Go.
const WIDTH_MAX: usize = 1_000_000;

/// What stands between `%` and the verb.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
    /// `%+v`: with the names of fields.
    names: bool,
    /// `%#v`: as Go's source would say it.
    source: bool,
}

/// A value as `%v` shows it, cut off beyond `bytes_max`.
pub(crate) fn plain(value: &Value, bytes_max: usize) -> String {
    let mut text = Text::new(bytes_max);
    display(&mut text, value);
    text.into_string()
}

/// A value as a template shows it.
pub(crate) fn display(out: &mut Text, value: &Value) {
    match value {
        Value::Nil => out.push_str("<no value>"),
        value => show(out, value, Flags::default(), 'v', 1),
    }
}

/// Go's `Sprint`: a space between two values of which neither is a string.
pub(crate) fn print(out: &mut Text, args: &[Value]) {
    let is_string = |value: &Value| matches!(value, Value::String(_) | Value::Safe(..));
    for (at, arg) in args.iter().enumerate() {
        if at > 0 && !is_string(arg) && !is_string(&args[at - 1]) {
            out.push(' ');
        }
        show(out, arg, Flags::default(), 'v', 0);
    }
}

/// Go's `Sprintln`.
pub(crate) fn println(out: &mut Text, args: &[Value]) {
    for (at, arg) in args.iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        show(out, arg, Flags::default(), 'v', 0);
    }
    out.push('\n');
}

/// Go's `Sprintf`.
pub(crate) fn printf(out: &mut Text, format: &str, args: &[Value]) {
    let mut printer = Printer { rest: format, args, next: 0, reordered: false, index_is_good: true };
    while let Some(at) = printer.rest.find('%') {
        if out.is_full() {
            return;
        }
        out.push_str(&printer.rest[..at]);
        printer.rest = &printer.rest[at + 1..];
        printer.verb(out);
    }
    out.push_str(printer.rest);
    printer.extra(out);
}

struct Printer<'a> {
    rest: &'a str,
    args: &'a [Value],
    next: usize,
    /// `%[2]d` was used: arguments may be left over.
    reordered: bool,
    index_is_good: bool,
}

impl Printer<'_> {
    fn verb(&mut self, out: &mut Text) {
        let mut flags = Flags::default();
        self.index_is_good = true;
        self.flags(&mut flags);
        let after_index = self.index();
        self.width(out, &mut flags);
        let after_index = self.precision(out, &mut flags, after_index);
        if !after_index {
            self.index();
        }
        let Some(verb) = self.rest.chars().next() else {
            out.push_str("%!(NOVERB)");
            return;
        };
        self.rest = &self.rest[verb.len_utf8()..];
        if verb == '%' {
            out.push('%');
        } else if !self.index_is_good {
            bad(out, verb, "BADINDEX");
        } else if self.next >= self.args.len() {
            bad(out, verb, "MISSING");
        } else {
            if verb == 'v' {
                flags.source = std::mem::take(&mut flags.sharp);
                flags.names = std::mem::take(&mut flags.plus);
            }
            let arg = &self.args[self.next];
            self.next += 1;
            show(out, arg, flags, verb, 0);
        }
    }

    fn flags(&mut self, flags: &mut Flags) {
        for c in self.rest.chars() {
            match c {
                '#' => flags.sharp = true,
                '0' => flags.zero = true,
                '+' => flags.plus = true,
                '-' => flags.minus = true,
                ' ' => flags.space = true,
                _ => return,
            }
            self.rest = &self.rest[1..];
        }
    }

    /// `[3]`: which argument is next. Whether there was one.
    fn index(&mut self) -> bool {
        let Some(inner) = self.rest.strip_prefix('[') else { return false };
        self.reordered = true;
        let Some(end) = inner.find(']') else {
            self.index_is_good = false;
            self.rest = inner;
            return false;
        };
        let number =
            inner[..end].parse::<usize>().ok().filter(|number| (1..=self.args.len()).contains(number));
        self.rest = &inner[end + 1..];
        match number {
            Some(number) => self.next = number - 1,
            None => self.index_is_good = false,
        }
        true
    }

    fn width(&mut self, out: &mut Text, flags: &mut Flags) {
        if let Some(rest) = self.rest.strip_prefix('*') {
            self.rest = rest;
            match self.star() {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.width = Some(width.unsigned_abs() as usize);
                }
                None => out.push_str("%!(BADWIDTH)"),
            }
        } else {
            flags.width = self.number();
        }
    }

    fn precision(&mut self, out: &mut Text, flags: &mut Flags, after_index: bool) -> bool {
        let Some(rest) = self.rest.strip_prefix('.') else { return after_index && flags.width.is_none() };
        self.rest = rest;
        if after_index && flags.width.is_none() {
            // `%[3].2d`: the index belongs to nothing.
            self.index_is_good = false;
        }
        let after_index = self.index();
        if let Some(rest) = self.rest.strip_prefix('*') {
            self.rest = rest;
            match self.star() {
                Some(precision) if precision >= 0 => flags.precision = Some(precision as usize),
                _ => out.push_str("%!(BADPREC)"),
            }
            return false;
        }
        flags.precision = Some(self.number().unwrap_or(0));
        after_index
    }

    /// An argument that is a width or precision.
    fn star(&mut self) -> Option<i64> {
        let arg = self.args.get(self.next)?;
        self.next += 1;
        match arg {
            Value::Int(number) if number.unsigned_abs() <= WIDTH_MAX as u64 => Some(*number),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<usize> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let digits = &self.rest[..end];
        self.rest = &self.rest[end..];
        // More than any text may hold is as good as any other such number.
        (!digits.is_empty()).then(|| digits.parse().unwrap_or(usize::MAX))
    }

    fn extra(&self, out: &mut Text) {
        if self.reordered || self.next >= self.args.len() {
            return;
        }
        out.push_str("%!(EXTRA ");
        for (at, arg) in self.args[self.next..].iter().enumerate() {
            if at > 0 {
                out.push_str(", ");
            }
            if matches!(arg, Value::Nil) {
                out.push_str("<nil>");
            } else {
                out.push_str(arg.type_name());
                out.push('=');
                show(out, arg, Flags::default(), 'v', 0);
            }
        }
        out.push(')');
    }
}

fn bad(out: &mut Text, verb: char, why: &str) {
    out.push_str("%!");
    out.push(verb);
    out.push('(');
    out.push_str(why);
    out.push(')');
}

/// A verb that this kind of value does not have: `%!d(string=hi)`.
fn bad_verb(out: &mut Text, value: &Value, verb: char) {
    out.push_str("%!");
    out.push(verb);
    out.push('(');
    if matches!(value, Value::Nil) {
        out.push_str("<nil>");
    } else {
        out.push_str(value.type_name());
        out.push('=');
        show(out, value, Flags::default(), 'v', 0);
    }
    out.push(')');
}

/// Writes one value. `depth` is 0 for an argument itself.
fn show(out: &mut Text, value: &Value, flags: Flags, verb: char, depth: u32) {
    if out.is_full() {
        return;
    }
    if verb == 'T' {
        let name = if matches!(value, Value::Nil) { "<nil>" } else { value.type_name() };
        return text::show(out, name, flags, 's');
    }
    match value {
        Value::Nil if verb == 'v' || depth > 0 => text::pad(out, "<nil>", flags),
        Value::Bool(value) if matches!(verb, 't' | 'v') => {
            text::pad(out, if *value { "true" } else { "false" }, flags);
        }
        Value::Int(value) if integer::knows(verb) => integer::show(out, *value, flags, verb),
        Value::Float(value) if float::knows(verb) => float::show(out, *value, flags, verb),
        Value::String(value) | Value::Safe(_, value) if text::knows(verb) => {
            text::show(out, value, flags, verb);
        }
        Value::Duration(ns) if text::knows(verb) && !flags.source => {
            text::show(out, &crate::time::format_duration(*ns), flags, verb);
        }
        Value::Duration(ns) if integer::knows(verb) => integer::show(out, *ns, flags, verb),
        Value::Time(time) if text::knows(verb) => text::show(out, &time.to_string(), flags, verb),
        Value::List(list) => {
            let open = if flags.source { list.type_name() } else { "" };
            out.push_str(open);
            items(
                out,
                if flags.source { ["{", ", ", "}"] } else { ["[", " ", "]"] },
                list.items(),
                |out, item| {
                    show(out, item, flags, verb, depth + 1);
                },
            );
        }
        Value::Map(map) => show_map(out, map, value.type_name(), flags, verb, depth),
        Value::Object(object) => show_object(out, &**object, flags, verb, depth),
        value => bad_verb(out, value, verb),
    }
}

fn items<T>(
    out: &mut Text,
    marks: [&str; 3],
    items: impl IntoIterator<Item = T>,
    mut each: impl FnMut(&mut Text, T),
) {
    out.push_str(marks[0]);
    for (at, item) in items.into_iter().enumerate() {
        if out.is_full() {
            return;
        }
        if at > 0 {
            out.push_str(marks[1]);
        }
        each(out, item);
    }
    out.push_str(marks[2]);
}

fn show_map(out: &mut Text, map: &Map, type_name: &str, flags: Flags, verb: char, depth: u32) {
    out.push_str(if flags.source { type_name } else { "map" });
    items(
        out,
        if flags.source { ["{", ", ", "}"] } else { ["[", " ", "]"] },
        map.entries(),
        |out, (key, item)| {
            show(out, &Value::String(key.clone()), flags, verb, depth + 1);
            out.push(':');
            show(out, item, flags, verb, depth + 1);
        },
    );
}

fn show_object(out: &mut Text, object: &dyn Object, flags: Flags, verb: char, depth: u32) {
    if !flags.source
        && text::knows(verb)
        && let Some(says) = object.text()
    {
        return text::show(out, &says, flags, verb);
    }
    if let Some(inner) = object.inner() {
        return show(out, &inner, flags, verb, depth);
    }
    let name = object.type_name();
    // A template shows what a pointer points to; `print` says that it is one.
    if name.starts_with('*') && depth == 0 {
        out.push('&');
    }
    if flags.source {
        out.push_str(name.trim_start_matches('*'));
    }
    items(out, ["{", if flags.source { ", " } else { " " }, "}"], object.fields(), |out, field| {
        if flags.names || flags.source {
            out.push_str(field.name);
            out.push(':');
        }
        show(out, &field.value, flags, verb, depth + 1);
    });
}

#[cfg(test)]
mod tests;

//! Answers in the API's envelope: `{"status":"success","data":…,"warnings":[…],"infos":[…]}`.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header;

use crate::body::{Render, streamed};
use crate::json::{self, write_key, write_string_html, write_strings};

/// What a list was cut to `limit` is told with.
pub(crate) const TRUNCATED: &str = "results truncated due to limit";

/// Annotations beyond this many of a kind are only counted, as Prometheus does.
const ANNOTATIONS_MAX: usize = 10;

/// What the user should know about an answer.
#[derive(Debug, Default)]
pub(crate) struct Annotations {
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}

impl Annotations {
    /// With the warning that the list was cut, if it was.
    pub(crate) fn truncated(is_truncated: bool) -> Self {
        let warnings = if is_truncated { vec![TRUNCATED.to_owned()] } else { Vec::new() };
        Self { warnings, infos: Vec::new() }
    }
}

/// An answer whose `data` `write` appends.
pub(crate) fn success(write: impl FnOnce(&mut Vec<u8>)) -> Response {
    success_with(&Annotations::default(), write)
}

/// An answer whose `data` `write` appends, with annotations.
pub(crate) fn success_with(annotations: &Annotations, write: impl FnOnce(&mut Vec<u8>)) -> Response {
    let mut out = Vec::with_capacity(1 << 10);
    begin(&mut out);
    write(&mut out);
    end(&mut out, annotations);
    respond(json::body(out))
}

/// An answer whose `data` is a list of `items`, each written by `write`, rendered while it is sent.
pub(crate) fn success_list<T: Send + Unpin + 'static>(
    items: Vec<T>,
    annotations: Annotations,
    write: fn(&mut Vec<u8>, &T),
) -> Response {
    respond(streamed(List { items: items.into_iter(), write, annotations, started: false }))
}

/// Any body that is the API's JSON.
pub(crate) fn respond(body: Body) -> Response {
    ([(header::CONTENT_TYPE, json::CONTENT_TYPE)], body).into_response()
}

pub(crate) fn begin(out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"status\":\"success\",\"data\":");
}

pub(crate) fn end(out: &mut Vec<u8>, annotations: &Annotations) {
    for (name, texts) in [("warnings", &annotations.warnings), ("infos", &annotations.infos)] {
        if texts.is_empty() {
            continue;
        }
        write_key(out, name);
        if texts.len() <= ANNOTATIONS_MAX {
            write_strings(out, texts);
            continue;
        }
        let kind = if name == "warnings" { "warning" } else { "info" };
        let rest = format!("{} more {kind} annotations omitted", texts.len() - ANNOTATIONS_MAX);
        write_strings(out, texts[..ANNOTATIONS_MAX].iter().chain([&rest]));
    }
    out.push(b'}');
}

struct List<T> {
    items: std::vec::IntoIter<T>,
    write: fn(&mut Vec<u8>, &T),
    annotations: Annotations,
    started: bool,
}

impl<T: Send + Unpin + 'static> Render for List<T> {
    fn render(&mut self, out: &mut Vec<u8>) -> bool {
        let first = !std::mem::replace(&mut self.started, true);
        if first {
            begin(out);
            out.push(b'[');
        }
        if let Some(item) = self.items.next() {
            if !first {
                out.push(b',');
            }
            (self.write)(out, &item);
            return true;
        }
        out.push(b']');
        end(out, &self.annotations);
        false
    }
}

/// For [`success_list`].
#[expect(clippy::ptr_arg, reason = "the list's items are Strings")]
pub(crate) fn write_text(out: &mut Vec<u8>, text: &String) {
    write_string_html(out, text);
}

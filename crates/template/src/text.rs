//! A string that refuses to grow beyond a bound.
//!
//! Why: a template is a program, and `printf "%1000000d"` in a loop is a short one. Everything that makes text writes
//! here; whoever asked for the text looks at [`Text::is_full`] once, instead of at each write.

use std::fmt;

#[derive(Debug)]
pub(crate) struct Text {
    buf: String,
    bytes_max: usize,
    full: bool,
}

impl Text {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { buf: String::new(), bytes_max, full: false }
    }

    pub(crate) fn push_str(&mut self, text: &str) {
        if self.full || text.len() > self.bytes_max - self.buf.len() {
            self.full = true;
        } else {
            self.buf.push_str(text);
        }
    }

    pub(crate) fn push(&mut self, c: char) {
        self.push_str(c.encode_utf8(&mut [0; 4]));
    }

    /// Writes `c` as often as told. A count beyond the bound costs nothing.
    pub(crate) fn fill(&mut self, c: char, count: usize) {
        if self.full || count.saturating_mul(c.len_utf8()) > self.bytes_max - self.buf.len() {
            self.full = true;
        } else {
            self.buf.extend(std::iter::repeat_n(c, count));
        }
    }

    /// Whether something did not fit. What is in it then is of no use.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// What fits still, in bytes.
    pub(crate) fn room(&self) -> usize {
        self.bytes_max - self.buf.len()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.buf
    }

    pub(crate) fn into_string(self) -> String {
        self.buf
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

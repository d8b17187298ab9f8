//! Request lines with characters that should have been escaped: `GET /api/v1/query?query=up{job="x"}`.
//!
//! People type such lines into curl, and Prometheus answers them; hyper refuses them. So `"`, `<` and `>` are
//! escaped on their way to it. They mean nothing else in a request line.

/// Rewrites request lines as their bytes come in. One for each connection.
#[derive(Debug, Default)]
pub(crate) struct RequestLine {
    /// Rewritten bytes that did not fit yet.
    pending: Vec<u8>,
    taken: usize,
    is_complete: bool,
}

impl RequestLine {
    /// A new request begins.
    pub(crate) fn restart(&mut self) {
        self.is_complete = false;
    }

    /// Whether bytes must still go through here.
    pub(crate) fn is_active(&self) -> bool {
        !self.is_complete || self.has_pending()
    }

    pub(crate) fn has_pending(&self) -> bool {
        self.taken < self.pending.len()
    }

    /// Takes bytes as they came.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        debug_assert!(!self.has_pending(), "BUG: bytes would overtake one another");
        self.pending.clear();
        self.taken = 0;
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'"' => self.pending.extend_from_slice(b"%22"),
                b'<' => self.pending.extend_from_slice(b"%3C"),
                b'>' => self.pending.extend_from_slice(b"%3E"),
                b'\n' => {
                    self.is_complete = true;
                    self.pending.extend_from_slice(&bytes[at..]);
                    return;
                }
                other => self.pending.push(*other),
            }
        }
    }

    /// Gives at most `bytes_max` rewritten bytes.
    pub(crate) fn take(&mut self, bytes_max: usize) -> &[u8] {
        let start = self.taken;
        self.taken = self.pending.len().min(start + bytes_max);
        &self.pending[start..self.taken]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pushes `text` in pieces and takes it back in small ones.
    fn rewrite(text: &[u8], piece: usize) -> Vec<u8> {
        let mut line = RequestLine::default();
        let mut out = Vec::new();
        for chunk in text.chunks(piece) {
            if line.is_active() {
                line.push(chunk);
                while line.has_pending() {
                    out.extend_from_slice(line.take(2));
                }
            } else {
                out.extend_from_slice(chunk);
            }
        }
        out
    }

    proptest! {
        #[test]
        fn only_the_first_line_is_escaped_however_it_comes(piece in 1usize..60) {
            let text = b"GET /q?a={b=\"<c>\"} HTTP/1.1\r\nx: \"<>\"\r\n\r\n\"body\"";
            let want = b"GET /q?a={b=%22%3Cc%3E%22} HTTP/1.1\r\nx: \"<>\"\r\n\r\n\"body\"";
            prop_assert_eq!(rewrite(text, piece), want.to_vec());
        }
    }
}

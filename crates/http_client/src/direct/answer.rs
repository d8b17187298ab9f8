//! An HTTP/1.1 answer while it arrives: where its head ends, where its body ends, and whether the connection can be used again.
//!
//! Source: RFC 9112. Bounded: a head by [`HEAD_BYTES_MAX`]; what comes of a body goes to whoever receives it, at once.

use reqwest::StatusCode;

use super::Receive;

/// Longest head of an answer, and longest line within a chunked body.
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 100;

/// Why an answer is of no use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault<E> {
    /// It is not HTTP.
    Malformed(&'static str),
    /// It asks to go elsewhere.
    Redirect,
    /// It was sent before anything was asked: the peer is tired of a connection on which nothing was asked for long.
    Idle,
    /// The receiver does not want it.
    Refused(E),
}

/// An answer while it arrives.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The beginning of a head that is not complete.
    head: Vec<u8>,
    state: State,
    /// Redirects are not for the receiver.
    follows_redirects: bool,
    /// Over a connection that was asked before.
    is_reused: bool,
    keeps_connection: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes are missing.
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Complete,
}

/// Where in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunked {
    /// In the line that says how long the next chunk is; `digits` were read of it.
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind the size, where extensions may stand.
    SizeEnd {
        size: u64,
        skipped: u16,
    },
    Data {
        left: u64,
    },
    /// Before the line feed that ends a chunk.
    DataEnd,
    /// In a line behind the last chunk.
    Trailer {
        line_len: u16,
        lines: u16,
    },
}

/// What a head says.
struct Head {
    len: usize,
    body: State,
    keeps_connection: bool,
}

impl Answer {
    /// Nothing has arrived yet. `is_reused`: over a connection that was asked before.
    pub(crate) fn new(follows_redirects: bool, is_reused: bool) -> Self {
        Self { head: Vec::new(), state: State::Head, follows_redirects, is_reused, keeps_connection: false }
    }

    /// Whether all of it has arrived.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Whether the head has arrived.
    pub(crate) fn has_head(&self) -> bool {
        self.state != State::Head
    }

    /// Whether the connection may be asked again once the answer is complete.
    pub(crate) fn keeps_connection(&self) -> bool {
        self.keeps_connection
    }

    /// The peer has closed the connection. Whether the answer is complete by that.
    pub(crate) fn close(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Complete;
        }
        self.is_complete()
    }

    /// Takes what arrived next.
    pub(crate) fn take<R: Receive>(&mut self, data: &[u8], receiver: &mut R) -> Result<(), Fault<R::Error>> {
        let mut rest = data;
        loop {
            rest = match self.state {
                State::Head => match self.take_head(rest, receiver)? {
                    Some(rest) => rest,
                    None => return Ok(()),
                },
                State::Length(left) => {
                    let (data, rest) = split(rest, left);
                    receiver.data(data).map_err(Fault::Refused)?;
                    let left = left - data.len() as u64;
                    self.state = if left == 0 { State::Complete } else { State::Length(left) };
                    rest
                }
                State::Chunked(chunked) => {
                    let (state, rest) = chunked.step(rest, receiver)?;
                    self.state = state;
                    rest
                }
                State::UntilClose => {
                    receiver.data(rest).map_err(Fault::Refused)?;
                    return Ok(());
                }
                State::Complete => {
                    // Nobody has asked for more.
                    self.keeps_connection &= rest.is_empty();
                    return Ok(());
                }
            };
            if rest.is_empty() && self.state != State::Complete {
                return Ok(());
            }
        }
    }

    /// What follows the head; `None` if it is not complete.
    fn take_head<'a, R: Receive>(
        &mut self,
        data: &'a [u8],
        receiver: &mut R,
    ) -> Result<Option<&'a [u8]>, Fault<R::Error>> {
        let waiting = std::mem::take(&mut self.head);
        let head = if waiting.is_empty() {
            self.parse_head(data, receiver)?
        } else {
            // Most answers come in one piece; this is for the others.
            let mut all = waiting;
            let had = all.len();
            all.extend_from_slice(data);
            let head = if data.contains(&b'\n') { self.parse_head(&all, receiver)? } else { None };
            match head {
                Some(head) => Some(Head { len: head.len - had, ..head }),
                None => {
                    self.head = all;
                    None
                }
            }
        };
        match head {
            Some(head) => {
                (self.state, self.keeps_connection) = (head.body, head.keeps_connection);
                Ok(Some(&data[head.len..]))
            }
            None => {
                if self.head.is_empty() {
                    self.head = data.to_vec();
                }
                if self.head.len() > HEAD_BYTES_MAX {
                    return Err(Fault::Malformed("the head of the answer is too long"));
                }
                Ok(None)
            }
        }
    }

    fn parse_head<R: Receive>(&self, data: &[u8], receiver: &mut R) -> Result<Option<Head>, Fault<R::Error>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let len = match response.parse(data) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Fault::Malformed("too many headers")),
            Err(_) => return Err(Fault::Malformed("the answer is not HTTP")),
        };
        let code = response.code.unwrap_or(0);
        let status = StatusCode::from_u16(code).map_err(|_| Fault::Malformed("not a status of HTTP"))?;
        if status.is_informational() {
            // 101 would be something else, but was not asked for.
            return Ok(Some(Head { len, body: State::Head, keeps_connection: false }));
        }
        if self.is_reused && status == StatusCode::REQUEST_TIMEOUT {
            return Err(Fault::Idle);
        }
        let location = |header: &httparse::Header<'_>| header.name.eq_ignore_ascii_case("location");
        if self.follows_redirects && status.is_redirection() && response.headers.iter().any(location) {
            return Err(Fault::Redirect);
        }
        let (body, keeps_connection) =
            framing(response.version == Some(1), status, response.headers).map_err(Fault::Malformed)?;
        let text = |name: &str| {
            let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            header.and_then(|header| std::str::from_utf8(header.value).ok()).unwrap_or("")
        };
        receiver.head(status, text("content-encoding"), text("content-type")).map_err(Fault::Refused)?;
        Ok(Some(Head { len, body, keeps_connection }))
    }
}

/// How long the body is, and whether the connection can be asked again after it.
fn framing(
    is_1_1: bool,
    status: StatusCode,
    headers: &[httparse::Header<'_>],
) -> Result<(State, bool), &'static str> {
    let (mut length, mut chunked, mut coded) = (None, false, false);
    let mut keeps_connection = is_1_1;
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value).unwrap_or("").trim();
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let value: u64 = match text.parse() {
                Ok(value) if is_number => value,
                _ => return Err("content-length is not a number"),
            };
            if length.is_some_and(|other| other != value) {
                return Err("content-length is given twice");
            }
            length = Some(value);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            coded = true;
            chunked = last_token(header.value).eq_ignore_ascii_case(b"chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            for token in header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if token.eq_ignore_ascii_case(b"close") {
                    keeps_connection = false;
                } else if token.eq_ignore_ascii_case(b"keep-alive") {
                    keeps_connection = true;
                }
            }
        }
    }
    Ok(match length {
        _ if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => {
            (State::Complete, keeps_connection)
        }
        // Both is how answers are smuggled: such a connection is not asked again.
        _ if chunked => {
            (State::Chunked(Chunked::Size { size: 0, digits: 0 }), keeps_connection && length.is_none())
        }
        Some(0) if !coded => (State::Complete, keeps_connection),
        Some(length) if !coded => (State::Length(length), keeps_connection),
        _ => (State::UntilClose, false),
    })
}

fn last_token(list: &[u8]) -> &[u8] {
    list.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii()
}

fn split(data: &[u8], at_most: u64) -> (&[u8], &[u8]) {
    data.split_at(usize::try_from(at_most).unwrap_or(usize::MAX).min(data.len()))
}

impl Chunked {
    /// Goes on by some of `data`, which is not empty.
    fn step<'a, R: Receive>(
        self,
        data: &'a [u8],
        receiver: &mut R,
    ) -> Result<(State, &'a [u8]), Fault<R::Error>> {
        if let Self::Data { left } = self {
            let (data, rest) = split(data, left);
            receiver.data(data).map_err(Fault::Refused)?;
            let left = left - data.len() as u64;
            let next = if left == 0 { Self::DataEnd } else { Self::Data { left } };
            return Ok((State::Chunked(next), rest));
        }
        let Some((byte, rest)) = data.split_first() else { return Ok((State::Chunked(self), data)) };
        match self.after(*byte) {
            Ok(state) => Ok((state, rest)),
            Err(why) => Err(Fault::Malformed(why)),
        }
    }

    /// Where a byte that is not of the data leads.
    fn after(self, byte: u8) -> Result<State, &'static str> {
        let next = match self {
            Self::Size { size, digits } => match (byte as char).to_digit(16) {
                Some(_) if digits == 15 => return Err("a chunk is too long"),
                Some(digit) => Self::Size { size: size << 4 | u64::from(digit), digits: digits + 1 },
                None if digits == 0 => return Err("a chunk without a length"),
                None => return Self::SizeEnd { size, skipped: 0 }.after(byte),
            },
            Self::SizeEnd { size: 0, .. } if byte == b'\n' => Self::Trailer { line_len: 0, lines: 0 },
            Self::SizeEnd { size, .. } if byte == b'\n' => Self::Data { left: size },
            Self::SizeEnd { size, skipped } if usize::from(skipped) < HEAD_BYTES_MAX => {
                Self::SizeEnd { size, skipped: skipped + 1 }
            }
            Self::SizeEnd { .. } => return Err("a chunk with too long an extension"),
            Self::DataEnd if byte == b'\r' => Self::DataEnd,
            Self::DataEnd if byte == b'\n' => Self::Size { size: 0, digits: 0 },
            Self::DataEnd => return Err("a chunk is longer than it says"),
            Self::Data { .. } => return Err("BUG: data is not read byte by byte"),
            Self::Trailer { line_len: 0, .. } if byte == b'\n' => return Ok(State::Complete),
            Self::Trailer { lines, .. } if byte == b'\n' && usize::from(lines) < HEADERS_MAX => {
                Self::Trailer { line_len: 0, lines: lines + 1 }
            }
            Self::Trailer { .. } if byte == b'\r' => self,
            Self::Trailer { line_len, lines } if usize::from(line_len) < HEAD_BYTES_MAX => {
                Self::Trailer { line_len: line_len + 1, lines }
            }
            Self::Trailer { .. } => return Err("the trailer of the answer is too long"),
        };
        Ok(State::Chunked(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was received: the head as a line, then the body.
    #[derive(Default)]
    struct Received(String);

    impl Receive for Received {
        type Error = String;

        fn head(&mut self, status: StatusCode, encoding: &str, content_type: &str) -> Result<(), String> {
            self.0 = format!("{} {encoding} {content_type}\n", status.as_u16());
            Ok(())
        }

        fn data(&mut self, piece: &[u8]) -> Result<(), String> {
            if piece.starts_with(b"~") {
                return Err("not wanted".to_owned());
            }
            self.0.push_str(std::str::from_utf8(piece).expect("text"));
            Ok(())
        }
    }

    /// `want`: what was received and whether the connection can be used again; an answer ends where the input does.
    #[track_caller]
    fn check(input: &str, want: Result<(&str, bool), Fault<String>>) {
        let input = input.replace('\n', "\r\n").replace("\\n", "\n");
        for piece_len in [1, 2, 3, 7, 64, input.len().max(1)] {
            let (mut answer, mut received) = (Answer::new(true, true), Received::default());
            let mut pieces = input.as_bytes().chunks(piece_len);
            let taken = pieces.try_for_each(|piece| answer.take(piece, &mut received));
            let complete = answer.is_complete();
            let got = taken.map(|()| match (complete, answer.close()) {
                (true, _) => (received.0.as_str(), answer.keeps_connection()),
                (false, true) => (received.0.as_str(), false),
                (false, false) => ("cut off", false),
            });
            assert_eq!(got, want, "{input:?} in pieces of {piece_len}");
        }
    }

    #[test]
    fn bodies_end_where_their_head_says() {
        check(
            "HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 5\n\nhello",
            Ok(("200  text/plain\nhello", true)),
        );
        check("HTTP/1.1 200 OK\ncontent-length: 0\ncontent-encoding: gzip\n\n", Ok(("200 gzip \n", true)));
        check("HTTP/1.1 204 No Content\n\n", Ok(("204  \n", true)));
        check("HTTP/1.1 200 OK\n\nuntil the end", Ok(("200  \nuntil the end", false)));
        check("HTTP/1.1 200 OK\ncontent-length: 9\n\nhello", Ok(("cut off", false)));
        check("HTTP/1.1 200 OK\ncontent-le", Ok(("cut off", false)));
        check("HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\ncontent-length: 2\n\nhi", Ok(("200  \nhi", true)));
    }

    #[test]
    fn chunks_are_put_together() {
        let head = "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n";
        check(&format!("{head}5\nhello\n6; a=b\n, you!\n0\n\n"), Ok(("200  \nhello, you!", true)));
        check(&format!("{head}5\nhello\n0\nexpires: never\n\n"), Ok(("200  \nhello", true)));
        check(&format!("{head}5\nhello\n0\n"), Ok(("cut off", false)));
        check(&format!("{head}5\nhello!\n0\n\n"), Err(Fault::Malformed("a chunk is longer than it says")));
        check(&format!("{head}x\nhello"), Err(Fault::Malformed("a chunk without a length")));
        check(&format!("{head}1000000000000000\nhello"), Err(Fault::Malformed("a chunk is too long")));
    }

    #[test]
    fn a_connection_is_asked_again_only_if_both_know_where_they_are() {
        check("HTTP/1.1 200 OK\nconnection: Close\ncontent-length: 2\n\nhi", Ok(("200  \nhi", false)));
        check("HTTP/1.0 200 OK\ncontent-length: 2\n\nhi", Ok(("200  \nhi", false)));
        check("HTTP/1.0 200 OK\nconnection: keep-alive\ncontent-length: 2\n\nhi", Ok(("200  \nhi", true)));
        check("HTTP/1.1 200 OK\ncontent-length: 2\n\nhi there", Ok(("200  \nhi", false)));
        check(
            "HTTP/1.1 200 OK\ncontent-length: 2\ntransfer-encoding: chunked\n\n2\nhi\n0\n\n",
            Ok(("200  \nhi", false)),
        );
        check("HTTP/1.1 200 OK\ntransfer-encoding: gzip\ncontent-length: 2\n\nhi", Ok(("200  \nhi", false)));
    }

    #[test]
    fn what_is_not_an_answer_is_told_apart() {
        check("SSH-2.0-OpenSSH_9.6\n", Err(Fault::Malformed("the answer is not HTTP")));
        check("HTTP/1.1 408 Request Timeout\n\n", Err(Fault::Idle));
        check("HTTP/1.1 302 Found\nlocation: /here\ncontent-length: 0\n\n", Err(Fault::Redirect));
        check("HTTP/1.1 304 Not Modified\n\n", Ok(("304  \n", true)));
        check("HTTP/1.1 200 OK\ncontent-length: 2\n\n~~", Err(Fault::Refused("not wanted".to_owned())));
        for length in ["-1", "+1", "", "2, 2", "99999999999999999999999"] {
            let wrong = Err(Fault::Malformed("content-length is not a number"));
            check(&format!("HTTP/1.1 200 OK\ncontent-length: {length}\n\n"), wrong);
        }
        check(
            "HTTP/1.1 200 OK\ncontent-length: 2\ncontent-length: 3\n\n",
            Err(Fault::Malformed("content-length is given twice")),
        );
        let long = format!("HTTP/1.1 200 OK\na: {}\n", "x".repeat(HEAD_BYTES_MAX));
        check(&long, Err(Fault::Malformed("the head of the answer is too long")));
    }
}

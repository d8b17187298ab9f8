//! Answers of servers that tell targets, recorded or as their documentation has them, and the targets that come of them: `testdata/*.txt`.
//!
//! The tests of each mechanism use them, and the suite that runs the documentation's snippets with the real binary
//! (`tests/src/internet.rs` includes this file).
//!
//! A file begins with what it is. Then come answers, each below a line `> METHOD PATH?NAME=VALUE WORDS`: it is for requests of this
//! method and path with at least these parameters, in whose head or body each of the words occurs (after percent-decoding); the first
//! that fits is given. Before its body stand lines `< STATUS`, `< NAME: VALUE` or `< hold` (it never comes). `{base}` in it is where the
//! server was asked. Below lines `= NAME` stand targets: a line a label, an empty line between targets.

use std::collections::BTreeMap;

/// A file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded {
    answers: Vec<Answer>,
    targets: BTreeMap<String, String>,
}

/// An answer, and the requests that it is for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    words: Vec<String>,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// It never comes.
    pub(crate) hold: bool,
}

impl Recorded {
    /// Reads a file.
    pub(crate) fn parse(text: &str) -> Self {
        let mut recorded = Self::default();
        let mut targets: Option<String> = None;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("= ") {
                targets = Some(name.to_owned());
                recorded.targets.insert(name.to_owned(), String::new());
            } else if let Some(name) = &targets {
                recorded.targets.entry(name.clone()).or_default().push_str(&format!("{line}\n"));
            } else if let Some(request) = line.strip_prefix("> ") {
                recorded.answers.push(Answer::to(request));
            } else if let Some(answer) = recorded.answers.last_mut() {
                answer.add(line);
            }
        }
        recorded
    }

    /// Targets under a name.
    pub(crate) fn targets(&self, name: &str) -> &str {
        self.targets.get(name).unwrap_or_else(|| panic!("no targets {name:?}")).trim()
    }

    /// The answer to a request: its method, its path with parameters, and its head (names of headers in lower case) and body.
    pub(crate) fn answer(&self, method: &str, target: &str, rest: &str) -> Option<&Answer> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (query, rest) = (pairs(query), format!("{rest}\n{}", decoded(rest)));
        self.answers.iter().find(|answer| {
            answer.method == method
                && answer.path == decoded(path)
                && answer.query.iter().all(|pair| query.contains(pair))
                && answer.words.iter().all(|word| rest.contains(word.as_str()))
        })
    }
}

impl Answer {
    fn to(request: &str) -> Self {
        let mut words = request.split_whitespace().map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (path, query) = (path.to_owned(), pairs(query));
        Self { method, path, query, words: words.collect(), status: 200, ..Self::default() }
    }

    fn add(&mut self, line: &str) {
        match line.strip_prefix("< ").filter(|_| self.body.is_empty()) {
            None => self.body.push_str(&format!("{line}\n")),
            Some("hold") => self.hold = true,
            Some(head) => match head.split_once(": ") {
                Some((name, value)) => self.headers.push((name.to_owned(), value.to_owned())),
                None => self.status = head.parse().unwrap_or_else(|_| panic!("{head:?} is no status")),
            },
        }
    }

    /// The body, given where the server was asked.
    pub(crate) fn body(&self, base: &str) -> String {
        self.body.trim_end().replace("{base}", base)
    }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    };
    query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

/// Percent-decoded; what is no encoding stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        match (first, after) {
            (b'%', [one, two, after @ ..]) if hex(&[*one, *two]).is_some() => {
                bytes.extend(hex(&[*one, *two]));
                rest = after;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

//! How far a long work is, in one line on standard error that is written over. If that is no terminal: nothing, or a line now and then for works
//! that may take hours.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use model::size::format_size_bytes;

/// Often enough to see it move.
const PERIOD: Duration = Duration::from_millis(200);
/// Of whole lines, where they go into a log.
const LINES_PERIOD: Duration = Duration::from_secs(10);
const BAR_CHARS: u64 = 30;

/// A bar that fills.
pub(crate) struct Progress {
    what: &'static str,
    /// What is counted; bytes if empty.
    unit: &'static str,
    total: u64,
    done: u64,
    shown: Option<Instant>,
    is_terminal: bool,
    /// When the last whole line was written; `None` if none are wanted.
    line_written: Option<Instant>,
}

impl Progress {
    /// An empty bar of bytes.
    pub(crate) fn new(what: &'static str, total_bytes: u64) -> Self {
        Self::counting(what, total_bytes, "")
    }

    /// An empty bar of something else.
    pub(crate) fn counting(what: &'static str, total: u64, unit: &'static str) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { what, unit, total, done: 0, shown: None, is_terminal, line_written: None }
    }

    /// Writes whole lines, far apart, if there is no terminal.
    pub(crate) fn with_lines(self) -> Self {
        Self { line_written: Some(Instant::now()), ..self }
    }

    /// Says something else, in a line of its own.
    pub(crate) fn say(&mut self, text: &str) {
        // Nobody is harmed if it cannot be shown.
        let clear = if self.shown.take().is_some() { "\r\x1b[K" } else { "" };
        let _ = writeln!(std::io::stderr(), "{clear}{text}");
    }

    /// So many more are done.
    pub(crate) fn add(&mut self, more: u64) {
        self.done += more;
        if self.is_terminal && self.shown.is_none_or(|shown| shown.elapsed() >= PERIOD) {
            self.shown = Some(Instant::now());
            // Nobody is harmed if it cannot be shown.
            let _ = write!(std::io::stderr(), "\r{}", self.line());
        }
        let is_due = self.line_written.is_some_and(|written| written.elapsed() >= LINES_PERIOD);
        if is_due && !self.is_terminal {
            self.line_written = Some(Instant::now());
            let _ = writeln!(std::io::stderr(), "{}", self.line().trim_end());
        }
    }

    fn line(&self) -> String {
        let share =
            (u128::from(self.done.min(self.total)) * u128::from(BAR_CHARS)).checked_div(self.total.into());
        let filled = share.unwrap_or(BAR_CHARS.into()) as usize;
        let rest = BAR_CHARS as usize - filled;
        let text = |number| if self.unit.is_empty() { format_size_bytes(number) } else { number.to_string() };
        let (done, total) = (text(self.done), text(self.total));
        let bar = format!("{}{}", "#".repeat(filled), " ".repeat(rest));
        format!("{} [{bar}] {done} of {total} {}  ", self.what, self.unit)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills() {
        let mut progress = Progress::new("reading", 3000);
        progress.add(1000);
        let want = format!("reading [{}{}]", "#".repeat(10), " ".repeat(20));
        assert!(progress.line().starts_with(&want), "{}", progress.line());
        progress.add(9000);
        assert!(progress.line().contains(&"#".repeat(30)));
        assert!(Progress::new("reading", 0).line().contains(&"#".repeat(30)));
    }
}

//! `scrape_failure_log_file`: one JSON line for each failed scrape, for people who look for a pattern.
//!
//! Written by a task of its own behind a bounded queue: a slow disk costs lines, never scrapes.

use std::fs::OpenOptions;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::error::Error;

/// Lines that may wait to be written; more are dropped and their number is logged.
const WAITING_MAX: usize = 1_024;

/// Where a pool's failed scrapes are listed. The file is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct FailureLog {
    job: String,
    path: String,
    lines: mpsc::Sender<Said>,
}

/// What the task that writes is told.
#[derive(Debug)]
enum Said {
    Line(Vec<u8>),
    /// Go on in this file: somebody may have moved the other away.
    Reopened(std::fs::File),
}

/// A line, with the keys that Prometheus uses.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'static str,
    msg: &'a str,
    job_name: &'a str,
    target: &'a str,
}

impl FailureLog {
    /// Opens the file, or makes it; lines are added at its end. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(crate) fn open(job: &str, path: &str) -> Result<Self, Error> {
        let file = open_file(job, path)?;
        let (lines, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(write(File::from_std(file), path.to_owned(), waiting));
        Ok(Self { job: job.to_owned(), path: path.to_owned(), lines })
    }

    /// Opens the file anew, so that one that was moved away can be archived.
    ///
    /// # Errors
    /// If it cannot be opened; the old one is gone on with then.
    pub(crate) fn reopen(&self) -> Result<(), Error> {
        let file = open_file(&self.job, &self.path)?;
        if self.lines.try_send(Said::Reopened(file)).is_err() {
            tracing::warn!(job = self.job, "the scrape failure log is too slow to be opened anew");
        }
        Ok(())
    }

    /// Lists a failed scrape.
    pub(crate) fn add(&self, now_ms: i64, target: &str, error: &str) {
        let time =
            Timestamp::from_millisecond(now_ms).map_or_else(|_| now_ms.to_string(), |time| time.to_string());
        let line = Line { time, level: "ERROR", msg: error, job_name: &self.job, target };
        let mut text = match serde_json::to_vec(&line) {
            Ok(text) => text,
            Err(error) => return tracing::error!(%error, "a failed scrape cannot be written as JSON"),
        };
        text.push(b'\n');
        if self.lines.try_send(Said::Line(text)).is_err() {
            tracing::warn!(job = self.job, target, "the scrape failure log is too slow; a line is lost");
        }
    }
}

fn open_file(job: &str, path: &str) -> Result<std::fs::File, Error> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|source| Error::FailureLog { job: job.to_owned(), path: PathBuf::from(path), source })
}

async fn write(mut file: File, path: String, mut waiting: mpsc::Receiver<Said>) {
    while let Some(said) = waiting.recv().await {
        let line = match said {
            Said::Line(line) => line,
            Said::Reopened(reopened) => {
                if let Err(error) = file.flush().await {
                    tracing::warn!(path, %error, "cannot write to the scrape failure log");
                }
                file = File::from_std(reopened);
                continue;
            }
        };
        let written = match file.write_all(&line).await {
            Ok(()) if waiting.is_empty() => file.flush().await,
            other => other,
        };
        if let Err(error) = written {
            tracing::warn!(path, %error, "cannot write to the scrape failure log");
        }
    }
}

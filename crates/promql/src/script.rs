//! Runs Prometheus' PromQL test scripts: data is loaded, queries are evaluated, results and annotations compared.
//!
//! The language: plain text, `#` comments, commands in order. `load <interval>` with indented series of points;
//! `load_with_nhcb` also loads every classic histogram as a native one with custom buckets; `clear`; `eval instant
//! at <time> <query>` and `eval range from <start> to <end> step <step> <query>` with indented `expect` lines and
//! expected series. Each instant query is also run as range queries around its time: an engine must give the same
//! answer both ways.
//!
//! Map: `command` text to commands · `points` the notation of samples · `load` samples into storage · `classic`
//! classic histograms as native ones · `check` results against expectations · [`input`] the notation of series for others.

mod check;
mod classic;
mod command;
pub mod input;
mod load;
mod points;

use std::fmt;
use std::sync::Arc;

use model::TenantId;
use stdx::memory::Budget;
use storage::memory::MemoryStorage;

use crate::engine::{Engine, QueryOptions, Settings};
use crate::error::QueryError;
use crate::value::QueryResult;

use command::{Command, Eval, When};

/// What became of a script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Evaluations that gave what was expected.
    pub passed: usize,
    /// Evaluations that did not, faults of the script itself included.
    pub failed: usize,
    /// One for each that failed, in order.
    pub failures: Vec<Failure>,
}

/// An evaluation that did not give what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Line of the script, from 1.
    pub line: usize,
    /// The query; empty if the script itself is at fault.
    pub query: String,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}: {}\n  expected: {}\n  got:      {}",
            self.line, self.query, self.expected, self.got
        )
    }
}

/// What was expected, and what came instead.
#[derive(Debug)]
struct Mismatch {
    expected: String,
    got: String,
}

impl Mismatch {
    fn new(expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { expected: expected.into(), got: got.into() }
    }
}

/// Runs a script with an engine and storage of its own.
pub fn run(text: &str) -> Report {
    let mut report = Report::default();
    let commands = match command::parse(text) {
        Ok(commands) => commands,
        Err(fault) => {
            report.fail(fault.line, String::new(), Mismatch::new("a well-formed script", fault.message));
            return report;
        }
    };
    let runner = Runner::new();
    for (line, command) in commands {
        match command {
            Command::Clear => runner.storage.clear(),
            Command::Load(load) => {
                if let Err(message) = load::load(&load, &runner.storage, &runner.tenant) {
                    report.fail(line, String::new(), Mismatch::new("samples that can be loaded", message));
                }
            }
            Command::Eval(eval) => match runner.eval(&eval) {
                Ok(()) => report.passed += 1,
                Err(mismatch) => report.fail(line, eval.query.clone(), mismatch),
            },
        }
    }
    report
}

impl Report {
    fn fail(&mut self, line: usize, query: String, mismatch: Mismatch) {
        self.failed += 1;
        self.failures.push(Failure { line, query, expected: mismatch.expected, got: mismatch.got });
    }
}

struct Runner {
    storage: Arc<MemoryStorage>,
    tenant: TenantId,
    engine: Engine,
    options: QueryOptions,
}

/// Distance of the steps of a range query that checks an instant query.
const AROUND_MS: i64 = 60_000;

impl Runner {
    fn new() -> Self {
        Self {
            storage: MemoryStorage::new(),
            tenant: TenantId::anonymous(),
            // The language of the scripts assumes every feature.
            engine: Engine::new(
                Settings { delayed_name_removal: true, use_start_timestamps: true, ..Settings::default() },
                Budget::unlimited(),
            ),
            options: QueryOptions::default(),
        }
    }

    fn eval(&self, eval: &Eval) -> Result<(), Mismatch> {
        match eval.when {
            When::Range { start_ms, end_ms, step_ms } => {
                let result = self.range(&eval.query, start_ms, end_ms, step_ms);
                check::range_result(eval, result, start_ms, step_ms)
            }
            When::Instant { time_ms } => {
                let result = self.engine.instant(
                    self.storage.as_ref(),
                    &self.tenant,
                    &eval.query,
                    time_ms,
                    &self.options,
                );
                let succeeded = result.is_ok();
                check::instant_result(eval, result, time_ms)?;
                if succeeded && check::holds_in_ranges(eval) {
                    self.eval_around(eval, time_ms)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn range(
        &self,
        query: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
    ) -> Result<QueryResult, QueryError> {
        self.engine.range(
            self.storage.as_ref(),
            &self.tenant,
            query,
            start_ms,
            end_ms,
            step_ms,
            &self.options,
        )
    }

    /// Runs an instant query as the one step, and as the middle step, of range queries.
    fn eval_around(&self, eval: &Eval, time_ms: i64) -> Result<(), Mismatch> {
        for (kind, around_ms) in [("one step", 0), ("three steps", AROUND_MS)] {
            let result = self.range(&eval.query, time_ms - around_ms, time_ms + around_ms, AROUND_MS);
            check::step_of_range(eval, result, time_ms).map_err(|mismatch| {
                Mismatch::new(format!("as a range query of {kind}: {}", mismatch.expected), mismatch.got)
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_and_failed_evaluations_are_counted_with_their_lines() {
        let report =
            run("load 1m\n  a 1 2 3\n\neval instant at 1m a\n  a 2\n\neval instant at 1m a\n  a 3\n");
        assert_eq!((report.passed, report.failed), (1, 1));
        assert_eq!(report.failures[0].line, 7);
        assert!(report.failures[0].to_string().contains("expected"));
    }

    #[test]
    fn a_script_that_cannot_be_read_fails_and_says_where() {
        let report = run("load 1m\n  a 1\n\nevaluate a\n");
        assert_eq!((report.passed, report.failed, report.failures[0].line), (0, 1, 4));
    }
}

//! The text of a script to its commands.

use regex::Regex;

use super::points::{self, Point, SeriesPoints};

/// A command.
#[derive(Debug)]
pub(super) enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

/// Samples to add.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) interval_ms: i64,
    pub(super) series: Vec<SeriesPoints>,
    /// Whether classic histograms are loaded as native ones, too.
    pub(super) with_native: bool,
}

/// A query and what is expected of it.
#[derive(Debug)]
pub(super) struct Eval {
    pub(super) query: String,
    pub(super) when: When,
    pub(super) expected: Expected,
    pub(super) fail: Option<Text>,
    pub(super) warn: AnnotationRule,
    pub(super) info: AnnotationRule,
    pub(super) ordered: bool,
}

/// When a query is evaluated.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    Instant { time_ms: i64 },
    Range { start_ms: i64, end_ms: i64, step_ms: i64 },
}

/// The expected result.
#[derive(Debug)]
pub(super) enum Expected {
    /// Series; for an instant query, the first point of each. None at all is expected if it is empty.
    Series(Vec<SeriesPoints>),
    Scalar(f64),
    Text(String),
    /// Series of a range vector, whose points are `step_ms` apart from `start_ms` on.
    Matrix {
        series: Vec<SeriesPoints>,
        start_ms: i64,
        step_ms: i64,
    },
}

/// Which annotations are expected.
#[derive(Debug, Default)]
pub(super) struct AnnotationRule {
    pub(super) none: bool,
    pub(super) texts: Vec<Text>,
}

/// A text to compare with.
#[derive(Debug)]
pub(super) enum Text {
    Any,
    Exact(String),
    Pattern(Regex),
}

impl Text {
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == text,
            Self::Pattern(pattern) => pattern.is_match(text),
        }
    }
}

/// A line that is no command.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) message: String,
}

type Lines<'a> = std::iter::Peekable<std::iter::Enumerate<std::str::Lines<'a>>>;

/// Reads a whole script. Commands come with their lines, from 1.
pub(super) fn parse(text: &str) -> Result<Vec<(usize, Command)>, Fault> {
    let mut commands = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = at + 1;
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let block = block(&mut lines);
        let command = match word {
            "clear" => Ok(Command::Clear),
            "load" | "load_with_nhcb" => parse_load(rest, word != "load", &block),
            _ if word == "eval" || word.starts_with("eval_") => parse_eval(word, rest.trim(), &block),
            _ => Err(Fault { line: number, message: format!("unknown command {word:?}") }),
        };
        commands.push((number, command.map_err(|fault| Fault { line: fault.line.max(number), ..fault })?));
    }
    Ok(commands)
}

/// The indented lines that follow a command.
fn block<'a>(lines: &mut Lines<'a>) -> Vec<(usize, &'a str)> {
    let mut block = Vec::new();
    while let Some((at, line)) =
        lines.next_if(|(_, line)| line.starts_with(char::is_whitespace) && !line.trim().is_empty())
    {
        if !line.trim().starts_with('#') {
            block.push((at + 1, line.trim()));
        }
    }
    block
}

fn fault(line: usize) -> impl Fn(String) -> Fault {
    move |message| Fault { line, message }
}

fn parse_load(interval: &str, with_native: bool, block: &[(usize, &str)]) -> Result<Command, Fault> {
    let interval_ms = parse_time(interval.trim()).map_err(fault(0))?;
    let mut series = Vec::new();
    for (number, line) in block {
        series.push(points::parse_series(line).map_err(fault(*number))?);
    }
    Ok(Command::Load(Load { interval_ms, series, with_native }))
}

fn parse_eval(word: &str, rest: &str, block: &[(usize, &str)]) -> Result<Command, Fault> {
    let (when, query) = parse_when(rest).map_err(fault(0))?;
    let mut eval = Eval {
        query: query.to_owned(),
        when,
        expected: Expected::Series(Vec::new()),
        fail: (word == "eval_fail").then_some(Text::Any),
        warn: AnnotationRule::default(),
        info: AnnotationRule::default(),
        ordered: word == "eval_ordered",
    };
    match word {
        "eval_warn" => eval.warn.texts.push(Text::Any),
        "eval_info" => eval.info.texts.push(Text::Any),
        _ => {}
    }
    for (number, line) in block {
        parse_expectation(line, &mut eval).map_err(fault(*number))?;
    }
    Ok(Command::Eval(Box::new(eval)))
}

fn parse_when(rest: &str) -> Result<(When, &str), String> {
    let mut words = Words(rest);
    match words.next() {
        "instant" => {
            words.expect("at")?;
            let time_ms = parse_time(words.next())?;
            Ok((When::Instant { time_ms }, words.0.trim()))
        }
        "range" => {
            words.expect("from")?;
            let start_ms = parse_time(words.next())?;
            words.expect("to")?;
            let end_ms = parse_time(words.next())?;
            words.expect("step")?;
            let step_ms = parse_time(words.next())?;
            Ok((When::Range { start_ms, end_ms, step_ms }, words.0.trim()))
        }
        other => Err(format!("expected instant or range after eval, got {other:?}")),
    }
}

struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn next(&mut self) -> &'a str {
        let text = self.0.trim_start();
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        self.0 = &text[end..];
        &text[..end]
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        let got = self.next();
        if got == word { Ok(()) } else { Err(format!("expected {word:?}, got {got:?}")) }
    }
}

/// A duration since zero, or seconds, with or without a sign.
fn parse_time(text: &str) -> Result<i64, String> {
    let (sign, unsigned) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    if let Ok(seconds) = unsigned.parse::<f64>() {
        return Ok(sign * (seconds * 1000.0).round() as i64);
    }
    let duration_ms = model::time::parse_duration_ms(unsigned).map_err(|error| error.to_string())?;
    Ok(sign * duration_ms)
}

fn parse_expectation(line: &str, eval: &mut Eval) -> Result<(), String> {
    if let Some(rest) = line.strip_prefix("expected_fail_message ") {
        eval.fail = Some(Text::Exact(rest.trim().to_owned()));
        return Ok(());
    }
    if let Some(rest) = line.strip_prefix("expected_fail_regexp ") {
        eval.fail = Some(Text::Pattern(Regex::new(rest.trim()).map_err(|error| error.to_string())?));
        return Ok(());
    }
    if let Some(rest) = line.strip_prefix("expect ") {
        return parse_expect(rest.trim(), eval);
    }
    if let Some(value) = points::parse_number(line) {
        eval.expected = Expected::Scalar(value);
        return Ok(());
    }
    let parsed = points::parse_series(line)?;
    match &mut eval.expected {
        Expected::Series(series) | Expected::Matrix { series, .. } => {
            series.push(parsed);
            Ok(())
        }
        _ => Err("a series and a scalar or string are expected at once".to_owned()),
    }
}

fn parse_expect(rest: &str, eval: &mut Eval) -> Result<(), String> {
    let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    match word {
        "fail" => eval.fail = Some(parse_text(rest)?),
        "warn" => eval.warn.texts.push(parse_text(rest)?),
        "info" => eval.info.texts.push(parse_text(rest)?),
        "no_warn" => eval.warn.none = true,
        "no_info" => eval.info.none = true,
        "ordered" => eval.ordered = true,
        "string" => eval.expected = Expected::Text(parse_string(rest.trim())?),
        "range" => {
            let mut words = Words(rest);
            words.expect("vector")?;
            words.expect("from")?;
            let start_ms = parse_time(words.next())?;
            words.expect("to")?;
            parse_time(words.next())?;
            words.expect("step")?;
            let step_ms = parse_time(words.next())?;
            eval.expected = Expected::Matrix { series: Vec::new(), start_ms, step_ms };
        }
        _ => return Err(format!("unknown expectation {word:?}")),
    }
    Ok(())
}

fn parse_text(rest: &str) -> Result<Text, String> {
    let rest = rest.trim();
    if let Some(text) = rest.strip_prefix("msg:") {
        return Ok(Text::Exact(text.trim().to_owned()));
    }
    if let Some(pattern) = rest.strip_prefix("regex:") {
        return Regex::new(pattern.trim()).map(Text::Pattern).map_err(|error| error.to_string());
    }
    if rest.is_empty() { Ok(Text::Any) } else { Err(format!("expected msg: or regex:, got {rest:?}")) }
}

/// A string literal, read by the parser of the language itself.
fn parse_string(text: &str) -> Result<String, String> {
    match crate::parser::parse(text).map(|expr| expr.kind) {
        Ok(crate::ast::ExprKind::String(text)) => Ok(text),
        _ => Err(format!("not a string: {text}")),
    }
}

impl Eval {
    /// The expected value of a series at its only step.
    pub(super) fn first_point(series: &SeriesPoints) -> Option<&Point> {
        series.points.first()
    }
}

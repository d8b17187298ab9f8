//! A request's parameters: from the URL, and from a form in the body, which goes first as in Go.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use http::{Method, header};
use model::Matcher;
use model::labels::write_quoted;
use model::time::parse_duration_ms;

use crate::body::read_body;
use crate::error::ApiError;
use crate::state::State;

/// Prometheus' bounds of time, as its API writes them: what `start` and `end` are if they are left out.
pub(crate) const MIN_TIME_MS: i64 = (i64::MIN / 1_000 + 62_135_596_801) * 1_000;
/// See [`MIN_TIME_MS`].
pub(crate) const MAX_TIME_MS: i64 = (i64::MAX / 1_000 - 62_135_596_801) * 1_000 + 999;
const MIN_TIME_TEXT: &str = "-292273086-05-16T16:47:06Z";
const MAX_TIME_TEXT: &str = "292277025-08-18T07:12:54.999999999Z";

/// Decoded parameters, in order of appearance, those of the body first.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl FromRequest<Arc<State>> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let mut params = Self::default();
        let content_type =
            parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        let is_form = content_type
            .split(';')
            .next()
            .is_some_and(|t| t.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        if is_form && [Method::POST, Method::PUT].contains(&parts.method) {
            let body = read_body(body, state.settings.form_bytes_max, &state.settings).await?;
            let text = std::str::from_utf8(&body)
                .map_err(|_| ApiError::bad_data("error parsing form values: the body is not UTF-8"))?;
            params.add(text)?;
        }
        params.add(parts.uri.query().unwrap_or(""))?;
        Ok(params)
    }
}

impl Params {
    /// Those of a URL alone: bodies of pushes are no forms, whatever their header says.
    ///
    /// # Errors
    /// If something is not well escaped.
    pub(crate) fn of_query(query: &str) -> Result<Self, ApiError> {
        let mut params = Self::default();
        params.add(query)?;
        Ok(params)
    }

    /// Whether a parameter is there, be it without a value, and not `false`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some_and(|value| value != "false")
    }

    fn add(&mut self, encoded: &str) -> Result<(), ApiError> {
        for pair in encoded.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode(name).and_then(|name| Ok((name, decode(value)?)));
            let decoded =
                decoded.map_err(|e| ApiError::bad_data(format!("error parsing form values: {e}")))?;
            self.0.push(decoded);
        }
        Ok(())
    }

    /// The first value of a parameter; empty if it is missing, as Go has it.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or("")
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// `1` or `true`, and off if it is missing.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            "" | "0" | "false" => Ok(false),
            "1" | "true" => Ok(true),
            _ => Err(ApiError::invalid_parameter(name, "write 1 or 0")),
        }
    }

    /// An optional time, in milliseconds.
    pub(crate) fn time_or(&self, name: &str, default_ms: i64) -> Result<i64, ApiError> {
        match self.get(name) {
            "" => Ok(default_ms),
            text => parse_time_ms(text).map_err(|e| {
                ApiError::invalid_parameter(name, format_args!("invalid time value for '{name}': {e}"))
            }),
        }
    }

    /// A time that must be there, in milliseconds.
    pub(crate) fn time(&self, name: &str) -> Result<i64, ApiError> {
        parse_time_ms(self.get(name)).map_err(|e| ApiError::invalid_parameter(name, e))
    }

    /// A duration that must be there, in milliseconds; may be zero or negative.
    pub(crate) fn duration_ms(&self, name: &str) -> Result<i64, ApiError> {
        parse_api_duration_ms(self.get(name)).map_err(|e| ApiError::invalid_parameter(name, e))
    }

    /// How long the client wants to wait.
    pub(crate) fn timeout(&self) -> Result<Option<Duration>, ApiError> {
        if self.get("timeout").is_empty() {
            return Ok(None);
        }
        let timeout_ms = self.duration_ms("timeout")?;
        let timeout_ms = u64::try_from(timeout_ms)
            .map_err(|_| ApiError::invalid_parameter("timeout", "negative timeouts are not accepted"))?;
        Ok(Some(Duration::from_millis(timeout_ms)))
    }

    /// How many results are wanted; 0 for all.
    pub(crate) fn limit(&self) -> Result<usize, ApiError> {
        let text = self.get("limit");
        if text.is_empty() {
            return Ok(0);
        }
        let limit = parse_int(text).map_err(|e| ApiError::invalid_parameter("limit", e))?;
        usize::try_from(limit).map_err(|_| ApiError::invalid_parameter("limit", "limit must be non-negative"))
    }

    /// A limit whose fault Prometheus tells in one sentence; `None` if it is missing or negative.
    pub(crate) fn plain_limit(&self, name: &str) -> Result<Option<usize>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => match parse_int(text) {
                Ok(limit) => Ok(usize::try_from(limit).ok()),
                Err(_) => Err(ApiError::bad_data(format!("{name} must be a number"))),
            },
        }
    }

    /// The selectors of `match[]`, each with at least one matcher that an absent label does not meet.
    pub(crate) fn matcher_sets(&self) -> Result<Vec<Vec<Matcher>>, String> {
        let mut sets = Vec::new();
        for text in self.all("match[]") {
            sets.extend(parse_matcher_sets(text)?);
        }
        if sets.iter().any(|set| set.iter().all(Matcher::matches_empty)) {
            return Err("match[] must contain at least one non-empty matcher".to_owned());
        }
        Ok(sets)
    }
}

/// The matchers of a selector, a set for each of its alternatives (`{a="b" or c="d"}`).
pub(crate) fn parse_matcher_sets(text: &str) -> Result<Vec<Vec<Matcher>>, String> {
    promql::parser::parse_selectors(text).map_err(|faults| promql::QueryError::Parse(faults).to_string())
}

/// The matchers of a selector without alternatives.
pub(crate) fn parse_matchers(text: &str) -> Result<Vec<Matcher>, String> {
    match promql::parser::parse_selector(text) {
        Ok(selector) => Ok(selector.matchers),
        Err(faults) => Err(promql::QueryError::Parse(faults).to_string()),
    }
}

/// `%41+b` to `A b`.
pub(crate) fn decode(text: &str) -> Result<String, String> {
    if !text.contains(['%', '+']) {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex = rest.get(..2).and_then(|hex| Some((hex_digit(hex[0])?, hex_digit(hex[1])?)));
                let Some((high, low)) = hex else {
                    let shown: String =
                        text.bytes().skip(text.len() - rest.len() - 1).take(3).map(char::from).collect();
                    return Err(format!("invalid URL escape {}", quoted(&shown)));
                };
                bytes.push(high << 4 | low);
                rest = &rest[2..];
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", quoted(text)))
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// In double quotes as Go's `%q`, cut where somebody sends a book.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN_MAX: usize = 1_000;
    let mut out = String::new();
    write_quoted(&mut out, &text[..text.floor_char_boundary(SHOWN_MAX)]).expect("a String takes everything");
    out
}

/// Go's `strconv.Atoi`, with its texts.
fn parse_int(text: &str) -> Result<i64, String> {
    text.parse::<i64>().map_err(|error| {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};
        let fault = match error.kind() {
            PosOverflow | NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.Atoi: parsing {}: {fault}", quoted(text))
    })
}

/// Seconds since the epoch, with a fraction if wanted, or RFC 3339. Milliseconds.
pub(crate) fn parse_time_ms(text: &str) -> Result<i64, String> {
    let invalid = || format!("cannot parse {} to a valid timestamp", quoted(text));
    match text {
        MIN_TIME_TEXT => return Ok(MIN_TIME_MS),
        MAX_TIME_TEXT => return Ok(MAX_TIME_MS),
        _ => {}
    }
    if let Ok(seconds) = model::number::parse_float(text.as_bytes()) {
        // As Prometheus rounds: the fraction to milliseconds, by way of whole nanoseconds.
        let nanos = (seconds.fract() * 1_000.0).round() / 1_000.0 * 1e9;
        if seconds.is_nan() || seconds.abs() >= (i64::MAX / 1_000) as f64 {
            return Err(invalid());
        }
        return Ok(seconds.trunc() as i64 * 1_000 + (nanos as i64).div_euclid(1_000_000));
    }
    if !looks_like_rfc3339(text) {
        return Err(invalid());
    }
    let timestamp: jiff::Timestamp = text.parse().map_err(|_| invalid())?;
    Ok(i64::try_from(timestamp.as_nanosecond().div_euclid(1_000_000)).expect("years -9999 to 9999 fit"))
}

/// jiff reads more than RFC 3339; Prometheus does not.
fn looks_like_rfc3339(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = |(byte, want): (&u8, &u8)| if *want == b'd' { byte.is_ascii_digit() } else { byte == want };
    bytes.len() > shape.len()
        && bytes.iter().zip(shape).all(fits)
        && (text.ends_with('Z') || matches!(bytes[bytes.len() - 6..], [b'+' | b'-', _, _, b':', _, _]))
}

/// Seconds, with a fraction if wanted, or Prometheus' `1h30m`. Milliseconds.
pub(crate) fn parse_api_duration_ms(text: &str) -> Result<i64, String> {
    let invalid = |why: &str| format!("cannot parse {} to a valid duration{why}", quoted(text));
    if let Ok(seconds) = model::number::parse_float(text.as_bytes()) {
        let nanos = seconds * 1e9;
        if nanos.is_nan() || nanos.abs() > i64::MAX as f64 {
            return Err(invalid(". It overflows int64"));
        }
        return Ok(nanos as i64 / 1_000_000);
    }
    parse_duration_ms(text).map_err(|_| invalid(""))
}

/// Go's `time.RFC3339Nano`, in UTC.
pub(crate) fn format_time(timestamp_ms: i64) -> Cow<'static, str> {
    match jiff::Timestamp::from_millisecond(timestamp_ms) {
        Ok(timestamp) => Cow::Owned(timestamp.to_string()),
        Err(_) => Cow::Borrowed("0001-01-01T00:00:00Z"),
    }
}

#[cfg(test)]
mod tests;

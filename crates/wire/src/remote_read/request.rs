//! `ReadRequest`, taken apart.

use model::Matcher;
use model::matcher::MatchOp;

use super::{ReadHints, ReadQuery, ReadRequest, RemoteReadError, ResponseType};
use crate::protobuf::Reader;

/// Prometheus sends one query a request, Thanos as well.
const QUERIES_MAX: usize = 1_000;

/// Reads a decompressed request.
///
/// # Errors
/// If it is none, or asks for what does not exist.
pub fn decode(body: &[u8]) -> Result<ReadRequest, RemoteReadError> {
    let mut queries = Vec::new();
    let mut accepted = Vec::new();
    let mut reader = Reader::new(body);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 if queries.len() >= QUERIES_MAX => return Err(RemoteReadError::TooManyQueries(QUERIES_MAX)),
            1 => queries.push(query(value.bytes(field)?)?),
            2 => match value {
                // Enumerations are packed by newer writers, one by one by older ones.
                crate::protobuf::Value::Bytes(packed) => {
                    let mut packed = Reader::new(packed);
                    while !packed.is_empty() {
                        accepted.push(packed.varint()?);
                    }
                }
                other => accepted.push(other.varint(field)?),
            },
            _ => {}
        }
    }
    Ok(ReadRequest { queries, response_type: negotiate(&accepted)? })
}

fn negotiate(accepted: &[u64]) -> Result<ResponseType, RemoteReadError> {
    if accepted.is_empty() {
        return Ok(ResponseType::Samples);
    }
    let known = accepted.iter().find_map(|number| match number {
        0 => Some(ResponseType::Samples),
        1 => Some(ResponseType::StreamedXorChunks),
        _ => None,
    });
    known.ok_or_else(|| RemoteReadError::ResponseTypes(accepted.iter().copied().take(10).collect()))
}

fn query(message: &[u8]) -> Result<ReadQuery, RemoteReadError> {
    let mut query = ReadQuery { start_ms: 0, end_ms: 0, matchers: Vec::new(), hints: ReadHints::default() };
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => query.start_ms = value.int64(field)?,
            2 => query.end_ms = value.int64(field)?,
            3 => query.matchers.push(matcher(value.bytes(field)?)?),
            4 => query.hints = hints(value.bytes(field)?)?,
            _ => {}
        }
    }
    Ok(query)
}

fn text(bytes: &[u8]) -> Result<&str, RemoteReadError> {
    std::str::from_utf8(bytes).map_err(|_| RemoteReadError::NotUtf8)
}

fn matcher(message: &[u8]) -> Result<Matcher, RemoteReadError> {
    let (mut number, mut name, mut wanted) = (0, "", "");
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => number = value.varint(field)?,
            2 => name = text(value.bytes(field)?)?,
            3 => wanted = text(value.bytes(field)?)?,
            _ => {}
        }
    }
    let op = match number {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        other => return Err(RemoteReadError::MatcherType(other)),
    };
    Matcher::new(op, name, wanted).map_err(|error| RemoteReadError::Regex { name: name.to_owned(), error })
}

fn hints(message: &[u8]) -> Result<ReadHints, RemoteReadError> {
    let mut hints = ReadHints::default();
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next_field()? {
        match field {
            1 => hints.step_ms = value.int64(field)?,
            2 => text(value.bytes(field)?)?.clone_into(&mut hints.function),
            7 => hints.window_ms = value.int64(field)?,
            _ => {}
        }
    }
    Ok(hints)
}

//! A small remote-write client of its own, so that Kymo's decoder is not tested by Kymo's encoder.
//!
//! Source: Prometheus remote write specification 1.0, `prompb/remote.proto`.

use std::borrow::Cow;

use crate::http::{self, Response};

/// A series to send: its labels, and its samples as (milliseconds, value).
#[derive(Debug, Clone)]
pub struct Series {
    /// Name and value, in the order they are sent.
    pub labels: Vec<(String, String)>,
    /// Milliseconds and value.
    pub samples: Vec<(i64, f64)>,
}

impl Series {
    /// A series with labels sorted by name, as the specification demands.
    pub fn new(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Self {
        let mut labels: Vec<(String, String)> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        labels.sort();
        Self { labels, samples: samples.to_vec() }
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A `WriteRequest` in protobuf, not compressed.
pub fn write_request(all: &[Series]) -> Vec<u8> {
    let mut request = Vec::new();
    for series in all {
        let mut message = Vec::new();
        for (name, value) in &series.labels {
            let mut label = Vec::new();
            bytes(&mut label, 1, name.as_bytes());
            bytes(&mut label, 2, value.as_bytes());
            bytes(&mut message, 1, &label);
        }
        for (timestamp_ms, value) in &series.samples {
            let mut sample = vec![1 << 3 | 1];
            sample.extend_from_slice(&value.to_le_bytes());
            varint(&mut sample, 2 << 3);
            varint(&mut sample, timestamp_ms.cast_unsigned());
            bytes(&mut message, 2, &sample);
        }
        bytes(&mut request, 1, &message);
    }
    request
}

/// The series of a `WriteRequest`, not compressed, with their float samples.
///
/// # Panics
/// If it is none.
pub fn read_write_request(request: &[u8]) -> Vec<Series> {
    let mut all = Vec::new();
    for (_, message) in fields(request).filter(|(field, _)| *field == 1) {
        let mut series = Series { labels: Vec::new(), samples: Vec::new() };
        for (field, part) in fields(&message) {
            let text = |number| {
                let found = fields(&part).find(|(field, _)| *field == number);
                String::from_utf8(found.map_or(Vec::new(), |(_, text)| text.to_vec())).expect("UTF-8")
            };
            match field {
                1 => series.labels.push((text(1), text(2))),
                2 => {
                    let (mut timestamp_ms, mut value) = (0, 0.0);
                    for (field, bytes) in fields(&part) {
                        let mut eight = [0; 8];
                        eight[..bytes.len()].copy_from_slice(&bytes);
                        match field {
                            1 => value = f64::from_le_bytes(eight),
                            _ => timestamp_ms = i64::from_le_bytes(eight),
                        }
                    }
                    series.samples.push((timestamp_ms, value));
                }
                _ => {}
            }
        }
        all.push(series);
    }
    all
}

/// The fields of a message. A number of variable length is handed out as eight bytes.
fn fields(message: &[u8]) -> impl Iterator<Item = (u64, Cow<'_, [u8]>)> {
    let mut left = message;
    std::iter::from_fn(move || {
        if left.is_empty() {
            return None;
        }
        let tag = read_varint(&mut left);
        let content = match tag & 7 {
            0 => Cow::Owned(read_varint(&mut left).to_le_bytes().to_vec()),
            1 => Cow::Borrowed(left.split_off(..8).expect("eight bytes")),
            2 => {
                let len = read_varint(&mut left) as usize;
                Cow::Borrowed(left.split_off(..len).expect("as long as it says"))
            }
            other => panic!("wire type {other}"),
        };
        Some((tag >> 3, content))
    })
}

fn read_varint(left: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *left.split_off_first().expect("a number that ends");
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// Headers of remote write 1.0.
pub const HEADERS: [(&str, &str); 3] = [
    ("Content-Encoding", "snappy"),
    ("Content-Type", "application/x-protobuf"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

/// Sends series and returns the answer.
///
/// # Errors
/// If there is no answer.
pub fn send(base: &str, all: &[Series]) -> Result<Response, String> {
    send_as(base, "anonymous", all)
}

/// Sends series of a tenant and returns the answer.
///
/// # Errors
/// If there is no answer.
pub fn send_as(base: &str, tenant: &str, all: &[Series]) -> Result<Response, String> {
    let body =
        snap::raw::Encoder::new().compress_vec(&write_request(all)).map_err(|error| error.to_string())?;
    let mut headers = HEADERS.to_vec();
    headers.push(("X-Scope-OrgID", tenant));
    http::post(&format!("{base}/api/v1/write"), &headers, &body)
}

/// Now, in milliseconds.
pub fn now_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the test and the server share the machine's clock")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

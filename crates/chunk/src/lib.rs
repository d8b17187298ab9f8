//! Encodings of samples: columns of timestamps, floats and histograms in, bytes out, and back bit for bit.
//!
//! Map: [`stream`] one series' samples appended one by one, for the head · [`timestamps`], [`floats`] and
//! [`histograms`] whole columns, for blocks · [`starts`] start timestamps · [`packed`] numbers in bits · [`varint`] the integers all of them are made of.
//!
//! Invariants: decoding gives exactly the bits that were encoded, NaN payloads and -0.0 included. Decoders
//! accept any bytes and answer [`Corrupt`]; they never panic and never allocate more than the caller's sample
//! count asks for. Format: `docs/internals/chunk.md`. Deliberately not here: checksums, general compression, files.

pub mod floats;
pub mod histograms;
mod packed;
pub mod starts;
pub mod stream;
pub mod timestamps;
pub mod varint;

/// Bytes that no encoder wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("corrupt chunk: {0}")]
pub struct Corrupt(pub &'static str);

/// Timestamps that can be encoded lie within plus and minus this many milliseconds (about 4.5 million years).
pub const TIMESTAMP_MS_ABS_MAX: i64 = 1 << 57;

/// The most samples one encoded column may have; a larger count in a file is corruption.
pub const SAMPLES_MAX: usize = 1 << 20;

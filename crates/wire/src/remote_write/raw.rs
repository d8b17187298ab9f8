//! A request taken apart without looking into its labels.
//!
//! A client writes the labels of a series the same way each time. So a hash of those bytes tells which series
//! it is, and storage needs their meaning only once. What is not of the usual shape (all labels, then float
//! samples, nothing else) is decoded as always.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_128_with_secret;

use super::decode::{NameRule, Scratch, label, pack, sample, series, shown, walk};
use super::{RejectedReason, RemoteWriteError, Visitor};
use crate::protobuf::{ProtobufError, Reader};

const SECRET_WORDS: usize = 24;
/// Tag of `TimeSeries.labels`.
const LABEL_TAG: u8 = 1 << 3 | 2;
/// Tag of `TimeSeries.samples`.
const SAMPLE_TAG: u8 = 2 << 3 | 2;
/// Tags of `Sample.value` and `Sample.timestamp`.
const VALUE_TAG: u8 = 1 << 3 | 1;
const TIMESTAMP_TAG: u8 = 2 << 3;

/// Hashes raw labels with a secret, so that no client can make labels that are taken for others.
#[derive(Clone)]
pub struct LabelHasher {
    secret: [u8; SECRET_WORDS * 8],
}

impl std::fmt::Debug for LabelHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LabelHasher").finish_non_exhaustive()
    }
}

impl LabelHasher {
    /// With a secret of unpredictable words.
    pub fn new(mut random: impl FnMut() -> u64) -> Self {
        let mut secret = [0; SECRET_WORDS * 8];
        for word in secret.chunks_exact_mut(8) {
            word.copy_from_slice(&random().to_le_bytes());
        }
        Self { secret }
    }

    /// 128 bits that stand for `raw`.
    #[inline]
    pub fn hash(&self, raw: &[u8]) -> u128 {
        xxh3_128_with_secret(raw, &self.secret)
    }
}

/// A visitor that also takes series whose labels nobody has looked into.
pub trait RawVisitor: Visitor {
    /// A series begins; its labels are a range of the request. Float samples follow.
    fn raw_series(&mut self, hash: u128, labels: Range<usize>);
}

/// As [`super::decode`], but series of the usual shape come by [`RawVisitor::raw_series`].
///
/// # Errors
/// `Protobuf` if it is not a `WriteRequest`, except for labels that come raw: see [`pack_raw_labels`].
pub fn decode_raw(
    request: &[u8],
    hasher: &LabelHasher,
    visitor: &mut impl RawVisitor,
) -> Result<(), RemoteWriteError> {
    let mut scratch = Scratch::default();
    walk(request, visitor, |message, start, number, visitor| {
        let Some(labels_len) = usual_shape(message) else {
            return series(message, number, &mut scratch, visitor);
        };
        visitor.raw_series(hasher.hash(&message[..labels_len]), start..start + labels_len);
        let mut at = labels_len;
        while at < message.len() {
            let end = at + 2 + usize::from(message[at + 1]);
            let (timestamp_ms, value) = usual_sample(&message[at + 2..end])?;
            visitor.float(timestamp_ms, value);
            at = end;
        }
        Ok(())
    })
}

/// The length of the labels, if the message is labels, then at least one float sample, and nothing else.
#[inline]
fn usual_shape(message: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let [LABEL_TAG, low, high, ..] = message.get(at..)? {
        at += match (*low, *high) {
            (len, _) if len < 0x80 => 2 + usize::from(len),
            (low, high) if high < 0x80 => 3 + usize::from(low & 0x7f) + (usize::from(high) << 7),
            _ => return None,
        };
    }
    let labels_len = at;
    while at < message.len() {
        match message.get(at..at + 2)? {
            [SAMPLE_TAG, len] if *len < 0x80 => at += 2 + usize::from(*len),
            _ => return None,
        }
    }
    (at == message.len() && labels_len < at && labels_len > 0).then_some(labels_len)
}

#[inline]
fn usual_sample(message: &[u8]) -> Result<(i64, f64), ProtobufError> {
    if let Some((value, rest)) = message.split_first_chunk::<10>()
        && value[0] == VALUE_TAG
        && value[9] == TIMESTAMP_TAG
        && let Some((timestamp_ms, [])) = varint_of_time(rest)
    {
        let bits = value[1..9].try_into().map(u64::from_le_bytes).unwrap_or_default();
        return Ok((timestamp_ms, f64::from_bits(bits)));
    }
    sample(message)
}

/// Milliseconds between 2004 and 2109 take six bytes.
#[inline]
fn varint_of_time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (six, rest) = bytes.split_first_chunk::<6>()?;
    let is_whole = six[..5].iter().all(|byte| *byte >= 0x80) && six[5] < 0x80;
    let number = six.iter().rev().fold(0, |number, byte| number << 7 | i64::from(byte & 0x7f));
    is_whole.then_some((number, rest))
}

/// A label's name and value.
type Pair<'a> = (&'a [u8], &'a [u8]);

fn pairs(raw: &[u8]) -> Result<Vec<Pair<'_>>, ProtobufError> {
    let mut pairs = Vec::new();
    let mut reader = Reader::new(raw);
    while let Some((field, value)) = reader.next_field()? {
        pairs.push(label(value.bytes(field)?)?);
    }
    Ok(pairs)
}

/// Appends the packed labels that raw ones stand for.
///
/// # Errors
/// Why they cannot be a series.
pub fn pack_raw_labels(raw: &[u8], packed: &mut String) -> Result<(), RejectedReason> {
    let mut pairs = pairs(raw).map_err(RejectedReason::Malformed)?;
    let mut own = String::with_capacity(raw.len());
    pack(&mut pairs, &mut own, NameRule::Required)?;
    packed.push_str(&own);
    Ok(())
}

/// Says what is wrong with raw labels; `None` if they are sound.
pub fn refuse_raw(raw: &[u8]) -> Option<String> {
    let reason = pack_raw_labels(raw, &mut String::new()).err()?;
    Some(format!("time series {}: {reason}", shown(&pairs(raw).unwrap_or_default())))
}

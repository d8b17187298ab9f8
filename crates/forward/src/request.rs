//! From records of a queue to the body of a request.
//!
//! A record is itself a request, of the version that the receiver spoke when it was written. Requests of version 1.0 are sent as they
//! are, several records as one: neither protobuf nor snappy needs them to be taken apart for that. Otherwise (2.0 has a table
//! of symbols for each request, samples may be too old, the version may have been changed) records are taken apart, what is too old
//! is left out, and the rest is put together anew.

use std::collections::HashMap;
use std::ops::Range;

use model::{Exemplar, FloatHistogram, LabelsRef, Metadata, UNKNOWN_START_MS};
use wire::remote_write::{self, LabelHasher, RejectedSeries, RemoteWriteError};
use wire::remote_write2::{self, Visitor, decode_refs};

use crate::settings::Message;

/// A decompressed record is never larger.
const RECORD_BYTES_MAX: usize = 1 << 30;

/// What is known about metric families, by name.
pub(crate) type Families = HashMap<String, Metadata>;

/// What to send.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// Empty if nothing is left to send.
    pub(crate) bytes: Vec<u8>,
    pub(crate) samples: u64,
    /// Left out.
    pub(crate) too_old: u64,
    /// Records that could not be read: each counts as one.
    pub(crate) damaged: u64,
}

/// Makes the body of a request of records, which have so many samples.
pub(crate) fn build(
    payloads: &[Vec<u8>],
    samples: u64,
    message: Message,
    oldest_ms: i64,
    families: &Families,
) -> Body {
    if message == Message::V1
        && oldest_ms == i64::MIN
        && let Some(bytes) = joined(payloads)
    {
        return Body { bytes, samples, ..Body::default() };
    }
    let mut body = Body::default();
    let (mut v1, mut v2) = (remote_write::encode::Encoder::new(), remote_write2::encode::Encoder::new());
    let mut any = false;
    for payload in payloads {
        let read = read(payload, |series| {
            let left = series.keep_since(oldest_ms);
            body.too_old += (series.floats_read + series.histograms_read - left) as u64;
            if left + series.exemplars.len() == 0 {
                return;
            }
            body.samples += left as u64;
            any = true;
            match message {
                Message::V1 => series.write_v1(&mut v1),
                Message::V2 => series.write_v2(&mut v2, families),
            }
        });
        body.damaged += u64::from(read.is_err());
    }
    if any {
        body.bytes = match message {
            Message::V1 => v1.compress(),
            Message::V2 => v2.compress(),
        };
    }
    body
}

/// First byte of a request of version 1.0 that has series; 2.0 begins with its symbols.
const V1_FIRST: u8 = 1 << 3 | 2;

/// Requests of version 1.0 as one; `None` if they are not all of that version.
///
/// A protobuf message is the sum of its parts. So is a snappy block, but for the length in front of it: what refers back does so
/// by a distance, and never beyond where its own block began.
fn joined(payloads: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut len = 0u64;
    let mut blocks = Vec::with_capacity(payloads.len());
    for payload in payloads {
        let (block_len, elements) = split_length(payload)?;
        if first_byte(elements)? != V1_FIRST {
            return None;
        }
        len += block_len;
        blocks.push(elements);
    }
    if len > RECORD_BYTES_MAX as u64 {
        return None;
    }
    if let [single] = payloads {
        return Some(single.clone());
    }
    let mut bytes = Vec::with_capacity(10 + blocks.iter().map(|block| block.len()).sum::<usize>());
    while len >= 0x80 {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    blocks.iter().for_each(|block| bytes.extend_from_slice(block));
    Some(bytes)
}

/// The length in front of a snappy block, and the rest.
fn split_length(block: &[u8]) -> Option<(u64, &[u8])> {
    let end = block.iter().take(5).position(|byte| byte & 0x80 == 0)? + 1;
    let (length, rest) = block.split_at(end);
    Some((length.iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f)), rest))
}

/// The first byte of what a snappy block holds. It always begins with a literal.
fn first_byte(elements: &[u8]) -> Option<u8> {
    let tag = *elements.first()?;
    let behind = match tag >> 2 {
        _ if tag & 3 != 0 => return None,
        len @ 60.. => usize::from(len) - 59,
        _ => 0,
    };
    elements.get(1 + behind).copied()
}

/// Requests of remote write 1.0 that say what is known about families, a few hundred in each.
pub(crate) fn metadata(families: &Families, families_max: usize) -> Vec<Vec<u8>> {
    let mut sorted: Vec<_> = families.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let encode = |some: &[(&String, &Metadata)]| {
        let mut encoder = remote_write::encode::Encoder::new();
        for (name, metadata) in some {
            encoder.metadata(name, metadata);
        }
        encoder.compress()
    };
    sorted.chunks(families_max.max(1)).map(encode).collect()
}

/// A series of a record.
struct Series<'a> {
    labels: LabelsRef<'a>,
    floats: Vec<(i64, f64, i64)>,
    histograms: Vec<(i64, FloatHistogram, i64)>,
    exemplars: &'a [Exemplar],
    floats_read: usize,
    histograms_read: usize,
}

impl Series<'_> {
    /// Leaves out what is older; how many samples are left.
    fn keep_since(&mut self, oldest_ms: i64) -> usize {
        self.floats.retain(|(timestamp_ms, ..)| *timestamp_ms >= oldest_ms);
        self.histograms.retain(|(timestamp_ms, ..)| *timestamp_ms >= oldest_ms);
        self.floats.len() + self.histograms.len()
    }

    fn write_v1(&self, encoder: &mut remote_write::encode::Encoder) {
        let floats: Vec<_> =
            self.floats.iter().map(|(timestamp_ms, value, _)| (*timestamp_ms, *value)).collect();
        let histograms: Vec<_> =
            self.histograms.iter().map(|(at, histogram, _)| (*at, histogram.clone())).collect();
        let content = remote_write::encode::SeriesContent {
            floats: &floats,
            histograms: &histograms,
            exemplars: self.exemplars,
        };
        encoder.series(self.labels, content);
    }

    fn write_v2(&self, encoder: &mut remote_write2::encode::Encoder, families: &Families) {
        let name = self.labels.get(model::METRIC_NAME).unwrap_or_default();
        let content = remote_write2::encode::SeriesContent {
            floats: &self.floats,
            histograms: &self.histograms,
            exemplars: self.exemplars,
            metadata: family_of(name, families),
            created_ms: UNKNOWN_START_MS,
        };
        encoder.series(self.labels.iter(), content);
    }
}

/// What is known about the family of a series: its name may have a suffix that the family's has not.
fn family_of<'a>(name: &str, families: &'a Families) -> Option<&'a Metadata> {
    let stripped =
        ["_total", "_bucket", "_count", "_sum"].into_iter().filter_map(|end| name.strip_suffix(end));
    std::iter::once(name).chain(stripped).find_map(|name| families.get(name))
}

/// Hands out the series of a record.
fn read(payload: &[u8], mut take: impl FnMut(&mut Series<'_>)) -> Result<(), RemoteWriteError> {
    let mut request = Vec::new();
    remote_write::decompress(payload, RECORD_BYTES_MAX, &mut request)?;
    let mut collected = Collected::default();
    if request.first() == Some(&V1_FIRST) {
        remote_write::decode(&request, &mut collected)?;
        collected.hand_out(&request, &mut take);
        return Ok(());
    }
    // Nobody chose these labels to collide, and nothing is looked up by these hashes.
    let hasher = LabelHasher::new(|| 0x9e37_79b9_7f4a_7c15);
    let table = remote_write2::decode(&request, &hasher, &mut collected)?;
    table.append_to(&mut request);
    collected.hand_out(&request, &mut take);
    Ok(())
}

#[derive(Default)]
struct Collected {
    series: Vec<Item>,
    floats: Vec<(i64, f64, i64)>,
    histograms: Vec<(i64, FloatHistogram, i64)>,
    exemplars: Vec<Exemplar>,
}

struct Item {
    labels: ItemLabels,
    floats: Range<usize>,
    histograms: Range<usize>,
    exemplars: Range<usize>,
}

enum ItemLabels {
    Packed(String),
    Refs(Range<usize>),
}

impl Collected {
    /// `request`: what the references of a request of version 2.0 are of.
    fn hand_out(&self, request: &[u8], take: &mut impl FnMut(&mut Series<'_>)) {
        let mut decoded = String::new();
        for item in &self.series {
            let packed = match &item.labels {
                ItemLabels::Packed(packed) => packed,
                ItemLabels::Refs(refs) => {
                    decoded.clear();
                    if decode_refs(&request[refs.clone()], request, &mut decoded).is_err() {
                        continue;
                    }
                    &decoded
                }
            };
            take(&mut Series {
                labels: LabelsRef::from_packed_trusted(packed),
                floats: self.floats[item.floats.clone()].to_vec(),
                histograms: self.histograms[item.histograms.clone()].to_vec(),
                exemplars: &self.exemplars[item.exemplars.clone()],
                floats_read: item.floats.len(),
                histograms_read: item.histograms.len(),
            });
        }
    }

    fn begin(&mut self, labels: ItemLabels) {
        let here = |len: usize| len..len;
        self.series.push(Item {
            labels,
            floats: here(self.floats.len()),
            histograms: here(self.histograms.len()),
            exemplars: here(self.exemplars.len()),
        });
    }
}

impl remote_write::Visitor for Collected {
    fn series(&mut self, labels: LabelsRef<'_>) {
        self.begin(ItemLabels::Packed(labels.packed().to_owned()));
    }

    fn float(&mut self, timestamp_ms: i64, value: f64) {
        Visitor::float(self, timestamp_ms, value, UNKNOWN_START_MS);
    }

    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram) {
        Visitor::histogram(self, timestamp_ms, histogram, UNKNOWN_START_MS);
    }

    fn exemplar(&mut self, exemplar: Exemplar) {
        Visitor::exemplar(self, exemplar);
    }

    fn metadata(&mut self, _: &str, _: Metadata) {}

    fn reject(&mut self, _: RejectedSeries) {}
}

impl Visitor for Collected {
    fn raw_series(&mut self, _: u128, refs: Range<usize>) {
        self.begin(ItemLabels::Refs(refs));
    }

    fn series(&mut self, labels: LabelsRef<'_>) {
        self.begin(ItemLabels::Packed(labels.packed().to_owned()));
    }

    fn float(&mut self, timestamp_ms: i64, value: f64, start_ms: i64) {
        self.floats.push((timestamp_ms, value, start_ms));
        if let Some(item) = self.series.last_mut() {
            item.floats.end = self.floats.len();
        }
    }

    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram, start_ms: i64) {
        self.histograms.push((timestamp_ms, histogram, start_ms));
        if let Some(item) = self.series.last_mut() {
            item.histograms.end = self.histograms.len();
        }
    }

    fn exemplar(&mut self, exemplar: Exemplar) {
        self.exemplars.push(exemplar);
        if let Some(item) = self.series.last_mut() {
            item.exemplars.end = self.exemplars.len();
        }
    }

    fn metadata(&mut self, _: &str, _: Metadata) {}

    fn reject(&mut self, _: RejectedSeries) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::remote_write::encode::{Encoder, SeriesContent};

    /// A record with samples of a series at these times, in either version.
    fn record(message: Message, name: &str, times_ms: &[i64]) -> Vec<u8> {
        let labels = model::Labels::from_pairs([("__name__", name), ("instance", "a"), ("job", "j")]);
        let floats: Vec<_> = times_ms.iter().map(|at| (*at, *at as f64, UNKNOWN_START_MS)).collect();
        let series = Series {
            labels: labels.as_ref(),
            floats,
            histograms: Vec::new(),
            exemplars: &[],
            floats_read: 0,
            histograms_read: 0,
        };
        let (mut v1, mut v2) = (Encoder::new(), remote_write2::encode::Encoder::new());
        match message {
            Message::V1 => {
                series.write_v1(&mut v1);
                v1.compress()
            }
            Message::V2 => {
                series.write_v2(&mut v2, &Families::new());
                v2.compress()
            }
        }
    }

    /// What a body of a message holds: names and times.
    fn content(body: &[u8]) -> Vec<(String, i64)> {
        let mut all = Vec::new();
        let take = |series: &mut Series<'_>| {
            let name = series.labels.get("__name__").unwrap_or("").to_owned();
            all.extend(series.floats.iter().map(|(at, ..)| (name.clone(), *at)));
        };
        read(body, take).expect("sound");
        all
    }

    #[track_caller]
    fn check(records: &[(Message, &str, &[i64])], oldest_ms: i64, want: &[(&str, i64)]) {
        let payloads: Vec<_> = records.iter().map(|(m, name, times)| record(*m, name, times)).collect();
        let samples: usize = records.iter().map(|(.., times)| times.len()).sum();
        for message in [Message::V1, Message::V2] {
            let body = build(&payloads, samples as u64, message, oldest_ms, &Families::new());
            let want: Vec<_> = want.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect();
            assert_eq!(content(&body.bytes), want, "{message:?}");
            assert_eq!((body.samples, body.too_old), (want.len() as u64, (samples - want.len()) as u64));
        }
    }

    #[test]
    fn records_of_either_version_become_one_request_of_either() {
        use Message::{V1, V2};
        let (a, b): (&[i64], &[i64]) = (&[1, 2, 3], &[4]);
        let all = [("a", 1), ("a", 2), ("a", 3), ("b", 4)];
        for versions in [(V1, V1), (V1, V2), (V2, V1), (V2, V2)] {
            check(&[(versions.0, "a", a), (versions.1, "b", b)], i64::MIN, &all);
            check(&[(versions.0, "a", a), (versions.1, "b", b)], 3, &all[2..]);
        }
    }

    #[test]
    fn joined_blocks_are_a_block() {
        // Long texts, so that lengths take several bytes and blocks refer back.
        let labels = model::Labels::from_pairs([("__name__", "x".repeat(500)), ("a", "x".repeat(300))]);
        let payloads: Vec<_> = (1..200)
            .map(|count| {
                let mut encoder = Encoder::new();
                for at in 0..count {
                    let floats = [(at, 0.5)];
                    let content = SeriesContent { floats: &floats, ..SeriesContent::default() };
                    encoder.series(labels.as_ref(), content);
                }
                encoder.compress()
            })
            .collect();
        let mut got = Vec::new();
        remote_write::decompress(&joined(&payloads).expect("all of 1.0"), 1 << 30, &mut got)
            .expect("a block");
        let mut want = Vec::new();
        for payload in &payloads {
            let mut one = Vec::new();
            remote_write::decompress(payload, 1 << 30, &mut one).expect("a block");
            want.extend(one);
        }
        assert!(got == want);
    }

    #[test]
    fn damaged_records_are_not_joined() {
        for damaged in [&[][..], &[0x80], &[0x80; 6], &[3], &[3, 0xf0], &[3, 1, 1]] {
            assert_eq!(joined(&[damaged.to_vec()]), None, "{damaged:?}");
        }
    }
}

//! From records of a queue to the body of a request.
//!
//! A record is itself a remote write 2.0 request: it has everything that either version can say. Records are taken apart, what is too
//! old is left out, and the rest is put together anew for the receiver.

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

/// Makes the body of a request of records.
pub(crate) fn build(payloads: &[Vec<u8>], message: Message, oldest_ms: i64, families: &Families) -> Body {
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
    // Nobody chose these labels to collide, and nothing is looked up by these hashes.
    let hasher = LabelHasher::new(|| 0x9e37_79b9_7f4a_7c15);
    let mut collected = Collected::default();
    let table = remote_write2::decode(&request, &hasher, &mut collected)?;
    table.append_to(&mut request);
    let mut decoded = String::new();
    for item in &collected.series {
        let packed = match &item.labels {
            ItemLabels::Packed(packed) => packed,
            ItemLabels::Refs(refs) => {
                decoded.clear();
                if decode_refs(&request[refs.clone()], &request, &mut decoded).is_err() {
                    continue;
                }
                &decoded
            }
        };
        take(&mut Series {
            labels: LabelsRef::from_packed_trusted(packed),
            floats: collected.floats[item.floats.clone()].to_vec(),
            histograms: collected.histograms[item.histograms.clone()].to_vec(),
            exemplars: &collected.exemplars[item.exemplars.clone()],
            floats_read: item.floats.len(),
            histograms_read: item.histograms.len(),
        });
    }
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

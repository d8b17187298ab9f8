//! Entries: what a frame of the journal holds, one after the other.
//!
//! Each is a length, a kind and a body. Samples of one shard of a batch make one entry, in columns: series,
//! timestamps, values. A series is a number that its segment defines before it is used.

use std::sync::Arc;

use chunk::Corrupt;
use chunk::varint::{Reader, unzigzag, write_bytes, write_i64, write_u64, zigzag};
use model::{Exemplar, FloatHistogram, Labels, LabelsRef, Metadata, MetricType};
use storage::StartColumn;

pub(crate) const TENANT: u8 = 1;
pub(crate) const SAMPLES: u8 = 2;
pub(crate) const EXEMPLARS: u8 = 3;
pub(crate) const METADATA: u8 = 4;

const LEN_BYTES: usize = 4;

/// Begins an entry; [`end_entry`] fills in its length.
pub(super) fn begin_entry(out: &mut Vec<u8>, kind: u8) {
    out.extend_from_slice(&[0; LEN_BYTES]);
    out.push(kind);
}

/// Ends the entry that began at `start`.
pub(super) fn end_entry(out: &mut [u8], start: usize) {
    let len =
        u32::try_from(out.len() - start - LEN_BYTES).expect("request limits keep entries far below 4 GiB");
    out[start..start + LEN_BYTES].copy_from_slice(&len.to_le_bytes());
}

pub(super) fn write_tenant(out: &mut Vec<u8>, number: u32, name: &str) {
    let start = out.len();
    begin_entry(out, TENANT);
    write_u64(out, u64::from(number));
    write_bytes(out, name.as_bytes());
    end_entry(out, start);
}

/// Where to cut `entries` so that the first part has whole entries and about `bytes`, at least one entry.
pub(super) fn split(entries: &[u8], bytes: usize) -> usize {
    let mut at = 0;
    while let Some(head) = entries.get(at..at + LEN_BYTES) {
        let len = u32::from_le_bytes(head.try_into().expect("four bytes")) as usize + LEN_BYTES;
        if at > 0 && at + len > bytes {
            break;
        }
        at += len;
    }
    at.min(entries.len())
}

/// A column of series, whose numbers mostly rise in steps of the same size.
pub(crate) fn write_refs(out: &mut Vec<u8>, refs: impl Iterator<Item = u32>) {
    write_runs(out, refs.map(i64::from));
}

/// A column of timestamps, mostly equal ones.
pub(crate) fn write_timestamps(out: &mut Vec<u8>, timestamps_ms: impl Iterator<Item = i64>) {
    write_runs(out, timestamps_ms);
}

/// Runs of the same difference to the number before.
fn write_runs(out: &mut Vec<u8>, numbers: impl Iterator<Item = i64>) {
    let (mut last, mut step, mut run_len) = (0, 0, 0u64);
    for number in numbers {
        if run_len > 0 && number - last == step {
            run_len += 1;
        } else {
            write_run(out, step, run_len);
            (step, run_len) = (number - last, 1);
        }
        last = number;
    }
    write_run(out, step, run_len);
}

fn write_run(out: &mut Vec<u8>, step: i64, len: u64) {
    match len {
        0 => {}
        1 => write_u64(out, zigzag(step) << 1),
        _ => {
            write_u64(out, zigzag(step) << 1 | 1);
            write_u64(out, len);
        }
    }
}

/// A column of values, each without its trailing zero bytes: whole numbers take two to four bytes. Their sizes come first.
pub(crate) fn write_values(out: &mut Vec<u8>, values: impl ExactSizeIterator<Item = f64>) {
    let sizes = out.len();
    out.resize(sizes + values.len().div_ceil(2), 0);
    for (at, value) in values.enumerate() {
        let zeros = value.to_bits().trailing_zeros() as usize / 8;
        out[sizes + at / 2] |= ((8 - zeros) << (at % 2 * 4)) as u8;
        out.extend_from_slice(&value.to_bits().to_be_bytes());
        out.truncate(out.len() - zeros);
    }
}

/// One exemplar with the labels of its series.
pub(crate) fn write_exemplar(out: &mut Vec<u8>, series: LabelsRef<'_>, exemplar: &Exemplar) {
    write_bytes(out, series.packed().as_bytes());
    write_bytes(out, exemplar.labels.packed().as_bytes());
    write_i64(out, exemplar.timestamp_ms.unwrap_or(0));
    out.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
}

/// The inverse of [`write_exemplar`].
pub(crate) fn read_exemplar(reader: &mut Reader<'_>) -> Result<(Labels, Exemplar), Corrupt> {
    let series = read_labels(reader)?.to_labels();
    let labels = read_labels(reader)?.to_labels();
    let timestamp_ms = Some(reader.i64()?);
    Ok((series, Exemplar { labels, value: f64::from_bits(reader.fixed_u64()?), timestamp_ms }))
}

/// What is known about one metric family.
pub(crate) fn write_metadata(out: &mut Vec<u8>, metric: &str, metadata: &Metadata) {
    write_bytes(out, metric.as_bytes());
    out.push(METRIC_TYPES.iter().position(|t| *t == metadata.metric_type).unwrap_or(0) as u8);
    write_bytes(out, metadata.unit.as_bytes());
    write_bytes(out, metadata.help.as_bytes());
}

/// The inverse of [`write_metadata`].
pub(crate) fn read_metadata(reader: &mut Reader<'_>) -> Result<(String, Metadata), Corrupt> {
    let metric = reader.text()?.to_owned();
    let metric_type =
        *METRIC_TYPES.get(usize::from(reader.u8()?)).ok_or(Corrupt("an unknown type of metric"))?;
    Ok((metric, Metadata { metric_type, unit: reader.text()?.to_owned(), help: reader.text()?.to_owned() }))
}

/// Their order is part of the format.
const METRIC_TYPES: [MetricType; 8] = [
    MetricType::Unknown,
    MetricType::Counter,
    MetricType::Gauge,
    MetricType::Histogram,
    MetricType::GaugeHistogram,
    MetricType::Summary,
    MetricType::Info,
    MetricType::StateSet,
];

fn read_labels<'a>(reader: &mut Reader<'a>) -> Result<LabelsRef<'a>, Corrupt> {
    LabelsRef::from_packed(reader.text()?).ok_or(Corrupt("labels are not in packed form"))
}

/// An entry as it lies in a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawEntry<'a> {
    pub(crate) kind: u8,
    /// What the segment calls the tenant.
    pub(crate) tenant: u32,
    pub(crate) body: &'a [u8],
}

/// Takes the first entry off `entries`; `None` at their end.
///
/// # Errors
/// If it was not written by this module, although its frame was sound.
pub(crate) fn next_entry<'a>(entries: &mut &'a [u8]) -> Option<Result<RawEntry<'a>, Corrupt>> {
    if entries.is_empty() {
        return None;
    }
    let ends_early = Corrupt("an entry ends early");
    let Some((head, rest)) = entries.split_at_checked(LEN_BYTES) else {
        *entries = &[];
        return Some(Err(ends_early));
    };
    let len = u32::from_le_bytes(head.try_into().expect("four bytes")) as usize;
    let Some((entry, rest)) = rest.split_at_checked(len) else {
        *entries = &[];
        return Some(Err(ends_early));
    };
    *entries = rest;
    let mut reader = Reader::new(entry);
    Some((|| Ok(RawEntry { kind: reader.u8()?, tenant: reader.u32()?, body: reader.rest() }))())
}

/// The name in the body of [`TENANT`].
pub(crate) fn read_tenant(body: &[u8]) -> Result<&str, Corrupt> {
    Reader::new(body).text()
}

/// The body of [`EXEMPLARS`].
pub(crate) fn read_exemplars(body: &[u8]) -> Result<Vec<(Labels, Exemplar)>, Corrupt> {
    let (mut reader, mut exemplars) = (Reader::new(body), Vec::new());
    while !reader.is_empty() {
        exemplars.push(read_exemplar(&mut reader)?);
    }
    Ok(exemplars)
}

/// The body of [`METADATA`].
pub(crate) fn read_metadata_list(body: &[u8]) -> Result<Vec<(String, Metadata)>, Corrupt> {
    let (mut reader, mut metadata) = (Reader::new(body), Vec::new());
    while !reader.is_empty() {
        metadata.push(read_metadata(&mut reader)?);
    }
    Ok(metadata)
}

/// Samples of one entry, in columns. Kept from entry to entry, so that nothing is allocated for each.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    pub(crate) series: Vec<u32>,
    pub(crate) timestamps_ms: Vec<i64>,
    pub(crate) values: Vec<f64>,
    pub(crate) histograms: Vec<(u32, i64, Arc<FloatHistogram>)>,
    /// Of the floats, by their places.
    pub(crate) starts: StartColumn,
    /// Of the histograms, by their places.
    pub(crate) histogram_starts: StartColumn,
    scratch: Vec<i64>,
}

impl Samples {
    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        (self.values.len() + self.histograms.len()) as u64
    }
}

/// Decodes an entry of any kind; samples into `samples`.
pub(crate) fn check(entry: &RawEntry<'_>, samples: &mut Samples) -> Result<(), Corrupt> {
    match entry.kind {
        TENANT => read_tenant(entry.body).map(|_| ()),
        SAMPLES => read_samples(entry.body, samples).map(|_| ()),
        EXEMPLARS => read_exemplars(entry.body).map(|_| ()),
        METADATA => read_metadata_list(entry.body).map(|_| ()),
        _ => Err(Corrupt("an entry of unknown kind")),
    }
}

/// Series that an entry defines: their number and their labels.
pub(crate) type Definitions<'a> = Vec<(u32, LabelsRef<'a>)>;

/// A series of the body of [`SAMPLES`]; all its series are of the same shard. `None` if there is none.
pub(crate) fn any_series(body: &[u8]) -> Result<Option<u32>, Corrupt> {
    let mut reader = Reader::new(body);
    if reader.u64()? > 0 {
        return reader.u32().map(Some);
    }
    if reader.u64()? > 0 {
        return series_number(unzigzag(reader.u64()? >> 1)).map(Some);
    }
    if reader.u64()? > 0 { reader.u32().map(Some) } else { Ok(None) }
}

/// Decodes the body of [`SAMPLES`] into `samples`.
pub(crate) fn read_samples<'a>(body: &'a [u8], samples: &mut Samples) -> Result<Definitions<'a>, Corrupt> {
    let reader = &mut Reader::new(body);
    let mut defined = Vec::new();
    for _ in 0..reader.count(body.len())? {
        defined.push((reader.u32()?, read_labels(reader)?));
    }
    // A value takes half a byte at least, its size.
    let count = reader.count(2 * body.len())?;
    samples.series.clear();
    read_runs(reader, count, |number| {
        samples.series.push(series_number(number)?);
        Ok(())
    })?;
    samples.timestamps_ms.clear();
    read_runs(reader, count, |timestamp_ms| {
        samples.timestamps_ms.push(check_time(timestamp_ms)?);
        Ok(())
    })?;
    samples.values.clear();
    read_values(reader, count, &mut samples.values)?;
    samples.histograms.clear();
    let mut decoded = Vec::new();
    for _ in 0..reader.count(body.len())? {
        let (series, timestamp_ms) = (reader.u32()?, check_time(reader.i64()?)?);
        decoded.clear();
        chunk::histograms::decode(reader.bytes()?, 1, &mut decoded)?;
        samples.histograms.extend(decoded.pop().map(|histogram| (series, timestamp_ms, histogram)));
    }
    samples.starts.clear();
    samples.histogram_starts.clear();
    if !reader.is_empty() {
        let scratch = &mut samples.scratch;
        read_starts(reader, samples.values.len(), scratch, &mut samples.starts)?;
        read_starts(reader, samples.histograms.len(), scratch, &mut samples.histogram_starts)?;
    }
    Ok(defined)
}

/// Two columns at the end of the body of [`SAMPLES`]: start timestamps of floats and of histograms. Left out if nobody
/// said when any counter began.
pub(crate) fn write_starts(out: &mut Vec<u8>, floats: &StartColumn, histograms: &StartColumn) {
    if !floats.is_empty() || !histograms.is_empty() {
        chunk::starts::encode(floats.as_slice(), out);
        chunk::starts::encode(histograms.as_slice(), out);
    }
}

fn read_starts(
    reader: &mut Reader<'_>,
    count: usize,
    scratch: &mut Vec<i64>,
    into: &mut StartColumn,
) -> Result<(), Corrupt> {
    scratch.clear();
    chunk::starts::decode(reader, count, scratch)?;
    into.extend_at(0, scratch);
    Ok(())
}

fn series_number(number: i64) -> Result<u32, Corrupt> {
    u32::try_from(number).map_err(|_| Corrupt("a series number is out of range"))
}

fn check_time(timestamp_ms: i64) -> Result<i64, Corrupt> {
    if timestamp_ms.unsigned_abs() > chunk::TIMESTAMP_MS_ABS_MAX.unsigned_abs() {
        return Err(Corrupt("a timestamp is out of range"));
    }
    Ok(timestamp_ms)
}

/// Gives `count` numbers that [`write_runs`] wrote to `take`.
#[inline]
fn read_runs(
    reader: &mut Reader<'_>,
    count: usize,
    mut take: impl FnMut(i64) -> Result<(), Corrupt>,
) -> Result<(), Corrupt> {
    let (mut last, mut left) = (0i64, count);
    while left > 0 {
        let head = reader.u64()?;
        let run_len = if head & 1 == 0 { 1 } else { reader.count(left)? };
        if run_len == 0 {
            return Err(Corrupt("a run of no numbers"));
        }
        for _ in 0..run_len {
            last = last.wrapping_add(unzigzag(head >> 1));
            take(last)?;
        }
        left -= run_len;
    }
    Ok(())
}

/// Appends `count` values that [`write_values`] wrote.
fn read_values(reader: &mut Reader<'_>, count: usize, values: &mut Vec<f64>) -> Result<(), Corrupt> {
    let sizes = reader.take(count.div_ceil(2))?;
    values.reserve(count);
    for at in 0..count {
        let size = usize::from(sizes[at / 2] >> (at % 2 * 4) & 15);
        if size > 8 {
            return Err(Corrupt("a value has more than eight bytes"));
        }
        let bits = if let Some(eight) = reader.rest().first_chunk::<8>() {
            let behind = u64::MAX.checked_shr(size as u32 * 8).unwrap_or(0);
            reader.take(size)?;
            u64::from_be_bytes(*eight) & !behind
        } else {
            let mut eight = [0; 8];
            eight[..size].copy_from_slice(reader.take(size)?);
            u64::from_be_bytes(eight)
        };
        values.push(f64::from_bits(bits));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = u32> {
        prop_oneof![any::<u32>(), (0u32..4).prop_map(|at| at * 16)]
    }

    fn time_ms() -> impl Strategy<Value = i64> {
        prop_oneof![-1i64 << 57..1 << 57, 0i64..2]
    }

    fn bits() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0u32..=64).prop_map(|(bits, zeros)| bits.checked_shl(zeros).unwrap_or(0))
    }

    #[test]
    fn a_scrape_takes_little_more_than_its_values() {
        let mut out = Vec::new();
        write_refs(&mut out, (0..1000).map(|at| 160 + at * 16));
        write_timestamps(&mut out, (0..1000).map(|_| 1_760_000_000_000));
        assert!(out.len() < 20, "{} bytes", out.len());
        let columns = out.len();
        write_values(&mut out, (0..1000).map(f64::from));
        assert!(out.len() - columns < 3_600, "{} bytes", out.len() - columns);
    }

    proptest! {
        #[test]
        fn samples_come_back(samples in proptest::collection::vec((number(), time_ms(), bits(), 0i64..3), 0..50)) {
            let mut out = Vec::new();
            write_tenant(&mut out, 3, "red");
            let start = out.len();
            begin_entry(&mut out, SAMPLES);
            write_u64(&mut out, 3);
            write_u64(&mut out, 0);
            write_u64(&mut out, samples.len() as u64);
            write_refs(&mut out, samples.iter().map(|s| s.0));
            write_timestamps(&mut out, samples.iter().map(|s| s.1));
            write_values(&mut out, samples.iter().map(|s| f64::from_bits(s.2)));
            write_u64(&mut out, 0);
            let mut starts = StartColumn::default();
            starts.extend_at(0, &samples.iter().map(|s| s.3).collect::<Vec<_>>());
            write_starts(&mut out, &starts, &StartColumn::default());
            end_entry(&mut out, start);
            prop_assert_eq!((split(&out, 1), split(&out, usize::MAX)), (start, out.len()));
            let mut rest = &out[..];
            let tenant = next_entry(&mut rest).expect("an entry").expect("sound");
            prop_assert_eq!((tenant.kind, tenant.tenant, read_tenant(tenant.body)), (TENANT, 3, Ok("red")));
            let entry = next_entry(&mut rest).expect("an entry").expect("sound");
            prop_assert_eq!((entry.kind, entry.tenant), (SAMPLES, 3));
            prop_assert_eq!(any_series(entry.body), Ok(samples.first().map(|s| s.0)));
            let mut back = Samples::default();
            prop_assert!(read_samples(entry.body, &mut back).expect("sound").is_empty());
            let back: Vec<(u32, i64, u64, i64)> = (0..back.series.len())
                .map(|i| (back.series[i], back.timestamps_ms[i], back.values[i].to_bits(), back.starts.get(i)))
                .collect();
            prop_assert_eq!(back, samples);
            prop_assert!(next_entry(&mut rest).is_none());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..6) {
            let mut framed = Vec::new();
            begin_entry(&mut framed, kind);
            framed.extend_from_slice(&bytes);
            end_entry(&mut framed, 0);
            for mut rest in [&bytes[..], &framed[..]] {
                let mut entry_count = 0;
                while let Some(entry) = next_entry(&mut rest) {
                    entry_count += 1;
                    let Ok(entry) = entry else { continue };
                    let mut samples = Samples::default();
                    if check(&entry, &mut samples).is_ok() && entry.kind == SAMPLES {
                        prop_assert_eq!(samples.series.len(), samples.values.len());
                        prop_assert!(any_series(entry.body).is_ok());
                    }
                }
                prop_assert!(rest.is_empty() && entry_count <= framed.len());
            }
        }
    }
}

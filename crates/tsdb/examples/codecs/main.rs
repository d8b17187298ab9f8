//! What the ways to encode samples take, and how fast they are read again: the table of `docs/decisions/codecs.md`.
//!
//! `cargo run --profile quick -p tsdb --example codecs -- PATH`, where PATH is a recording of scrapes (`*.zst`, the form that
//! `sidebench replay` reads) or the data directory of a Kymo that has stopped.
//!
//! Map: this file reads the samples and measures · `candidates` the encodings.

#![expect(clippy::print_stdout, reason = "a table is what this is for")]

mod candidates;

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use model::{Labels, LabelsBuilder, TenantId};
use storage::{Querier, QueryContext, SelectHints, SelectRequest, SeriesSamples};
use tsdb::{Deps, Settings, Tsdb};
use wire::exposition::{Entry, Format, Parser};

use candidates::{CANDIDATES, Candidate};

/// Samples of a column: what blocks cut series into, at most.
const COLUMN_SAMPLES_MAX: usize = 4096;
/// Encoded columns that are compressed together, as in blocks.
const PAGE_BYTES: usize = 128 << 10;
/// Reading is repeated until it has taken so much of the processor's time.
const MEASURED_NS: u64 = 300_000_000;

type Error = Box<dyn std::error::Error>;

/// The samples of a series, or a part of them.
#[derive(Default)]
struct Column {
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
}

fn main() -> Result<(), Error> {
    let path = PathBuf::from(std::env::args_os().nth(1).ok_or("which recording or data directory?")?);
    let columns = if path.is_dir() { stored(&path)? } else { recorded(&path)? };
    let sample_count: usize = columns.iter().map(|column| column.values.len()).sum();
    println!("{sample_count} samples in {} columns of {}\n", columns.len(), path.display());
    println!(
        "| values | bytes a sample, as they are | with zstd 1 | with zstd 3 | with zstd 9 | M samples/s, as they are | with zstd 3 |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for candidate in CANDIDATES {
        let found: Vec<Measured> = [None, Some(1), Some(3), Some(9)]
            .into_iter()
            .map(|level| measure(&columns, candidate, level))
            .collect::<Result<_, _>>()?;
        let bytes = |at: usize| found[at].byte_count as f64 / sample_count as f64;
        let speed = |at: usize| sample_count as f64 / found[at].seconds / 1e6;
        println!(
            "| {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.0} | {:.0} |",
            candidate.name,
            bytes(0),
            bytes(1),
            bytes(2),
            bytes(3),
            speed(0),
            speed(2)
        );
    }
    timestamps(&columns, sample_count)
}

/// What a candidate took.
struct Measured {
    byte_count: usize,
    /// To read all samples once.
    seconds: f64,
}

/// Columns encoded one behind the other.
#[derive(Default)]
struct Page {
    bytes: Vec<u8>,
    raw_size: usize,
    /// Where each column begins, and which it is.
    starts: Vec<(usize, usize)>,
}

fn measure(columns: &[Column], candidate: &Candidate, level: Option<i32>) -> Result<Measured, Error> {
    let mut pages = vec![Page::default()];
    for (number, column) in columns.iter().enumerate() {
        if pages.last().is_some_and(|page| page.bytes.len() >= PAGE_BYTES) {
            pages.push(Page::default());
        }
        if let Some(page) = pages.last_mut() {
            page.starts.push((page.bytes.len(), number));
            (candidate.encode)(&column.values, &mut page.bytes);
        }
    }
    for page in &mut pages {
        page.raw_size = page.bytes.len();
        if let Some(level) = level {
            page.bytes = zstd::bulk::compress(&page.bytes, level)?;
        }
    }
    let mut reading = Reading { columns, candidate, is_compressed: level.is_some(), is_checked: true };
    reading.read(&pages)?;
    reading.is_checked = false;
    let (begun, mut passes) = (processor_ns()?, 0);
    let mut ended = begun;
    while ended - begun < MEASURED_NS {
        reading.read(&pages)?;
        passes += 1;
        ended = processor_ns()?;
    }
    let seconds = (ended - begun) as f64 / 1e9 / f64::from(passes);
    Ok(Measured { byte_count: pages.iter().map(|page| page.bytes.len()).sum(), seconds })
}

/// What this thread has used of the processor's time: others on the machine do not count.
fn processor_ns() -> Result<u64, Error> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

/// How pages are read.
struct Reading<'a> {
    columns: &'a [Column],
    candidate: &'a Candidate,
    is_compressed: bool,
    /// Whether what is read is compared with what was written.
    is_checked: bool,
}

impl Reading<'_> {
    fn read(&self, pages: &[Page]) -> Result<(), Error> {
        let (mut raw, mut values) =
            (Vec::with_capacity(4 * PAGE_BYTES), Vec::with_capacity(COLUMN_SAMPLES_MAX));
        let mut decompressor = zstd::bulk::Decompressor::new()?;
        for page in pages {
            raw.clear();
            let bytes = if self.is_compressed {
                raw.reserve(page.raw_size);
                decompressor.decompress_to_buffer(&page.bytes, &mut raw)?;
                &raw
            } else {
                &page.bytes
            };
            for (start, number) in &page.starts {
                let want = &self.columns[*number].values;
                values.clear();
                (self.candidate.decode)(&bytes[*start..], want.len(), &mut values);
                if self.is_checked && !same_bits(&values, want) {
                    return Err(format!("{} loses something of column {number}", self.candidate.name).into());
                }
                std::hint::black_box(values.last());
            }
        }
        Ok(())
    }
}

fn same_bits(left: &[f64], right: &[f64]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// Timestamps of each series by itself, and one column for all series that share it.
fn timestamps(columns: &[Column], sample_count: usize) -> Result<(), Error> {
    println!("\n| timestamps | bytes a sample, as they are | with zstd 3 |\n|---|---:|---:|");
    let mut shared: HashMap<&[i64], ()> = HashMap::new();
    let distinct: Vec<&[i64]> = columns
        .iter()
        .map(|column| column.timestamps_ms.as_slice())
        .filter(|times| shared.insert(times, ()).is_none())
        .collect();
    let all: Vec<&[i64]> = columns.iter().map(|column| column.timestamps_ms.as_slice()).collect();
    for (name, columns) in [("per series", all), ("shared", distinct)] {
        let (mut plain, mut compressed) = (0, 0);
        let mut page = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            chunk::timestamps::encode(column, &mut page);
            if page.len() >= PAGE_BYTES || at + 1 == columns.len() {
                plain += page.len();
                compressed += zstd::bulk::compress(&page, 3)?.len();
                page.clear();
            }
        }
        let per_sample = |bytes: usize| bytes as f64 / sample_count as f64;
        println!(
            "| {name}, {} columns | {:.3} | {:.3} |",
            columns.len(),
            per_sample(plain),
            per_sample(compressed)
        );
    }
    Ok(())
}

/// Everything in a data directory, in order of labels.
fn stored(directory: &Path) -> Result<Vec<Column>, Error> {
    let settings = Settings { directory: directory.to_owned(), ..Settings::default() };
    let tsdb = Tsdb::open(settings, Deps::system())?;
    let request =
        SelectRequest { matchers: &[], start_ms: i64::MIN, end_ms: i64::MAX, hints: SelectHints::default() };
    let set = tsdb.select(&TenantId::anonymous(), &request, &QueryContext::unlimited())?;
    let (mut samples, mut columns) = (SeriesSamples::default(), Vec::new());
    for at in 0..set.len() {
        set.read(at, &mut samples)?;
        cut(&samples.floats.timestamps_ms, &samples.floats.values, &mut columns);
    }
    drop(set);
    tsdb.stop()?;
    Ok(columns)
}

fn cut(timestamps_ms: &[i64], values: &[f64], columns: &mut Vec<Column>) {
    let parts = timestamps_ms.chunks(COLUMN_SAMPLES_MAX).zip(values.chunks(COLUMN_SAMPLES_MAX));
    columns.extend(
        parts.map(|(times, values)| Column { timestamps_ms: times.to_vec(), values: values.to_vec() }),
    );
}

/// The line before each answer.
#[derive(serde::Deserialize)]
struct Head {
    t: i64,
    job: String,
    instance: String,
    status: u16,
    len: usize,
}

/// Everything in a recording, in order of labels.
fn recorded(path: &Path) -> Result<Vec<Column>, Error> {
    let mut decoder = zstd::stream::read::Decoder::new(std::fs::File::open(path)?)?;
    decoder.window_log_max(27)?;
    let mut reader = BufReader::new(decoder);
    let (mut line, mut body, mut builder) = (String::new(), Vec::new(), LabelsBuilder::new());
    let mut series: BTreeMap<Labels, Column> = BTreeMap::new();
    loop {
        line.clear();
        // A tail that is cut off is left out.
        if !matches!(reader.read_line(&mut line), Ok(1..)) {
            break;
        }
        let head: Head = serde_json::from_str(&line)?;
        body.resize(head.len, 0);
        if reader.read_exact(&mut body).is_err() {
            break;
        }
        if head.status != 200 {
            continue;
        }
        let mut parser = Parser::new(&body, Format::PrometheusText);
        while let Some(entry) = parser.next_entry()? {
            if let Entry::Series(sample) = entry {
                sample.pack_labels(&mut builder)?;
                builder.set("job", &head.job).set("instance", &head.instance);
                let column = series.entry(builder.build()).or_default();
                column.timestamps_ms.push(sample.timestamp_ms.unwrap_or(head.t));
                column.values.push(sample.value);
            }
        }
    }
    let mut columns = Vec::new();
    series.into_values().for_each(|all| cut(&all.timestamps_ms, &all.values, &mut columns));
    Ok(columns)
}

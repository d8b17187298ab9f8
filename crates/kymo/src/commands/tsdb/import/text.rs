//! Files of lines: OpenMetrics and Prometheus text with times, Influx lines, JSON lines; plain, or compressed by gzip or zstd.
//!
//! A file is read in pieces of whole lines, so that memory does not grow with it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use clap::ValueEnum;
use model::{LabelsBuilder, METRIC_NAME, Metadata, UNKNOWN_START_MS};
use storage::WriteBatch;
use wire::exposition::{self, Entry, Options, Parser, Place as FaultPlace};
use wire::influx::{FieldValue, Line, Lines, Precision};

use super::super::lines;
use super::intake::{Intake, Place};
use super::native;

/// Read at one time.
const PIECE_BYTES: usize = 4 << 20;
/// A longer line nobody writes.
const LINE_BYTES_MAX: usize = 256 << 20;
/// Enough to see what a file is.
const PEEKED_BYTES: usize = 64 << 10;
/// Faulty lines beyond which a file is taken for something else.
const FAULTS_MAX: u64 = 10_000;

/// What lines mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// OpenMetrics, as `promtool tsdb create-blocks-from openmetrics` takes it: each sample has a time.
    Openmetrics,
    /// Prometheus text whose samples have times.
    Prometheus,
    /// Influx lines.
    Influx,
    /// JSON lines, of kymo tsdb export, /api/v1/export or VictoriaMetrics.
    Json,
    /// Kymo's own export: kymo tsdb export --format native, /api/v1/export/native.
    Native,
}

pub(super) fn parse_precision(name: &str) -> Result<Precision, String> {
    Precision::from_name(name).ok_or_else(|| "write ns, us, ms, s, m or h".to_owned())
}

pub(super) fn import(
    path: &Path,
    format: Option<Format>,
    precision: Precision,
    intake: &mut Intake,
) -> anyhow::Result<()> {
    let name = path.display().to_string();
    if intake.is_done(&name) {
        return Ok(());
    }
    let (mut pieces, compressed_bytes) = open(path)?;
    let format = match format {
        Some(format) => format,
        None => guess(path, pieces.peek().with_context(|| format!("cannot read {name}"))?)?,
    };
    intake.expect(compressed_bytes, "");
    if format == Format::Native {
        let Pieces { reader, buffer, .. } = pieces;
        return native::import(io::Cursor::new(buffer).chain(reader), &name, intake);
    }
    let mut reading = Reading {
        name,
        written: intake.position(&path.display().to_string()),
        intake,
        precision,
        builder: LabelsBuilder::new(),
        scratch: LabelsBuilder::new(),
        line_batch: WriteBatch::new(),
        family: Family::default(),
        fault_count: 0,
    };
    let mut bytes_told = 0;
    loop {
        let lines_before = pieces.lines_before;
        let piece = pieces.next().with_context(|| format!("cannot read {}", reading.name))?;
        let Some((piece, line_count)) = piece else { break };
        let written = lines_before + line_count as u64 <= reading.written;
        match format {
            _ if written => {}
            Format::Native => bail!("BUG: a native export is not read by lines"),
            Format::Json => reading.json(piece, lines_before)?,
            Format::Influx => reading.influx(piece, lines_before)?,
            Format::Openmetrics => {
                reading.exposition(piece, exposition::Format::OpenMetricsText, lines_before)?;
            }
            Format::Prometheus => {
                reading.exposition(piece, exposition::Format::PrometheusText, lines_before)?;
            }
        }
        let name = reading.name.clone();
        reading.intake.reached(&name, lines_before + line_count as u64)?;
        let bytes_read = pieces.bytes_read.load(Ordering::Relaxed);
        reading.intake.advance(bytes_read - bytes_told);
        bytes_told = bytes_read;
    }
    reading.finish_family();
    let name = reading.name.clone();
    reading.intake.done(&name)
}

/// What a file is, by its name and how it begins.
fn guess(path: &Path, beginning: &[u8]) -> anyhow::Result<Format> {
    if beginning.starts_with(&wire::native::MAGIC[..wire::native::MAGIC.len() - 1]) {
        return Ok(Format::Native);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    let has = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if has(&[".om", ".openmetrics"]) {
        return Ok(Format::Openmetrics);
    }
    if has(&[".prom"]) {
        return Ok(Format::Prometheus);
    }
    if has(&[".influx", ".lp", ".line"]) {
        return Ok(Format::Influx);
    }
    if beginning.trim_ascii_start().first() == Some(&b'{') {
        return Ok(Format::Json);
    }
    let comments = [&b"# HELP "[..], b"# TYPE ", b"# UNIT ", b"# EOF"];
    if comments.iter().any(|comment| beginning.starts_with(comment)) {
        return Ok(Format::Openmetrics);
    }
    bail!("cannot tell what {} is; say so by --format", path.display())
}

/// Counts what is read of a file, whatever becomes of it then.
struct Counting<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.count.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}

/// The content of a file, decompressed, in pieces of whole lines.
struct Pieces {
    reader: Box<dyn Read>,
    buffer: Vec<u8>,
    /// Of the buffer, given out already.
    taken: usize,
    at_end: bool,
    lines_before: u64,
    bytes_read: Arc<AtomicU64>,
}

/// A file, or standard input, and how large it is.
fn open(path: &Path) -> anyhow::Result<(Pieces, u64)> {
    let bytes_read = Arc::new(AtomicU64::new(0));
    let (raw, bytes): (Box<dyn Read>, u64) = if path.as_os_str() == "-" {
        (Box::new(io::stdin().lock()), 0)
    } else {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (len, file) = opened.with_context(|| format!("cannot read {}", path.display()))?;
        (Box::new(file), len)
    };
    let mut counted = BufReader::new(Counting { inner: raw, count: Arc::clone(&bytes_read) });
    let beginning = counted.fill_buf().with_context(|| format!("cannot read {}", path.display()))?;
    let reader: Box<dyn Read> = match beginning {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(counted)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::with_buffer(counted)?),
        _ => Box::new(counted),
    };
    let pieces = Pieces { reader, buffer: Vec::new(), taken: 0, at_end: false, lines_before: 0, bytes_read };
    Ok((pieces, bytes))
}

impl Pieces {
    /// How the content begins.
    fn peek(&mut self) -> io::Result<&[u8]> {
        self.fill(PEEKED_BYTES)?;
        Ok(&self.buffer)
    }

    /// Reads until the buffer holds so many bytes, or the end is there.
    fn fill(&mut self, bytes: usize) -> io::Result<()> {
        let wanted = bytes.saturating_sub(self.buffer.len()) as u64;
        if wanted > 0 && !self.at_end {
            let read = self.reader.by_ref().take(wanted).read_to_end(&mut self.buffer)?;
            self.at_end = (read as u64) < wanted;
        }
        Ok(())
    }

    /// The next whole lines, and how many they are.
    fn next(&mut self) -> io::Result<Option<(&[u8], usize)>> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let mut wanted = PIECE_BYTES;
        let end = loop {
            self.fill(wanted)?;
            let newline = self.buffer.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
            match newline {
                _ if self.at_end => break self.buffer.len(),
                Some(end) => break end,
                None if wanted >= LINE_BYTES_MAX => {
                    return Err(io::Error::other("a line is longer than 256 MiB"));
                }
                None => wanted *= 2,
            }
        };
        if end == 0 {
            return Ok(None);
        }
        self.taken = end;
        let piece = &self.buffer[..end];
        let newlines = piece.iter().filter(|byte| **byte == b'\n').count();
        let line_count = newlines + usize::from(piece.last() != Some(&b'\n'));
        self.lines_before += line_count as u64;
        Ok(Some((piece, line_count)))
    }
}

/// The metric family that the last comments of exposition text spoke of.
#[derive(Default)]
struct Family {
    name: String,
    metadata: Metadata,
    /// Its `# TYPE` line, which the parser must see again in the next piece.
    type_line: Vec<u8>,
}

struct Reading<'a> {
    name: String,
    /// Lines that an earlier attempt wrote.
    written: u64,
    intake: &'a mut Intake,
    precision: Precision,
    builder: LabelsBuilder,
    scratch: LabelsBuilder,
    line_batch: WriteBatch,
    family: Family,
    fault_count: u64,
}

impl Reading<'_> {
    fn fault(&mut self, line: u64, message: impl std::fmt::Display) -> anyhow::Result<()> {
        self.fault_count += 1;
        let text = format!("line {line} of {}: {message}", self.name);
        self.intake.fault(&text);
        if self.fault_count >= FAULTS_MAX {
            bail!("{text}; {FAULTS_MAX} lines are wrong, so that this is taken for something else");
        }
        Ok(())
    }

    fn json(&mut self, piece: &[u8], lines_before: u64) -> anyhow::Result<()> {
        for (number, line) in (lines_before + 1..).zip(piece.split(|byte| *byte == b'\n')) {
            let line = line.trim_ascii();
            if line.is_empty() || number <= self.written {
                continue;
            }
            self.line_batch.clear();
            let text = std::str::from_utf8(line).context("it is not valid UTF-8");
            if let Err(error) = text.and_then(|text| lines::read(text, &mut self.line_batch)) {
                self.fault(number, format!("{error:#}"))?;
                continue;
            }
            self.add_line_batch();
            let name = self.name.clone();
            self.intake.reached(&name, number)?;
        }
        Ok(())
    }

    fn add_line_batch(&mut self) {
        let batch = &self.line_batch;
        let mut places = vec![None; batch.series_count()];
        let mut place = |series: u32, intake: &mut Intake| {
            *places[series as usize].get_or_insert_with(|| {
                let labels = batch.series(series);
                let wanted = intake.filter().wants(&labels.to_labels());
                wanted.then(|| intake.place(Place::default(), labels))
            })
        };
        for (at, (series, timestamp_ms, value)) in batch.floats().enumerate() {
            if let Some(place) = place(series, self.intake) {
                self.intake.float(place, timestamp_ms, value, batch.float_starts().get(at));
            }
        }
        for one in batch.histograms() {
            if let Some(place) = place(one.series, self.intake) {
                self.intake.histogram(place, one.timestamp_ms, one.histogram.clone(), one.start_ms);
            }
        }
    }

    fn influx(&mut self, piece: &[u8], lines_before: u64) -> anyhow::Result<()> {
        for line in Lines::new(piece) {
            let (number, added) = match line {
                Ok(line) => {
                    let number = lines_before + line.number as u64;
                    if number <= self.written {
                        continue;
                    }
                    (number, self.influx_line(&line))
                }
                Err(error) => (lines_before + error.number as u64, Err(error.message)),
            };
            if let Err(message) = added {
                self.fault(number, message)?;
            }
            self.intake.relieve()?;
        }
        Ok(())
    }

    /// As the server reads such lines: `measurement_field`, booleans as 1 and 0, no strings.
    fn influx_line(&mut self, line: &Line<'_>) -> Result<(), String> {
        let timestamp = line.timestamp.ok_or("there is no time; in a file each line needs one")?;
        let timestamp_ms = self.precision.to_ms(timestamp).ok_or("the time is out of range")?;
        self.builder.clear();
        for tag in line.tags() {
            let (name, value) = tag?;
            if name == METRIC_NAME {
                return Err(format!("a tag must not be called {METRIC_NAME}"));
            }
            self.builder.set(&name, &value);
        }
        let measurement = line.measurement();
        for field in line.fields() {
            let (field, value) = field?;
            let value = match value {
                FieldValue::Number(number) => number,
                FieldValue::Boolean(yes) => f64::from(u8::from(yes)),
                FieldValue::Text => continue,
            };
            let separator = if measurement.is_empty() { "" } else { "_" };
            self.builder.set(METRIC_NAME, &format!("{measurement}{separator}{field}"));
            self.add(timestamp_ms, value, UNKNOWN_START_MS);
        }
        Ok(())
    }

    /// Adds a sample of the series that the builder holds.
    fn add(&mut self, timestamp_ms: i64, value: f64, start_ms: i64) -> Option<Place> {
        let labels = self.builder.build();
        if !self.intake.filter().wants(&labels) {
            return None;
        }
        let place = self.intake.place(Place::default(), labels.as_ref());
        self.intake.float(place, timestamp_ms, value, start_ms);
        Some(place)
    }

    /// The parser takes a whole exposition; a piece is made one by the last `# TYPE` before it and an end behind it.
    fn exposition(
        &mut self,
        piece: &[u8],
        format: exposition::Format,
        lines_before: u64,
    ) -> anyhow::Result<()> {
        let is_open = format == exposition::Format::OpenMetricsText;
        let mut rest = piece;
        let mut lines_before = lines_before;
        while !rest.is_empty() {
            let mut text = std::mem::take(&mut self.family.type_line);
            let added_lines = u64::from(!text.is_empty());
            text.extend_from_slice(rest);
            if !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            if is_open && !text.ends_with(b"# EOF\n") {
                text.extend_from_slice(b"# EOF\n");
            }
            let fault = self.entries(&text, format)?;
            self.family.type_line = last_type_line(&text).to_vec();
            let Some((line, message)) = fault else { return Ok(()) };
            let line = (line as u64).saturating_sub(added_lines).max(1);
            self.fault(lines_before + line, message)?;
            // What is behind the faulty line is read on its own.
            let ends = rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            let Some((end, _)) = ends.into_iter().nth(line as usize - 1) else { return Ok(()) };
            self.family.type_line = last_type_line(&rest[..=end]).to_vec();
            rest = &rest[end + 1..];
            lines_before += line;
        }
        Ok(())
    }

    /// Adds what a text says; the line of the first fault, and what it is.
    fn entries(
        &mut self,
        text: &[u8],
        format: exposition::Format,
    ) -> anyhow::Result<Option<(usize, String)>> {
        let options = Options { suppress_created: true, ..Options::default() };
        let mut parser = Parser::with_options(text, format, options);
        loop {
            let entry = match parser.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(None),
                Err(fault) => {
                    let (line, column) = match fault.place {
                        FaultPlace::Text { line, column } => (line, column),
                        FaultPlace::Family { .. } => (1, 1),
                    };
                    return Ok(Some((line, format!("column {column}: {}", fault.message))));
                }
            };
            match entry {
                Entry::Series(series) => {
                    let start_ms = parser.start_timestamp_ms(&series).unwrap_or(UNKNOWN_START_MS);
                    self.exposition_series(&series, start_ms);
                    self.intake.relieve()?;
                }
                Entry::Type { name, metric_type } => self.family(&name).metric_type = metric_type,
                Entry::Help { name, text } => self.family(&name).help = text.into_owned(),
                Entry::Unit { name, unit } => self.family(&name).unit = unit.to_owned(),
                // Text has no native histograms.
                Entry::Histogram(_) | Entry::Comment(_) => {}
            }
        }
    }

    fn exposition_series(&mut self, series: &exposition::Series<'_>, start_ms: i64) {
        let Some(timestamp_ms) = series.timestamp_ms else {
            self.intake.fault(&format!("{}: {} has no time", self.name, series.id));
            return;
        };
        if let Err(error) = series.pack_labels(&mut self.builder) {
            self.intake.fault(&format!("{}: {}: {error}", self.name, series.id));
            return;
        }
        let Some(place) = self.add(timestamp_ms, series.value, start_ms) else { return };
        if let Some(exemplar) = series.exemplar {
            match exemplar.to_exemplar(&mut self.scratch) {
                Ok(exemplar) => self.intake.exemplar(place, exemplar, timestamp_ms),
                Err(error) => {
                    self.intake.fault(&format!("{}: an exemplar of {}: {error}", self.name, series.id));
                }
            }
        }
    }

    fn family(&mut self, name: &str) -> &mut Metadata {
        if self.family.name != name {
            self.finish_family();
            self.family.name.push_str(name);
        }
        &mut self.family.metadata
    }

    fn finish_family(&mut self) {
        let metadata = std::mem::take(&mut self.family.metadata);
        if !self.family.name.is_empty() {
            self.intake.metadata(&self.family.name, metadata);
        }
        self.family.name.clear();
    }
}

/// The last `# TYPE` line of a text, its end included.
fn last_type_line(text: &[u8]) -> &[u8] {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.rfold(&[][..], |found, line| match found.is_empty() && line.starts_with(b"# TYPE ") {
        true => line,
        false => found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_lines_and_lose_nothing() {
        let text: String = (0..300_000).map(|at| format!("line {at} of many lines\n")).collect();
        let mut pieces = Pieces {
            reader: Box::new(io::Cursor::new(text.clone() + "no end")),
            buffer: Vec::new(),
            taken: 0,
            at_end: false,
            lines_before: 0,
            bytes_read: Arc::default(),
        };
        assert!(pieces.peek().expect("read").starts_with(b"line 0"));
        let (mut all, mut counts) = (Vec::new(), Vec::new());
        while let Some((piece, lines)) = pieces.next().expect("read") {
            all.extend_from_slice(piece);
            counts.push(lines);
        }
        assert_eq!(all, (text + "no end").into_bytes());
        assert!(counts.len() > 1, "{counts:?}");
        assert_eq!((counts.iter().sum::<usize>(), pieces.lines_before), (300_001, 300_001));
    }

    #[test]
    fn a_file_is_known_by_its_name_or_how_it_begins() {
        for (name, beginning, want) in [
            ("a.om.gz", "", Some(Format::Openmetrics)),
            ("a.lp", "x v=1 1", Some(Format::Influx)),
            ("a.PROM", "", Some(Format::Prometheus)),
            ("a", " {\"metric\":", Some(Format::Json)),
            ("a.txt", "# TYPE a gauge\n", Some(Format::Openmetrics)),
            ("a.txt", "a 1 1\n", None),
        ] {
            assert_eq!(guess(Path::new(name), beginning.as_bytes()).ok(), want, "{name} {beginning}");
        }
    }

    #[test]
    fn the_last_type_line_is_found() {
        let text = b"# TYPE a gauge\na 1 1\n# TYPE b counter\nb_total 1 1\n";
        assert_eq!(last_type_line(text), b"# TYPE b counter\n");
        assert_eq!(last_type_line(b"a 1 1\n"), b"");
    }
}

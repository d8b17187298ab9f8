//! Recorded scrapes of real exporters on their way through parser, engine and flush: how many bytes does a sample take?

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use model::{LabelsBuilder, TenantId};
use storage::{Appender, WriteBatch};
use wire::exposition::{Entry, Format, Parser};

use crate::testbed::Testbed;

/// At most this much on disk, index included.
const BYTES_PER_SAMPLE_MAX: f64 = 0.25;

/// One answer of one exporter.
#[derive(serde::Deserialize)]
struct Head {
    t: i64,
    job: String,
    instance: String,
    status: u16,
    len: usize,
}

fn recording() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/scrapes.zst");
    let path = std::env::var_os("KYMO_RECORDING").map_or(beside, PathBuf::from);
    path.exists().then_some(path)
}

/// Calls `visit` with the time and the samples of each scrape.
fn replay(path: &Path, mut visit: impl FnMut(i64, &WriteBatch)) {
    let mut decoder =
        zstd::stream::read::Decoder::new(std::fs::File::open(path).expect("opened")).expect("zstd");
    decoder.window_log_max(27).expect("set");
    let mut reader = BufReader::new(decoder);
    let (mut line, mut body) = (String::new(), Vec::new());
    let (mut batch, mut builder) = (WriteBatch::new(), LabelsBuilder::new());
    loop {
        line.clear();
        // A tail that is cut off is left out.
        if !matches!(reader.read_line(&mut line), Ok(1..)) {
            break;
        }
        let head: Head = serde_json::from_str(&line).expect("a line of JSON");
        body.resize(head.len, 0);
        if reader.read_exact(&mut body).is_err() {
            break;
        }
        if head.status != 200 {
            continue;
        }
        batch.clear();
        let mut parser = Parser::new(&body, Format::PrometheusText);
        while let Some(entry) = parser.next_entry().expect("real exporters write sound text") {
            if let Entry::Series(series) = entry {
                series.pack_labels(&mut builder).expect("sound labels");
                builder.set("job", &head.job).set("instance", &head.instance);
                let id = batch.add_series(builder.build().as_ref());
                batch.add_float(id, series.timestamp_ms.unwrap_or(head.t), series.value);
            }
        }
        visit(head.t, &batch);
    }
}

#[test]
fn recorded_scrapes_take_few_bytes_on_disk() {
    let Some(path) = recording() else {
        println!("skipped: no recording; set KYMO_RECORDING to the path of one");
        return;
    };
    let bed = Testbed::new();
    let tsdb = bed.tsdb();
    let (mut sample_count, mut last) = (0, None);
    replay(&path, |now_ms, batch| {
        bed.clock.set_ms(now_ms);
        let appended = tsdb.append(&TenantId::anonymous(), batch).expect("written");
        assert_eq!(appended.rejected, []);
        sample_count += appended.accepted_count - appended.duplicate_count;
        last = Some(appended.durable);
    });
    last.expect("the recording is not empty").wait().expect("durable");
    let (wal_bytes, head_bytes) = (bed.bytes(".wal"), tsdb.stats(&TenantId::anonymous(), 0).head_bytes);
    tsdb.flush().expect("flushed");
    let stats = tsdb.stats(&TenantId::anonymous(), 5);
    let stored: u64 = stats.blocks.iter().map(|b| b.sample_count).sum();
    let bytes = bed.bytes(".block");
    let per_sample = |bytes: u64| bytes as f64 / sample_count as f64;
    println!(
        "{sample_count} samples of {} series: {:.3} bytes a sample in {} blocks, {:.2} in the journal, {:.2} in memory",
        stats.blocks.iter().map(|b| b.series_count).max().unwrap_or(0),
        per_sample(bytes),
        stats.blocks.len(),
        per_sample(wal_bytes),
        per_sample(head_bytes),
    );
    assert_eq!(stored, sample_count as u64);
    assert!(per_sample(bytes) <= BYTES_PER_SAMPLE_MAX);
}

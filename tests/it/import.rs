//! What Prometheus stored is imported: blocks, the write-ahead log of one that was killed, and what it answers to remote read; and files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kymo_tests::peer::Peer;
use kymo_tests::push;
use kymo_tests::server::{Kymo, write};
use kymo_tests::{http, paths, poll};
use serde_json::Value;
use tempfile::TempDir;

/// Runs a command with something on its standard input; its exit status and all it said.
fn run(command: &mut Command, input: &[u8]) -> (i32, String) {
    use std::io::Write;
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input).expect("taken");
    drop(stdin);
    let output = child.wait_with_output().expect("ended");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code().unwrap_or(-1), said.concat())
}

/// `kymo tsdb` in a folder, where it leaves its state.
fn tsdb_in(folder: &Path, arguments: &[&str], input: &[u8]) -> (i32, String) {
    run(Command::new(paths::kymo_binary()).current_dir(folder).arg("tsdb").args(arguments), input)
}

#[track_caller]
fn tsdb_ok(folder: &Path, arguments: &[&str]) -> String {
    let (status, said) = tsdb_in(folder, arguments, b"");
    assert_eq!(status, 0, "{arguments:?}: {said}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().expect("utf-8")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("temporary directory")
}

/// Lines of `kymo tsdb dump`, sorted.
fn dump(folder: &Path, data: &str, more: &[&str]) -> Vec<String> {
    let said = tsdb_ok(folder, &[&["dump", data], more].concat());
    let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

const SERIES: usize = 60;
const SAMPLES: i64 = 300;

/// In the middle of a block.
const START_S: i64 = 1_700_000_000 / 7_200 * 7_200 + 600;

/// Five hours of gauges, an OpenMetrics file, and what `dump` prints of it.
fn openmetrics(start_s: i64) -> (String, Vec<String>) {
    let (mut file, mut want) = (String::from("# TYPE imported gauge\n"), Vec::new());
    for series in 0..SERIES {
        for at in 0..SAMPLES {
            let value = match at % 7 {
                0 => format!("{}", 0.1 * (series as f64) + at as f64 / 3.0),
                1 => format!("-{at}"),
                2 => "1e+30".to_owned(),
                _ => format!("{}", at * 1_000 + series as i64),
            };
            let time_s = start_s + at * 60;
            writeln!(file, "imported{{series=\"{series}\",name=\"ü\\\"\"}} {value} {time_s}").expect("text");
            want.push((series, time_s * 1_000, value.parse::<f64>().expect("a number")));
        }
    }
    file.push_str("# EOF\n");
    let line =
        |(series, time_ms, value): (usize, i64, f64)| format!("{series} {time_ms} {:x}", value.to_bits());
    let mut want: Vec<String> = want.into_iter().map(line).collect();
    want.sort();
    (file, want)
}

/// Lines of a dump in the form of [`openmetrics`]: no digit is lost.
fn exactly(dump: &[String]) -> Vec<String> {
    let line = |line: &String| {
        let series = line.split("series=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a label");
        let mut words = line.rsplit(' ');
        let (time, value) = (words.next().expect("a time"), words.next().expect("a value"));
        format!("{series} {time} {:x}", value.parse::<f64>().expect("a number").to_bits())
    };
    let mut lines: Vec<String> = dump.iter().map(line).collect();
    lines.sort();
    lines
}

/// Blocks as Prometheus' own tool makes them.
fn blocks(folder: &Path, start_s: i64) -> (PathBuf, Vec<String>) {
    let (file, want) = openmetrics(start_s);
    let (path, blocks) = (folder.join("all.om"), folder.join("blocks"));
    write(&path, &file);
    let mut promtool = Command::new(paths::program("promtool"));
    promtool.args(["tsdb", "create-blocks-from", "openmetrics", text(&path), text(&blocks)]);
    let (status, said) = run(&mut promtool, b"");
    assert_eq!(status, 0, "{said}");
    (blocks, want)
}

/// The folders of blocks below a folder, the first written first.
fn block_folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("listed").map(|entry| entry.expect("an entry").path());
    let mut blocks: Vec<PathBuf> = entries.filter(|path| path.join("meta.json").is_file()).collect();
    blocks.sort();
    blocks
}

#[test]
fn blocks_are_imported_to_the_bit() {
    let folder = folder();
    let folder = folder.path();
    let (blocks, want) = blocks(folder, START_S);
    let said = tsdb_ok(folder, &["import", "data", text(&blocks)]);
    assert!(said.contains(&format!("{} samples imported into data", want.len())), "{said}");
    assert!(exactly(&dump(folder, "data", &[])) == want, "other samples than were written");
    // A second time: all are duplicates.
    tsdb_ok(folder, &["import", "data", text(&blocks)]);
    assert!(exactly(&dump(folder, "data", &[])) == want);

    let some = ["--match", "{series=~\"1|2\"}", "--start", "1700000000", "--end", "1700003000"];
    tsdb_ok(folder, &[&["import", "some", text(&blocks)][..], &some].concat());
    let of_some = exactly(&dump(folder, "data", &some));
    assert_eq!(exactly(&dump(folder, "some", &[])), of_some);
    assert!(!of_some.is_empty());

    let one = &block_folders(&blocks)[0];
    let said = tsdb_ok(folder, &["import", "one", text(one)]);
    assert!(!said.starts_with("0 samples"), "{said}");
    let left: Vec<String> = std::fs::read_dir(folder)
        .expect("listed")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(".kymo-import"))
        .collect();
    assert!(left.is_empty(), "a finished import leaves no state: {left:?}");
}

#[test]
fn damage_is_named_and_all_else_is_imported() {
    let folder = folder();
    let folder = folder.path();
    let (blocks, want) = blocks(folder, START_S);
    let block = block_folders(&blocks).remove(0);
    let flip = |file: &Path, at: usize| {
        let mut bytes = std::fs::read(file).expect("read");
        bytes[at] ^= 0x10;
        #[expect(clippy::disallowed_methods, reason = "damage needs no crash guarantee")]
        std::fs::write(file, bytes).expect("written");
    };
    let chunks = block.join("chunks/000001");
    flip(&chunks, 60);
    let (status, said) = tsdb_in(folder, &["import", "a", text(&blocks)], b"");
    assert_eq!(status, 1, "{said}");
    assert!(
        said.contains("1 faults were met") && said.contains(text(&chunks)) && said.contains("at offset 8"),
        "{said}"
    );
    let got = dump(folder, "a", &[]).len();
    assert!(got < want.len() && got + 200 > want.len(), "{got} of {}", want.len());

    let index = block.join("index");
    flip(&index, std::fs::metadata(&index).expect("there").len() as usize - 20);
    let (status, said) = tsdb_in(folder, &["import", "b", text(&blocks)], b"");
    assert!(status == 1 && said.contains(text(&index)), "{said}");
    assert!(dump(folder, "b", &[]).len() > want.len() / 3, "other blocks are imported");
    let (status, said) = tsdb_in(folder, &["import", "c", text(&folder.join("a"))], b"");
    assert!(status == 1 && said.contains("holds data of Kymo"), "{said}");
    let (status, said) = tsdb_in(folder, &["import", "c"], b"");
    assert!(status == 2 && said.contains("say what to import"), "{said}");
}

/// Protobuf by hand: a remote write of histograms with integer counts, which Kymo's own encoder never writes.
fn native_histograms(times_ms: &[i64]) -> Vec<u8> {
    fn varint(out: &mut Vec<u8>, mut number: u64) {
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }
    fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
        out.push(field << 3 | 2);
        varint(out, content.len() as u64);
        out.extend_from_slice(content);
    }
    let mut series = Vec::new();
    for (name, value) in [("__name__", "native_import"), ("job", "pushed")] {
        let mut label = Vec::new();
        bytes(&mut label, 1, name.as_bytes());
        bytes(&mut label, 2, value.as_bytes());
        bytes(&mut series, 1, &label);
    }
    for (at, time_ms) in (1u64..).zip(times_ms) {
        let mut histogram = vec![1 << 3];
        // Count: one in the zero bucket, `at` and `2 * at` in two others.
        varint(&mut histogram, 1 + 3 * at);
        histogram.push(3 << 3 | 1);
        histogram.extend_from_slice(&(at as f64 * 1.7).to_le_bytes());
        // Schema 0, whose bounds every version computes alike.
        histogram.extend_from_slice(&[4 << 3, 0]);
        histogram.push(5 << 3 | 1);
        histogram.extend_from_slice(&0.001f64.to_le_bytes());
        histogram.extend_from_slice(&[6 << 3, 1]);
        bytes(&mut histogram, 11, &[1 << 3, 2, 2 << 3, 2]);
        let mut deltas = Vec::new();
        varint(&mut deltas, 2 * at);
        varint(&mut deltas, 2 * at);
        bytes(&mut histogram, 12, &deltas);
        histogram.push(15 << 3);
        varint(&mut histogram, time_ms.cast_unsigned());
        bytes(&mut series, 4, &histogram);
    }
    let mut request = Vec::new();
    bytes(&mut request, 1, &series);
    snap::raw::Encoder::new().compress_vec(&request).expect("compressed")
}

/// Raw samples of all series of two jobs in a window, by labels; and some functions of the native histogram.
fn everything(url: &str, at: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for query in [
        "{job=~\"node|prometheus|pushed\",__name__!=\"native_import\"}[3m]",
        "native_import",
        "native_import[3m]",
        "histogram_count(native_import)",
        "histogram_sum(native_import)",
    ] {
        let answer = http::api(url, "/api/v1/query", &[("query", query), ("time", at)]).expect("answered");
        for series in answer["result"].as_array().expect("a list") {
            let samples: Vec<&Value> = ["value", "values", "histogram", "histograms"]
                .iter()
                .filter_map(|key| series.get(key))
                .collect();
            all.insert(format!("{query} {}", series["metric"]), format!("{samples:?}"));
        }
    }
    all
}

#[track_caller]
fn check_same(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) {
    let missing: Vec<&String> = theirs.keys().filter(|key| !ours.contains_key(*key)).take(5).collect();
    let added: Vec<&String> = ours.keys().filter(|key| !theirs.contains_key(*key)).take(5).collect();
    assert!(missing.is_empty() && added.is_empty(), "missing {missing:?}, too many {added:?}");
    for (key, value) in theirs {
        assert_eq!(&ours[key], value, "{key}");
    }
}

/// A Kymo on a folder that something was imported into, with what it answers.
fn answers_of_import(arguments: &[&str], at: &str) -> (BTreeMap<String, String>, String) {
    let mut kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    kymo.stop();
    let data = kymo.folder().join("data");
    let (status, said) = tsdb_in(kymo.folder(), &[&["import", text(&data)], arguments].concat(), b"");
    assert_eq!(status, 0, "{said}");
    kymo.start_again();
    (everything(&kymo.url(), at), said)
}

#[test]
fn a_prometheus_that_was_killed_is_imported_with_all_it_answered() {
    let exporter = Peer::node_exporter();
    let mut prometheus = Peer::prometheus_with(
        &format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: node\n    static_configs: [{{targets: ['{}']}}]\n  - job_name: prometheus\n    static_configs: [{{targets: ['127.0.0.1:{{port}}']}}]\n",
            exporter.address()
        ),
        &["--enable-feature=native-histograms,exemplar-storage", "--web.enable-admin-api"],
    );
    let now_ms = push::now_ms();
    let times: Vec<i64> = (0..5).map(|at| now_ms - 20_000 + at * 4_000).collect();
    let pushed =
        http::post(&format!("{}/api/v1/write", prometheus.url()), &push::HEADERS, &native_histograms(&times));
    let pushed = pushed.expect("answered");
    assert_eq!(pushed.status / 100, 2, "{}", pushed.text());
    let newest = poll::until("12 scrapes", || {
        http::single_value(&prometheus.url(), "max(timestamp(count_over_time(node_load1[1m]) >= 12))")
    });
    // Deleted samples do not come back.
    let gone =
        format!("{}/api/v1/admin/tsdb/delete_series?match[]=node_load15&end={newest}", prometheus.url());
    assert_eq!(http::post(&gone, &[], b"").expect("answered").status, 204);
    // What was scraped before this is there as soon as each target was scraped after it.
    let at_s = newest - 1.5;
    poll::until("all scrapes of that time", || {
        for job in ["node", "prometheus"] {
            let scraped = http::single_value(&prometheus.url(), &format!("timestamp(up{{job=\"{job}\"}})"))?;
            if scraped <= at_s {
                return Err(format!("{job}: {scraped}, waiting for {at_s}"));
            }
        }
        Ok(())
    });
    let at = format!("{at_s:.3}");
    let theirs = everything(&prometheus.url(), &at);
    assert!(theirs.len() > 300, "{} series", theirs.len());
    assert!(theirs.keys().any(|key| key.starts_with("histogram_sum")), "native histograms are stored");

    let start = format!("{:.3}", newest - 600.0);
    let (ours, _) =
        answers_of_import(&["--from-url", &prometheus.url(), "--start", &start, "--end", &at], &at);
    check_same(&ours, &theirs);

    // What can be queried is in its log; it has no chance to end in order.
    prometheus.kill();
    let data = prometheus.folder().join("data");
    let (ours, said) = answers_of_import(&[text(&data)], &at);
    check_same(&ours, &theirs);
    assert!(!said.contains("faults"), "{said}");

    let kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let said = tsdb_ok(kymo.folder(), &["import", "--url", &kymo.url(), text(&data)]);
    assert!(said.contains("samples imported"), "{said}");
    check_same(&everything(&kymo.url(), &at), &theirs);

    // The tail of the last segment is lost, as after a crash of the machine.
    let mut segments: Vec<PathBuf> = std::fs::read_dir(data.join("wal"))
        .expect("listed")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    segments.sort();
    let last = segments.last().expect("a segment");
    let bytes = std::fs::read(last).expect("read");
    #[expect(clippy::disallowed_methods, reason = "damage needs no crash guarantee")]
    std::fs::write(last, &bytes[..bytes.len() - 11]).expect("written");
    let folder = folder();
    let said = tsdb_ok(folder.path(), &["import", "data", text(&data)]);
    assert!(said.contains("cut off") && said.contains(text(last)), "{said}");
}

#[test]
fn files_of_lines_are_imported_as_what_they_are() {
    let folder = folder();
    let folder = folder.path();
    let (file, want) = openmetrics(START_S);
    write(&folder.join("all.om"), &file);
    let (status, said) = run(Command::new("gzip").current_dir(folder).arg("all.om"), b"");
    assert_eq!(status, 0, "{said}");
    let said = tsdb_ok(folder, &["import", "om", "all.om.gz"]);
    assert!(said.contains(&format!("{} samples", want.len())), "{said}");
    assert!(exactly(&dump(folder, "om", &[])) == want, "other samples than the file has");

    tsdb_ok(folder, &["export", "om", "all.jsonl"]);
    let lines = std::fs::read(folder.join("all.jsonl")).expect("read");
    let (status, said) = tsdb_in(folder, &["import", "json", "-"], &lines);
    assert_eq!(status, 0, "{said}");
    assert!(exactly(&dump(folder, "json", &[])) == want, "other samples than were exported");

    write(
        &folder.join("points.lp"),
        "cpu,host=a usage=0.5,up=t,text=\"x\" 1700000000\nnonsense\nmem free=7i 1700000001\n",
    );
    let (status, said) = tsdb_in(folder, &["import", "influx", "points.lp", "--precision", "s"], b"");
    assert!(status == 1 && said.contains("line 2 of points.lp") && said.contains("3 samples"), "{said}");
    assert_eq!(
        dump(folder, "influx", &[]),
        [
            "{__name__=\"cpu_up\", host=\"a\"} 1 1700000000000",
            "{__name__=\"cpu_usage\", host=\"a\"} 0.5 1700000000000",
            "{__name__=\"mem_free\"} 7 1700000001000"
        ]
    );
    write(&folder.join("x.txt"), "what is this\n");
    let (status, said) = tsdb_in(folder, &["import", "x", "x.txt"], b"");
    assert!(status == 1 && said.contains("--format"), "{said}");
    write(&folder.join("x.om"), "# TYPE a gauge\na 1\nb 2 5\n# EOF\n");
    let (status, said) = tsdb_in(folder, &["import", "x", "x.om"], b"");
    assert!(status == 1 && said.contains("a has no time") && said.contains("1 samples imported"), "{said}");
}

#[test]
fn an_interrupted_import_goes_on_where_it_stood() {
    let folder = folder();
    let folder = folder.path();
    let (blocks, want) = blocks(folder, push::now_ms() / 1_000 - 10 * 3_600);
    let mut kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let state = folder.join("state.json");
    let made = block_folders(&blocks);
    assert!(made.len() >= 2, "{made:?}");
    let written = made[0].file_name().expect("a name").to_string_lossy();
    // As an attempt leaves it that has written one block.
    let source = std::fs::canonicalize(&blocks).expect("there");
    let what = format!("{} tenant=anonymous match=[] start=None end=None", source.display());
    let record = serde_json::json!({
        "source": what, "destination": kymo.url(), "done": [format!("block {written}")], "unit": "", "position": 0,
    });
    write(&state, &record.to_string());
    let said = tsdb_ok(folder, &["import", "--url", &kymo.url(), "--state", text(&state), text(&blocks)]);
    assert!(said.contains("going on where") && !state.exists(), "{said}");
    let imported: usize =
        said.lines().find_map(|line| line.split_once(" samples imported")?.0.parse().ok()).expect("a number");
    assert!(imported > 0 && imported < want.len(), "{imported} of {}", want.len());
    let other: Value = record;
    write(&state, &other.to_string().replace("match=[]", "match=[a]"));
    let (status, said) =
        tsdb_in(folder, &["import", "--url", &kymo.url(), "--state", text(&state), text(&blocks)], b"");
    assert!(status == 1 && said.contains("the state of another import"), "{said}");
    kymo.process().kill();
}

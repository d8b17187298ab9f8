//! Flushes with writes and queries between their slices: nothing is locked there, and nothing is missed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{Labels, TenantId};
use parking_lot::Mutex;
use stdx::clock::{Clock, ManualClock};
use storage::{Appender, Querier, QueryContext, SelectHints, SelectRequest, SeriesSamples, WriteBatch};

use crate::engine::{Meanwhile, Tsdb};
use crate::head::SHARDS;
use crate::settings::{Deps, Settings};

const NOW_MS: i64 = 1_700_000_000_000;
/// Several slices in each shard.
const SERIES: usize = 1000 * SHARDS;

/// What was written, by the number of the series: times and values.
type Written = BTreeMap<usize, Vec<(i64, f64)>>;

fn labels(at: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", "metric"),
        ("group", ["even", "odd"][at % 2]),
        ("i", &format!("{at:06}")),
    ])
}

fn open() -> Arc<Tsdb> {
    let clock: Arc<dyn Clock> = ManualClock::at(NOW_MS);
    let deps = Deps { fs: Arc::new(sim::fs::SimFs::new(1)), clock, ..Deps::system() };
    Tsdb::open(Settings { directory: "/var/kymo".into(), ..Settings::default() }, deps).expect("opened")
}

/// Writes one sample of each of these series.
fn write(tsdb: &Tsdb, all: impl IntoIterator<Item = usize>, at_ms: i64, value: f64, written: &mut Written) {
    let mut batch = WriteBatch::new();
    for at in all {
        let series = batch.add_series(labels(at).as_ref());
        batch.add_float(series, at_ms, value);
        written.entry(at).or_default().push((at_ms, value));
    }
    let appended = tsdb.append(&TenantId::anonymous(), &batch).expect("taken");
    assert_eq!(appended.rejected, []);
}

/// Asserts that some series are as written; all that there are if `every` is 1.
fn check(tsdb: &Tsdb, every: usize, written: &Written) {
    let matchers = match every {
        1 => Vec::new(),
        _ => vec![model::Matcher::equal("i", &format!("{every:06}"))],
    };
    let (start_ms, end_ms, hints) = (i64::MIN, i64::MAX, SelectHints::default());
    let request = SelectRequest { matchers: &matchers, start_ms, end_ms, hints };
    let set = tsdb.select(&TenantId::anonymous(), &request, &QueryContext::unlimited()).expect("selected");
    let mut samples = SeriesSamples::default();
    for at in 0..set.len() {
        let number: usize = set.labels(at).get("i").expect("has it").parse().expect("a number");
        set.read(at, &mut samples).expect("read");
        let found: Vec<_> =
            samples.floats.timestamps_ms.iter().copied().zip(samples.floats.values.iter().copied()).collect();
        assert_eq!(found, written[&number], "series {number}");
    }
    assert_eq!(set.len(), if every == 1 { written.len() } else { 1 });
}

/// What any write or query needs.
fn assert_unlocked(tsdb: &Tsdb) {
    let tenant = tsdb.tenant(&TenantId::anonymous()).expect("there is one");
    assert!(tenant.head.shards.iter().all(|shard| shard.try_write().is_some()), "a shard is locked");
    assert!(tenant.head.index.try_write().is_some(), "the index is locked");
    assert!(tenant.head.keys.is_unlocked() && tenant.head.symbols_are_unlocked());
}

/// Does `work` with writes and queries in each pause; answers how many pauses there were.
fn pauses_of(tsdb: &Arc<Tsdb>, written: Written, work: impl FnOnce(&Tsdb)) -> (usize, Written) {
    let pauses = Arc::new(AtomicUsize::new(0));
    let written = Arc::new(Mutex::new(written));
    let (counted, all) = (Arc::clone(&pauses), Arc::clone(&written));
    let meanwhile = move |tsdb: &Tsdb| {
        let pause = counted.fetch_add(1, Ordering::Relaxed);
        let written = &mut *all.lock();
        assert_unlocked(tsdb);
        // Some that are there, of all shards, and one that is new.
        let some = (0..SERIES).skip(pause % 97).step_by(997).chain([SERIES + pause]);
        write(tsdb, some, NOW_MS - 1000 + pause as i64, pause as f64, written);
        check(tsdb, 2 + pause * 31 % (SERIES - 2), written);
        check(tsdb, SERIES + pause, written);
    };
    assert!(tsdb.meanwhile.set(Meanwhile(Box::new(meanwhile))).is_ok());
    work(tsdb);
    let written = written.lock().clone();
    (pauses.load(Ordering::Relaxed), written)
}

#[test]
fn writes_and_queries_go_on_between_the_slices_of_a_flush() {
    let (tsdb, mut written) = (open(), Written::new());
    for t in 0..3 {
        write(&tsdb, 0..SERIES, NOW_MS - 60_000 + t, t as f64, &mut written);
    }
    let (pauses, written) = pauses_of(&tsdb, written, |tsdb| tsdb.flush().expect("flushed"));
    // Freezing, ranking pairs, and freeing: several slices of each shard.
    assert!(pauses > 4 * SHARDS, "{pauses} pauses");
    check(&tsdb, 1, &written);
    assert_eq!(tsdb.stats(&TenantId::anonymous(), 1).blocks.len(), 1);
    tsdb.abandon();
}

#[test]
fn series_that_stopped_are_released_in_slices_too() {
    let (tsdb, mut written) = (open(), Written::new());
    write(&tsdb, 0..SERIES, NOW_MS - 60_000, 1.0, &mut written);
    let tenant = tsdb.tenant(&TenantId::anonymous()).expect("there is one");
    for _ in 0..5 {
        tenant.head.look(|| assert_unlocked(&tsdb));
    }
    let (pauses, written) = pauses_of(&tsdb, written, |tsdb| tsdb.release_stopped().expect("released"));
    assert!(pauses > 4 * SHARDS, "{pauses} pauses");
    check(&tsdb, 1, &written);
    assert!(tenant.head.series_count() < SERIES, "those that did not come again are gone");
    tsdb.abandon();
}

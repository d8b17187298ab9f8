//! Snapshots, full compactions, clean stops, and checks of everything that is on disk.

use std::path::Path;
use std::sync::Arc;

use model::{Labels, Matcher, TenantId};
use stdx::fs::{Fs, RealFs};
use storage::conformance::NEWEST_MS;
use tsdb::verify::{Verification, Verifier};

use crate::testbed::{Testbed, series};

const T: i64 = (NEWEST_MS / (2 * HOUR) - 5) * 2 * HOUR;
const HOUR: i64 = 3_600_000;

fn write(bed: &Testbed, labels: &Labels, from_ms: i64, count: i64) {
    let samples: Vec<(&Labels, i64, f64)> =
        (0..count).map(|i| (labels, from_ms + i * 60_000, (i % 17) as f64)).collect();
    bed.write(&samples);
}

fn verify(directory: &Path) -> Verification {
    let verifier = Verifier::new(RealFs::shared(), directory).expect("listed");
    let (total, mut done) = (verifier.total_bytes(), 0);
    let found = verifier.run(|bytes| done += bytes);
    assert_eq!((done, found.bytes), (total, total));
    found
}

#[test]
fn a_snapshot_is_a_data_directory_with_all_that_was_acknowledged() {
    for skip_head in [false, true] {
        let bed = Testbed::new();
        let (a, b) = (series("a", "1"), series("b", "1"));
        write(&bed, &a, T, 300);
        bed.tsdb().flush().expect("flushed");
        bed.tsdb()
            .delete_series(
                &TenantId::anonymous(),
                &[vec![Matcher::equal("__name__", "a")]],
                T,
                T + 9 * 60_000,
            )
            .expect("deleted");
        write(&bed, &b, T, 3);
        let name = bed.tsdb().snapshot(skip_head).expect("taken");
        let path = bed.settings.directory.join("snapshots").join(&name);
        // What happens later is not in it.
        write(&bed, &a, T - 60_000, 1);
        bed.tsdb().compact_all().expect("compacted");
        assert_eq!(verify(&path).faults, []);
        assert_ne!(bed.tsdb().snapshot(skip_head).expect("taken"), name);
        let copy = Testbed::on(RealFs::shared(), None, path, |_| {});
        let all = copy.all();
        assert_eq!(all[&a].len(), 290);
        assert_eq!(all.get(&b).map_or(0, Vec::len), if skip_head { 0 } else { 3 });
    }
}

#[test]
fn a_full_compaction_leaves_one_block_a_day_and_no_journal() {
    let bed = Testbed::new();
    let a = series("a", "1");
    for hour in 0..10 {
        write(&bed, &a, T + hour * HOUR, 60);
        bed.tsdb().flush().expect("flushed");
    }
    write(&bed, &a, T, 3);
    let before = bed.all();
    let compacted = bed.tsdb().compact_all().expect("compacted");
    let blocks = bed.tsdb().stats(&TenantId::anonymous(), 0).blocks;
    assert!(blocks.len() <= 2, "ten hours touch two days at most: {blocks:?}");
    assert_eq!(compacted.block_count.1, blocks.len() as u64);
    assert_eq!((compacted.sample_count, compacted.journal_bytes.1), (600, 0));
    assert_eq!(bed.all(), before);
    let again = bed.tsdb().compact_all().expect("compacted");
    assert_eq!(again.block_count.0, again.block_count.1);
    assert_eq!(again.block_bytes.0, again.block_bytes.1);
}

#[test]
fn after_a_clean_stop_nothing_is_replayed() {
    let bed = Testbed::new();
    let a = series("a", "1");
    write(&bed, &a, T, 300);
    let before = bed.all();
    bed.restart();
    assert_eq!(bed.files(".wal"), Vec::<std::path::PathBuf>::new());
    assert_eq!(bed.tsdb().stats(&TenantId::anonymous(), 0).sample_count, 0);
    assert_eq!(bed.all(), before);
}

#[test]
fn after_a_stop_nothing_is_deleted_compacted_or_linked_any_more() {
    let bed = Testbed::new();
    write(&bed, &series("a", "1"), T, 3);
    let tsdb = bed.tsdb();
    tsdb.stop().expect("stopped");
    assert!(tsdb.snapshot(false).is_err() && tsdb.compact_all().is_err() && tsdb.clean_tombstones().is_err());
    assert!(tsdb.delete_series(&TenantId::anonymous(), &[Vec::new()], 0, i64::MAX).is_err());
    assert_eq!(bed.all().len(), 1);
}

#[test]
fn verifying_counts_what_is_sound_and_names_what_is_not() {
    let bed = Testbed::new();
    for i in 0..20 {
        write(&bed, &series("a", &i.to_string()), T + HOUR, 30);
    }
    bed.tsdb().flush().expect("flushed");
    bed.tsdb()
        .delete_series(&TenantId::anonymous(), &[vec![Matcher::equal("i", "7")]], T, T + 1)
        .expect("deleted");
    write(&bed, &series("b", "1"), T + HOUR, 5);
    bed.kill();
    let found = verify(&bed.settings.directory);
    assert_eq!((found.faults.as_slice(), found.remarks.as_slice()), (&[][..], &[][..]));
    assert_eq!((found.series_count, found.block_sample_count, found.journal_sample_count), (20, 600, 5));
    let fs: Arc<dyn Fs> = RealFs::shared();
    let mut damaged_count = 0;
    for suffix in [".block", ".wal", "tombstones"] {
        for path in bed.files(suffix) {
            let whole = stdx::fs::read(&*fs, &path).expect("read");
            for at in (8..whole.len()).step_by(whole.len() / 23 + 1) {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x10;
                stdx::fs::write_atomic(&*fs, &path, &damaged).expect("written");
                let found = verify(&bed.settings.directory);
                let named = found.faults.iter().chain(&found.remarks).any(|fault| fault.path == path);
                // The header of a segment is not needed to read it; a spare word of a block's trailer means nothing.
                let harmless =
                    (suffix == ".wal" && at < 16) || (suffix == ".block" && at + 12 >= whole.len());
                assert!(named || harmless, "{}: byte {at} of {}", path.display(), whole.len());
                damaged_count += 1;
            }
            stdx::fs::write_atomic(&*fs, &path, &whole).expect("written");
        }
    }
    assert!(damaged_count > 30);
    assert_eq!(verify(&bed.settings.directory).faults, []);
}

//! Files that are not as they were written: torn, cut, with bits turned over.

use std::path::Path;

use model::{Matcher, TenantId};
use storage::conformance::NEWEST_MS;
use storage::{Appender, ErrorKind, Querier, WriteBatch};

use crate::testbed::{Testbed, exemplar, series};

const T: i64 = NEWEST_MS - 3_600_000;

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).expect("read");
    change(&mut bytes);
    #[expect(clippy::disallowed_methods, reason = "damage need not survive a crash")]
    std::fs::write(path, bytes).expect("written");
}

/// Ten writes, one after the other, each with its own journal frame.
fn written() -> std::sync::Arc<Testbed> {
    let bed = Testbed::new();
    for i in 0..10 {
        bed.write(&[(&series("a", "1"), T + i * 1000, i as f64)]);
    }
    bed
}

#[track_caller]
fn check_values(bed: &Testbed, want: &[i64]) {
    let found = bed.all().remove(&series("a", "1")).unwrap_or_default();
    let want: Vec<(i64, f64)> = want.iter().map(|i| (T + i * 1000, *i as f64)).collect();
    assert_eq!(found, want);
}

#[test]
fn a_torn_end_of_the_journal_is_cut_once() {
    for cut in [1, 5, 17, 30] {
        let bed = written();
        bed.kill();
        let wal = bed.files(".wal").pop().expect("a segment");
        edit(&wal, |bytes| bytes.truncate(bytes.len() - cut));
        bed.start();
        check_values(&bed, &(0..9).collect::<Vec<_>>());
        assert_eq!(bed.metric("kymo_tsdb_wal_truncated_tails_total"), 1.0);
        assert_eq!(bed.metric("kymo_tsdb_wal_corruptions_total"), 0.0);
        bed.write(&[(&series("a", "1"), T + 20_000, 20.0)]);
        bed.kill();
        bed.start();
        assert_eq!(bed.metric("kymo_tsdb_wal_truncated_tails_total"), 0.0);
        assert_eq!(bed.metric("kymo_tsdb_wal_corruptions_total"), 0.0);
        assert_eq!(bed.all()[&series("a", "1")].last(), Some(&(T + 20_000, 20.0)));
    }
}

#[test]
fn garbage_behind_the_last_frame_is_cut() {
    let bed = written();
    bed.kill();
    edit(&bed.files(".wal")[0], |bytes| bytes.extend_from_slice(&[0; 5000]));
    bed.start();
    check_values(&bed, &(0..10).collect::<Vec<_>>());
    assert_eq!(bed.metric("kymo_tsdb_wal_truncated_tails_total"), 1.0);
}

#[test]
fn a_turned_bit_in_the_middle_of_the_journal_costs_its_frame_only_and_is_counted() {
    let len = {
        let bed = written();
        bed.kill();
        std::fs::metadata(&bed.files(".wal")[0]).expect("there").len() as usize
    };
    let (mut hit_count, mut harmless_count) = (0, 0);
    for at in (0..len).step_by(9) {
        let bed = written();
        bed.kill();
        edit(&bed.files(".wal")[0], |bytes| bytes[at] ^= 0x10);
        bed.start();
        let found = bed.all().remove(&series("a", "1")).unwrap_or_default();
        assert!(found.iter().all(|(t, v)| *t == T + *v as i64 * 1000), "nothing wrong is read: {found:?}");
        let reported =
            bed.metric("kymo_tsdb_wal_corruptions_total") + bed.metric("kymo_tsdb_wal_truncated_tails_total");
        match found.len() {
            10 => harmless_count += 1,
            // The first frame defines tenant and series: without it, the rest of the segment has no owner.
            0 | 9 => {
                assert!(reported >= 1.0, "byte {at}: lost, and nobody said so");
                hit_count += 1;
            }
            other => panic!("byte {at}: {other} of 10 samples are left"),
        }
    }
    assert!(hit_count > 10 && harmless_count <= 3, "{hit_count} hits, {harmless_count} harmless");
}

#[test]
fn a_damaged_block_is_named_and_the_rest_is_served() {
    let make = || {
        let bed = Testbed::new();
        for i in 0..40 {
            let (a, b) = (series("a", &i.to_string()), series("b", &i.to_string()));
            bed.write(&[(&a, T, 1.0), (&b, T, 2.5), (&a, T + 15_000, 1.5 + i as f64), (&b, T + 15_017, 0.1)]);
        }
        bed.tsdb().flush().expect("flushed");
        // A second block in another window, which must stay readable whatever happens to the first.
        bed.write(&[(&series("c", "1"), T - 86_400_000, 3.0)]);
        bed.tsdb().flush().expect("flushed");
        bed
    };
    let whole = make().all();
    let len = std::fs::metadata(&make().files(".block")[0]).expect("there").len() as usize;
    for at in (0..len).step_by(41) {
        let bed = make();
        bed.kill();
        edit(&bed.files(".block")[0], |bytes| bytes[at] ^= 0x04);
        bed.start();
        let first = bed.try_select(&[], i64::MIN, i64::MAX);
        if let Err(error) = &first {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
            assert!(error.to_string().contains(".block"), "the message names the file: {error}");
        }
        // What was reported is set aside; each damaged frame is reported once.
        let rest = (0..3).find_map(|_| bed.try_select(&[], i64::MIN, i64::MAX).ok()).expect("served");
        assert!(rest.contains_key(&series("c", "1")), "byte {at}: the other block is served");
        for (labels, samples) in &rest {
            assert_eq!(samples, &whole[labels], "byte {at}: {labels} is read wrong");
        }
        if rest != whole {
            assert!(bed.metric("kymo_tsdb_block_corruptions_total") >= 1.0, "byte {at}: nobody said so");
        }
        bed.tsdb().compact().expect("damaged blocks are left alone");
    }
}

#[test]
fn damaged_exemplars_do_not_keep_the_engine_from_starting() {
    let bed = Testbed::new();
    let mut batch = WriteBatch::new();
    let id = batch.add_series(series("a", "1").as_ref());
    batch.add_float(id, T, 1.0);
    batch.add_exemplar(id, exemplar("x", T), T);
    bed.tsdb().append_durably(&TenantId::anonymous(), &batch).expect("written");
    bed.restart();
    let all = [vec![Matcher::equal("__name__", "a")]];
    assert_eq!(bed.tsdb().exemplars(&TenantId::anonymous(), &all, T, T).expect("answered").len(), 1);
    bed.kill();
    edit(&bed.files("extras")[0], |bytes| bytes[10] ^= 1);
    bed.start();
    assert_eq!(bed.metric("kymo_tsdb_block_corruptions_total"), 1.0);
    assert!(bed.tsdb().exemplars(&TenantId::anonymous(), &all, T, T).expect("answered").is_empty());
    assert_eq!(bed.all()[&series("a", "1")], [(T, 1.0)]);
}

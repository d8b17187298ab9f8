//! The queue beside a plain list, and through crashes.

use std::path::Path;

use proptest::prelude::*;
use sim::fs::SimFs;

use super::*;

fn open(fs: &Arc<dyn Fs>, bytes_max: u64) -> Queue {
    Queue::open(Arc::clone(fs), Path::new("/queue"), bytes_max).expect("opened")
}

fn push(queue: &mut Queue, number: u64) {
    let payload = vec![number as u8; 100];
    queue.push(u32::try_from(number).expect("small"), number as i64, &payload).expect("pushed");
}

/// The numbers of the records of a claim.
fn numbers(claim: &Claim) -> Vec<u8> {
    claim.payloads.iter().map(|payload| payload[0]).collect()
}

#[test]
fn records_come_out_in_order_and_go_once_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let fs = stdx::fs::RealFs::shared();
    let open = || Queue::open(Arc::clone(&fs), &folder.path().join("queue"), 1 << 20).expect("opened");
    let mut queue = open();
    assert!(queue.claim(100).expect("read").is_none());
    (1..=5).for_each(|number| push(&mut queue, number));
    assert_eq!((queue.samples(), queue.bytes()), (15, 5 * 120));
    let claim = queue.claim(6).expect("read").expect("something");
    assert_eq!((numbers(&claim), claim.samples, claim.newest_ms), (vec![1, 2, 3], 6, 3));
    assert!(queue.claim(6).expect("read").is_none(), "one claim at a time");
    queue.done(&claim, false).expect("done");
    let claim = queue.claim(1).expect("read").expect("something");
    assert_eq!(numbers(&claim), [1], "what was not delivered comes again, and one record at least");
    queue.done(&claim, true).expect("done");
    queue.save().expect("saved");
    drop(queue);
    let mut queue = open();
    assert_eq!(queue.samples(), 14);
    push(&mut queue, 6);
    let claim = queue.claim(1_000).expect("read").expect("something");
    assert_eq!(numbers(&claim), [2, 3, 4, 5, 6]);
    queue.done(&claim, true).expect("done");
    assert_eq!((queue.samples(), queue.bytes(), queue.take_lost()), (0, 0, Lost::default()));
}

#[test]
fn beyond_the_bound_exactly_the_oldest_go_and_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let fs = stdx::fs::RealFs::shared();
    let mut queue = Queue::open(fs, folder.path(), 5 * 120).expect("opened");
    (1..=8).for_each(|number| push(&mut queue, number));
    assert_eq!(queue.take_lost(), Lost { overflowed: 1 + 2 + 3, damaged: 0 });
    // What is under way is lost only if it does not arrive.
    let claim = queue.claim(9).expect("read").expect("something");
    assert_eq!(numbers(&claim), [4, 5]);
    (9..=11).for_each(|number| push(&mut queue, number));
    assert!(queue.overtaken(&claim));
    assert_eq!(queue.take_lost().overflowed, 6);
    queue.done(&claim, true).expect("done");
    assert_eq!(queue.take_lost().overflowed, 0);
    let claim = queue.claim(7).expect("read").expect("something");
    assert_eq!(numbers(&claim), [7]);
    push(&mut queue, 12);
    queue.done(&claim, false).expect("done");
    assert_eq!(queue.take_lost().overflowed, 7);
}

#[test]
fn a_damaged_record_takes_the_rest_of_its_segment_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let fs = stdx::fs::RealFs::shared();
    let reopen = || Queue::open(Arc::clone(&fs), folder.path(), 1 << 20).expect("opened");
    for part in 0..3 {
        let mut queue = reopen();
        (1..=3).for_each(|number| push(&mut queue, part * 10 + number));
        queue.sync().expect("synced");
    }
    let second = folder.path().join(segment::name(2));
    let file = fs.open_write(&second).expect("there");
    file.write_all_at(b"x", 130 + 20).expect("written");
    let mut queue = reopen();
    let claim = queue.claim(1_000).expect("read").expect("something");
    assert_eq!(numbers(&claim), [1, 2, 3, 11, 21, 22, 23]);
    assert_eq!(queue.take_lost(), Lost { overflowed: 0, damaged: 1 });
}

/// Pushes, syncs, claims and delivers until the file system crashes. Returns what was synced and what was claimed as delivered.
fn work(fs: &Arc<dyn Fs>) -> (u64, u64) {
    let (mut synced, mut delivered) = (0, 0);
    let Ok(mut queue) = Queue::open(Arc::clone(fs), Path::new("/queue"), 1 << 30) else { return (0, 0) };
    for number in 1..=40u64 {
        if queue.push(number as u32, number as i64, &[number as u8; 100]).is_err() {
            return (synced, delivered);
        }
        if number % 3 == 0 {
            match queue.sync() {
                Ok(()) => synced = number,
                Err(_) => return (synced, delivered),
            }
        }
        if number % 5 == 0 {
            let Ok(Some(claim)) = queue.claim(30) else { return (synced, delivered) };
            delivered += claim.payloads.len() as u64;
            if queue.done(&claim, true).and_then(|()| queue.save()).is_err() {
                return (synced, delivered);
            }
        }
    }
    (synced, delivered)
}

#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_synced() {
    let all = SimFs::new(1);
    work(&all.shared());
    let operations = all.op_count();
    for crash_at in 0..operations {
        let fs = SimFs::new(crash_at);
        fs.crash_after(crash_at);
        let (synced, delivered) = work(&fs.shared());
        for seed in 0..3 {
            let fs = fs.after_crash(seed).shared();
            let mut queue = open(&fs, 1 << 30);
            let found = queue.claim(usize::MAX).expect("read").map_or(Vec::new(), |claim| numbers(&claim));
            let first = found.first().map_or(synced + 1, |first| u64::from(*first));
            assert!(first <= delivered + 1, "crash {crash_at}: {first} after {delivered} delivered");
            assert!(found.windows(2).all(|pair| pair[0] + 1 == pair[1]), "crash {crash_at}: {found:?}");
            let last = found.last().map_or(delivered.max(first - 1), |last| u64::from(*last));
            assert!(last >= synced, "crash {crash_at}: {synced} were synced, {last} is the last");
            assert_eq!(queue.take_lost(), Lost::default(), "crash {crash_at}");
        }
    }
    assert!(operations > 80, "{operations} crash points");
}

proptest! {
    /// A queue does what a list does, whatever is asked of it in which order.
    #[test]
    fn a_queue_is_a_list_that_survives(steps in proptest::collection::vec(0u8..6, 1..60)) {
        let fs = SimFs::new(7).shared();
        let mut queue = open(&fs, 1 << 30);
        let mut list: VecDeque<u64> = VecDeque::new();
        let mut next = 1;
        for step in steps {
            match step {
                0..3 => {
                    push(&mut queue, next);
                    list.push_back(next);
                    next += 1;
                }
                3 | 4 => {
                    if let Some(claim) = queue.claim(20).expect("read") {
                        let delivered = step == 3;
                        for (at, number) in numbers(&claim).into_iter().enumerate() {
                            prop_assert_eq!(u64::from(number), list[at]);
                        }
                        queue.done(&claim, delivered).expect("done");
                        if delivered {
                            list.drain(..claim.payloads.len());
                        }
                    } else {
                        prop_assert!(list.is_empty());
                    }
                }
                _ => {
                    queue.sync().expect("synced");
                    queue.save().expect("saved");
                    drop(queue);
                    queue = open(&fs, 1 << 30);
                }
            }
            prop_assert_eq!(queue.samples(), list.iter().sum::<u64>());
        }
        prop_assert_eq!(queue.take_lost(), Lost::default());
    }
}

//! The suite of the seam, each time with another thing happening in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use storage::conformance::{self, Engine};

use crate::testbed::{Running, Testbed};

fn check(settle: fn(&Testbed, usize)) {
    conformance::run(&|| {
        let bed = Testbed::new();
        let running = Arc::new(Running(Arc::clone(&bed)));
        let turn = AtomicUsize::new(0);
        Engine {
            appender: running.clone(),
            querier: running,
            settle: Box::new(move || settle(&bed, turn.fetch_add(1, Ordering::Relaxed))),
        }
    });
}

#[test]
fn with_everything_in_the_head() {
    check(|_, _| {});
}

#[test]
fn with_flushes() {
    check(|bed, _| bed.tsdb().flush().expect("flushed"));
}

#[test]
fn with_compactions() {
    check(|bed, _| {
        bed.tsdb().flush().expect("flushed");
        bed.tsdb().compact().expect("compacted");
    });
}

#[test]
fn with_restarts() {
    check(|bed, _| bed.restart());
}

#[test]
fn with_kills() {
    check(|bed, _| {
        bed.kill();
        bed.start();
    });
}

#[test]
fn with_all_of_it_in_turn() {
    check(|bed, turn| match turn % 4 {
        0 => bed.tsdb().flush().expect("flushed"),
        1 => {
            bed.kill();
            bed.start();
        }
        2 => bed.tsdb().compact().expect("compacted"),
        _ => bed.restart(),
    });
}

//! What is kept, for how long, and which steps of it are used.

use super::*;

fn question(tenant: &str, query: &str, grid: &Grid) -> Question {
    let expr = crate::parser::parse(query).expect(query);
    let tenant = TenantId::new(tenant).expect("valid");
    Question::new((&tenant, &Arc::from(query)), &expr, grid, 300_000, 60_000).expect("eligible")
}

fn series(grid: &Grid) -> Vec<Series> {
    let mut column = Column::empty(grid.count);
    (0..grid.count).for_each(|at| column.set(at, grid.time_ms(at) as f64));
    vec![Series { labels: Labels::from_pairs([("a", "b")]), column, ..Series::default() }]
}

fn cache(bytes_max: u64) -> (Arc<Budget>, ResultCache) {
    let budget = Budget::root("results", 1 << 20);
    let cache = ResultCache::new(&budget, bytes_max, Metrics::new());
    (budget, cache)
}

const ALL: Changes = Changes { version: 9, touched_from_ms: i64::MAX, gone_before_ms: i64::MIN };

#[test]
fn steps_that_are_known_and_have_not_changed_are_used() {
    let kept = Grid { start_ms: 1_000, step_ms: 100, count: 10 };
    let extent = Extent { grid: kept, series: Vec::new(), notes: Vec::new(), version: 1, bytes: 0 };
    let check = |start_ms, count, changes: Changes, want: Range<usize>| {
        let grid = Grid { start_ms, step_ms: 100, count };
        let steps = extent.usable(&grid, &question("a", "up", &grid), &changes);
        assert!(steps == want || (steps.is_empty() && want.is_empty()), "{steps:?} {want:?}");
    };
    check(1_000, 10, ALL, 0..10);
    check(1_300, 10, ALL, 0..7);
    check(700, 10, ALL, 3..10);
    check(700, 30, ALL, 3..13);
    check(2_000, 5, ALL, 0..0);
    check(0, 5, ALL, 0..0);
    check(1_000, 10, Changes { touched_from_ms: 1_450, ..ALL }, 0..5);
    check(1_000, 10, Changes { touched_from_ms: 1_400, ..ALL }, 0..4);
    check(1_000, 10, Changes { touched_from_ms: 0, ..ALL }, 0..0);
    // A step at 1,000 looks back to before -299,000.
    check(1_000, 10, Changes { gone_before_ms: 1_300 - 300_000, ..ALL }, 3..10);
    check(i64::MAX - 400, 5, ALL, 0..0);
}

#[test]
fn pieces_become_one_result() {
    let ledger = Ledger::new(&Budget::unlimited(), u64::MAX);
    let kept = Grid { start_ms: 0, step_ms: 10, count: 4 };
    let kept_series = series(&kept).into_iter().map(|one| (one.labels, one.column)).collect();
    let extent = Extent { grid: kept, series: kept_series, notes: Vec::new(), version: 1, bytes: 0 };
    let grid = Grid { start_ms: 20, step_ms: 10, count: 4 };
    let new = series(&Grid { start_ms: 40, step_ms: 10, count: 2 });
    let pieces = vec![Piece::Kept(&extent, 0..2), Piece::New(2, new)];
    let whole = assemble(&grid, pieces, &ledger).expect("fits");
    assert_eq!(whole.len(), 1);
    assert_eq!(whole[0].column.values, [20.0, 30.0, 40.0, 50.0]);
    assert!(whole[0].column.present.all());
}

#[test]
fn memory_is_bounded_accounted_and_shared_fairly() {
    let (budget, cache) = cache(100_000);
    let grid = Grid { start_ms: 0, step_ms: 10, count: 1_000 };
    let insert = |tenant: &str, query: &str| {
        cache.insert(question(tenant, query, &grid), &grid, 1, &series(&grid), Vec::new());
        assert!(cache.state.lock().reservation.bytes() <= 100_000);
    };
    insert("small", "up");
    for at in 0..100 {
        insert("large", &format!("up{{n=\"{at}\"}}"));
    }
    assert!(cache.get(&question("small", "up", &grid)).is_some(), "the large tenant loses its own");
    assert!(cache.get(&question("large", "up{n=\"99\"}", &grid)).is_some());
    assert!(cache.get(&question("large", "up{n=\"0\"}", &grid)).is_none());
    assert!(cache.get(&question("large", "up", &grid)).is_none(), "of another tenant");
    let other_phase = Grid { start_ms: 5, ..grid };
    assert!(cache.get(&question("small", "up", &other_phase)).is_none());
    let huge = Grid { start_ms: 0, step_ms: 10, count: 10_000 };
    cache.insert(question("small", "huge", &huge), &huge, 1, &series(&huge), Vec::new());
    assert!(cache.get(&question("small", "huge", &huge)).is_none(), "too large to be worth it");
    let _others = budget.reserve(budget.limit_bytes() - budget.used_bytes()).expect("the rest");
    insert("small", "other");
    cache.clear();
    assert_eq!(budget.used_bytes(), _others.bytes());
}

//! Names are ranked as Prometheus ranks them.

use super::rank::Ranking;

#[track_caller]
fn check(ranking: &Ranking, name: &str, want: Option<f64>) {
    let got = ranking.score(name);
    let same = match (got, want) {
        (Some(got), Some(want)) => (got - want).abs() < 1e-9,
        (got, want) => got.is_none() && want.is_none(),
    };
    assert!(same, "{name}: {got:?} instead of {want:?}");
}

#[test]
fn a_subsequence_counts_runs_and_gaps() {
    let ranking = Ranking::subsequence(&["cpu"], 0.0, true);
    check(&ranking, "cpu", Some(1.0));
    check(&ranking, "cpu_seconds_total", Some(1.0));
    // A run of three, five characters before it and six behind, of fourteen.
    check(&ranking, "node_cpu_total", Some((9.0 - 5.0 / 14.0 - 6.0 / 28.0) / 9.0));
    // Three runs of one, with gaps of one.
    check(&ranking, "xcxpxu", Some((3.0 - 3.0 / 6.0) / 9.0));
    check(&ranking, "upc", None);
    check(&ranking, "CPU", None);
    check(&ranking, "", None);
    check(&Ranking::subsequence(&["CPU"], 0.0, false), "Cpu_Seconds", Some(1.0));
    check(&Ranking::subsequence(&["xcu"], 0.6, true), "xcxpxu", None);
    check(&Ranking::subsequence(&[], 0.5, true), "anything", Some(1.0));
    check(&Ranking::subsequence(&[""], 0.5, true), "anything", Some(1.0));
    check(&Ranking::subsequence(&["größe"], 0.0, false), "GRÖSSE_größe", Some((25.0 - 7.0 / 12.0) / 25.0));
}

#[test]
fn the_best_of_several_terms_counts() {
    let ranking = Ranking::subsequence(&["zzz", "node"], 0.0, true);
    check(&ranking, "node_load1", Some(1.0));
    check(&ranking, "load1", None);
}

#[test]
fn similar_names_are_found_beyond_a_threshold_only() {
    check(&Ranking::jaro_winkler(&["martha"], 0.9, true), "marhta", Some(0.961_111_111_111));
    check(&Ranking::jaro_winkler(&["martha"], 0.0, true), "marhta", None);
    check(&Ranking::jaro_winkler(&["dixon"], 0.8, true), "dicksonx", Some(0.813_333_333_333));
    check(&Ranking::jaro_winkler(&["load"], 0.0, true), "node_load1", Some(0.9));
    check(&Ranking::jaro_winkler(&["node"], 0.0, true), "node_load1", Some(1.0));
    check(&Ranking::jaro_winkler(&["abc"], 0.5, true), "xyz", None);
}

#[test]
fn long_names_are_ranked_in_bounded_time() {
    let long = "ab".repeat(1 << 20);
    let ranking = Ranking::subsequence(&[&"a".repeat(1 << 20)], 0.0, true);
    check(&ranking, &long, None);
}

//! What a cache remembers and what it says has ended, scrape by scrape; and against a simple model.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn labels(name: &str) -> LabelsBuilder {
    Labels::from_pairs([("__name__", name), ("instance", "host:9100")]).to_builder()
}

fn empty(seed: u64) -> SeriesCache {
    let target = Labels::from_pairs([("instance", "host:9100")]);
    SeriesCache::new(seed, target, Shapes::new(seed), Share::unlimited())
}

/// One scrape of these series, named by their raw text; what relabelling makes of a text is `becomes`.
fn see(cache: &mut SeriesCache, raw: &[&str], becomes: impl Fn(&str) -> Option<String>) -> Vec<Noted> {
    cache.begin();
    let mut noted = Vec::new();
    for text in raw {
        let at = match cache.find(text.as_bytes(), 0) {
            Lookup::Known(at) => at,
            Lookup::Dropped => continue,
            Lookup::Unknown(hash) => match becomes(text) {
                Some(name) => cache.insert(hash, &labels(&name)).expect("fits"),
                None => {
                    cache.insert_dropped(hash);
                    continue;
                }
            },
        };
        noted.push(cache.note(at, false, true));
    }
    noted
}

fn see_plain(cache: &mut SeriesCache, raw: &[&str]) -> Vec<Noted> {
    see(cache, raw, |text| Some(text.to_owned()))
}

fn ended(cache: &SeriesCache, failed: bool) -> BTreeSet<String> {
    cache.ended(failed).map(|at| cache.labels_of(at).metric_name().to_owned()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn series_that_are_missing_have_ended_once() {
    let mut cache = empty(7);
    assert_eq!(see_plain(&mut cache, &["a", "b", "c"]), [Noted::New; 3]);
    assert_eq!(ended(&cache, false), set(&[]));
    cache.commit();
    assert_eq!(see_plain(&mut cache, &["c", "a"]), [Noted::Known; 2]);
    assert_eq!(ended(&cache, false), set(&["b"]));
    cache.commit();
    assert_eq!(see_plain(&mut cache, &["a", "c", "b"]), [Noted::Known, Noted::Known, Noted::New]);
    assert_eq!(ended(&cache, false), set(&[]));
    cache.commit();
    assert_eq!(cache.live().len(), 3);
    assert!(cache.is_among(1, &cache.live()) && !cache.is_among(1, &empty(7).live()));
}

#[test]
fn a_failed_scrape_ends_all_and_forgets_what_it_added() {
    let mut cache = empty(7);
    see_plain(&mut cache, &["a", "b"]);
    cache.commit();
    see_plain(&mut cache, &["a", "new1", "new2"]);
    cache.rollback();
    assert_eq!(ended(&cache, true), set(&["a", "b"]));
    cache.commit_failed();
    assert_eq!((cache.raw.len(), cache.series.len()), (2, 2));

    // Nothing lives, so a second failure ends nothing; then all are back, and none of them is new.
    cache.begin();
    assert_eq!(ended(&cache, true), set(&[]));
    cache.commit_failed();
    assert_eq!(see_plain(&mut cache, &["a", "b", "new1"]), [Noted::Known, Noted::Known, Noted::New]);
    assert_eq!(ended(&cache, false), set(&[]));
}

#[test]
fn if_storage_took_nothing_the_next_scrape_ends_what_is_due() {
    let mut cache = empty(7);
    see_plain(&mut cache, &["a", "b"]);
    cache.commit();
    see_plain(&mut cache, &["a", "c"]);
    assert_eq!(ended(&cache, false), set(&["b"]));
    cache.abort();
    see_plain(&mut cache, &["a", "c"]);
    assert_eq!(ended(&cache, false), set(&["b"]));
    cache.commit();
    see_plain(&mut cache, &["a"]);
    assert_eq!(ended(&cache, false), set(&["c"]));
}

#[test]
fn texts_that_become_one_series_are_one() {
    let mut cache = empty(7);
    let merge = |_: &str| Some("same".to_owned());
    assert_eq!(see(&mut cache, &["x{a=\"1\"}", "x{a=\"2\"}"], merge), [Noted::New, Noted::Repeated]);
    cache.commit();
    assert_eq!(cache.series.len(), 1);
    see(&mut cache, &["x{a=\"2\"}"], merge);
    assert_eq!(ended(&cache, false), set(&[]));
}

#[test]
fn dropped_texts_are_remembered_as_dropped() {
    let mut cache = empty(7);
    assert_eq!(see(&mut cache, &["drop"], |_| None), []);
    cache.commit();
    assert_eq!(see(&mut cache, &["drop"], |_| panic!("asked again")), []);
}

#[test]
fn untracked_samples_are_not_ended_and_refused_ones_do_not_live() {
    let mut cache = empty(7);
    see_plain(&mut cache, &["timed", "refused"]);
    let Lookup::Known(timed) = cache.find(b"timed", 0) else { panic!("known") };
    let Lookup::Known(refused) = cache.find(b"refused", 0) else { panic!("known") };
    cache.commit();
    cache.begin();
    assert_eq!(cache.note(timed, true, false), Noted::Known);
    assert_eq!(cache.note(timed, true, false), Noted::Known, "timed samples may repeat");
    assert_eq!(ended(&cache, false), set(&["timed", "refused"]), "its plain samples have ended");
    cache.note(refused, false, true);
    cache.untrack(refused);
    cache.commit();
    cache.begin();
    assert_eq!(ended(&cache, true), set(&[]));
}

#[test]
fn new_rules_relabel_anew_and_end_what_they_no_longer_yield() {
    let mut cache = empty(7);
    see_plain(&mut cache, &["a", "b"]);
    cache.commit();
    cache.forget_raw();
    see(&mut cache, &["a", "b"], |text| Some(if text == "a" { "a" } else { "b2" }.to_owned()));
    assert_eq!(ended(&cache, false), set(&["b"]));
}

#[test]
fn metadata_and_exemplars_are_sent_when_they_change_and_again_after_trouble() {
    let mut cache = empty(7);
    see_plain(&mut cache, &["a"]);
    assert!(cache.family_changed("f", 1) && !cache.family_changed("f", 1) && cache.family_changed("f", 2));
    assert!(cache.exemplar_changed(0, 1) && !cache.exemplar_changed(0, 1) && cache.exemplar_changed(0, 2));
    cache.abort();
    assert!(cache.family_changed("f", 2) && cache.exemplar_changed(0, 2));
}

#[test]
fn churn_does_not_grow_the_cache() {
    let mut cache = empty(7);
    for round in 0..200 {
        let names: Vec<String> = (0..50).map(|i| format!("series_{}", round * 10 + i)).collect();
        see_plain(&mut cache, &names.iter().map(String::as_str).collect::<Vec<_>>());
        let gone = ended(&cache, false).len();
        assert_eq!(gone, if round == 0 { 0 } else { 10 });
        cache.commit();
        assert!(cache.series.len() <= 70 && cache.raw.len() <= 70 && cache.labels_bytes < 70 * 60);
    }
}

#[derive(Debug, Clone)]
enum Outcome {
    Stored,
    Failed,
    Refused,
}

proptest! {
    /// Whatever comes in whatever order: what is ended is exactly what storage holds alive and the scrape lacks.
    #[test]
    fn what_is_ended_is_what_lives_and_is_missing(scrapes in proptest::collection::vec(
        (proptest::collection::vec(0u8..30, 0..40),
         prop_oneof![6 => Just(Outcome::Stored), 1 => Just(Outcome::Failed), 1 => Just(Outcome::Refused)]), 1..30)) {
        let mut cache = empty(3);
        let mut alive: BTreeSet<String> = BTreeSet::new();
        for (series, outcome) in scrapes {
            // Texts become fewer series, and some nothing.
            let texts: Vec<String> = series.iter().map(|n| format!("text_{n}")).collect();
            let becomes = |text: &str| {
                let n: u8 = text[5..].parse().expect("a number");
                (!n.is_multiple_of(7)).then(|| format!("series_{}", n / 2))
            };
            see(&mut cache, &texts.iter().map(String::as_str).collect::<Vec<_>>(), becomes);
            let seen: BTreeSet<String> = texts.iter().filter_map(|text| becomes(text)).collect();
            match outcome {
                Outcome::Stored => {
                    prop_assert_eq!(ended(&cache, false), alive.difference(&seen).cloned().collect::<BTreeSet<_>>());
                    cache.commit();
                    alive = seen;
                }
                Outcome::Failed => {
                    cache.rollback();
                    prop_assert_eq!(ended(&cache, true), alive.clone());
                    cache.commit_failed();
                    alive.clear();
                }
                Outcome::Refused => cache.abort(),
            }
        }
    }
}

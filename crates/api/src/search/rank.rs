//! How well a name fits what somebody typed: 1 is best, and every way of ranking is of time linear in the name, or nearly.
//!
//! A *subsequence*: all typed characters occur in order; runs of them count by their squares, gaps cost a little. *Jaro-Winkler*: the
//! typed text is a part of the name, or similar to it beyond a threshold.

/// Longer names and terms are ranked by their beginning: the cost of a comparison is their product.
const CHARS_MAX: usize = 256;

/// Ranks names by several terms, of which the one that fits best counts.
pub(super) struct Ranking {
    terms: Vec<Vec<char>>,
    /// What fits less is left out.
    threshold: f64,
    case_sensitive: bool,
    is_similarity: bool,
}

impl Ranking {
    pub(super) fn subsequence(terms: &[&str], threshold: f64, case_sensitive: bool) -> Self {
        Self::new(terms, threshold, case_sensitive, false)
    }

    pub(super) fn jaro_winkler(terms: &[&str], threshold: f64, case_sensitive: bool) -> Self {
        Self::new(terms, threshold, case_sensitive, true)
    }

    fn new(terms: &[&str], threshold: f64, case_sensitive: bool, is_similarity: bool) -> Self {
        let terms = terms.iter().map(|term| chars(term, case_sensitive)).collect();
        Self { terms, threshold, case_sensitive, is_similarity }
    }

    /// Whether every name fits.
    pub(super) fn takes_all(&self) -> bool {
        self.terms.is_empty() || self.terms.iter().any(Vec::is_empty)
    }

    /// How well a name fits; `None` if it does not.
    pub(super) fn score(&self, name: &str) -> Option<f64> {
        if self.takes_all() {
            return Some(1.0);
        }
        let name = chars(name, self.case_sensitive);
        let scores = self.terms.iter().filter_map(|term| {
            if self.is_similarity {
                similar(term, &name, self.threshold)
            } else {
                in_order(term, &name).filter(|score| *score >= self.threshold)
            }
        });
        scores.reduce(f64::max)
    }
}

fn chars(text: &str, case_sensitive: bool) -> Vec<char> {
    if case_sensitive {
        text.chars().take(CHARS_MAX).collect()
    } else {
        text.chars().flat_map(char::to_lowercase).take(CHARS_MAX).collect()
    }
}

/// The score of `term` as a subsequence of `name`.
fn in_order(term: &[char], name: &[char]) -> Option<f64> {
    if name.starts_with(term) {
        return Some(1.0);
    }
    let last_start = name.len().checked_sub(term.len())?;
    let mut best: Option<f64> = None;
    for start in (0..=last_start).filter(|start| name[*start] == term[0]) {
        // What cannot be completed from here cannot from later on.
        let Some(score) = in_order_from(start, term, name) else { break };
        best = Some(best.map_or(score, |best| best.max(score)));
    }
    let squared = (term.len() * term.len()) as f64;
    best.map(|score| score / squared).filter(|score| *score > 0.0)
}

/// Takes the first place for each character in turn.
fn in_order_from(start: usize, term: &[char], name: &[char]) -> Option<f64> {
    let gap_cost = 1.0 / name.len() as f64;
    let (mut score, mut at, mut matched, mut gap) = (0.0, start, 0, start);
    while matched < term.len() {
        let skipped = name[at..].iter().position(|c| *c == term[matched])?;
        gap += skipped;
        at += skipped;
        let run = name[at..].iter().zip(&term[matched..]).take_while(|(a, b)| a == b).count();
        score += (run * run) as f64 - gap as f64 * gap_cost;
        (at, matched, gap) = (at + run, matched + run, 0);
    }
    Some(score - (name.len() - at) as f64 * gap_cost * 0.5)
}

/// A part of the name, or similar to it. Without a threshold only the former counts.
fn similar(term: &[char], name: &[char], threshold: f64) -> Option<f64> {
    if name.starts_with(term) {
        return Some(1.0);
    }
    if name.windows(term.len()).any(|part| part == term) {
        return Some(0.9);
    }
    let score = jaro_winkler(term, name);
    (threshold > 0.0 && score >= threshold).then_some(score)
}

/// Jaro's similarity (characters in common that are not far apart, less those out of order), raised for a common beginning of
/// up to four, as Winkler has it.
fn jaro_winkler(a: &[char], b: &[char]) -> f64 {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.is_empty() {
        return 0.0;
    }
    let reach = (long.len() / 2).saturating_sub(1);
    let mut taken = vec![false; long.len()];
    let mut common = Vec::new();
    for (at, c) in short.iter().enumerate() {
        let near = at.saturating_sub(reach)..long.len().min(at + reach + 1);
        if let Some(found) = near.into_iter().find(|other| !taken[*other] && long[*other] == *c) {
            taken[found] = true;
            common.push(*c);
        }
    }
    if common.is_empty() {
        return 0.0;
    }
    let in_long = long.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(c, _)| c);
    let swapped = common.iter().zip(in_long).filter(|(a, b)| a != b).count() as f64 / 2.0;
    let matches = common.len() as f64;
    let jaro =
        (matches / short.len() as f64 + matches / long.len() as f64 + (matches - swapped) / matches) / 3.0;
    let prefix = short.iter().zip(long).take(4).take_while(|(a, b)| a == b).count() as f64;
    jaro + prefix * 0.1 * (1.0 - jaro)
}

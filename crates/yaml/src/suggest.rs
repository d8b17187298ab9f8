//! "Did you mean": the known word that is nearest to a misspelt one.

/// The candidate with the fewest edits, if few enough that it is likely meant.
pub fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words: insertions, removals, replacements, swaps of neighbours.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(64).collect();
    let right: Vec<char> = right.chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let replaced = last[j] + usize::from(!a.eq_ignore_ascii_case(b));
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, want: Option<&str>) {
        let known = ["scrape_interval", "scrape_timeout", "job_name", "scheme", "params"];
        assert_eq!(closest(word, known.into_iter()), want, "{word}");
    }

    #[test]
    fn misspelt_words_find_their_neighbour_and_strangers_none() {
        check("scrape_intervall", Some("scrape_interval"));
        check("scrap_interval", Some("scrape_interval"));
        check("jobname", Some("job_name"));
        check("shceme", Some("scheme"));
        check("Params", Some("params"));
        check("retention", None);
        check("", None);
    }
}

//! Words that have no place in any file: unfinished work, and paths of somebody's machine.

use super::Report;

/// What must not stand in a file, and what to do instead. Written in two halves, so that this file is clean.
const BANNED: [(&str, &str, &str); 4] = [
    ("FIX", "ME", "mend it, or file an issue"),
    ("/home", "/", "name no path of one machine"),
    ("/wo", "rk/", "name no path of one machine"),
    ("<<<<", "<<<", "finish the merge"),
];

pub(crate) fn check(name: &str, text: &str, report: &mut Report) {
    for (index, line) in text.lines().enumerate() {
        for (head, tail, remedy) in BANNED {
            if let Some(at) = line.find(head)
                && line[at + head.len()..].starts_with(tail)
            {
                report.faults.push(format!("{name}:{}: {head}{tail}: {remedy}", index + 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banned_words_are_found_with_their_line() {
        let mut report = Report::default();
        check("a.rs", &format!("fine\n// {}{}: later", "FIX", "ME"), &mut report);
        assert_eq!(report.faults.len(), 1);
        assert!(report.faults[0].starts_with("a.rs:2:"));
    }
}

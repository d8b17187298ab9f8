//! Environment variables in external labels: `$NAME` and `${NAME}`, `$$` for a dollar sign. As Go's `os.Expand`,
//! which Prometheus uses.

use std::collections::BTreeMap;

/// Fills variables in; one that is not set becomes nothing.
pub(super) fn expand(
    labels: &BTreeMap<String, String>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.clone(), expand_text(value, variable))).collect()
}

fn expand_text(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, after) = name_of(after);
        match name {
            "$" => out.push('$'),
            "" if after.is_empty() => out.push('$'),
            name => out.push_str(&variable(name).unwrap_or_default()),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The variable's name at the start of a text, and what follows it.
fn name_of(text: &str) -> (&str, &str) {
    if let Some(braced) = text.strip_prefix('{') {
        return braced.split_once('}').unwrap_or(("", braced));
    }
    if text.starts_with(|c: char| "*#$@!?-0123456789".contains(c)) {
        return text.split_at(1);
    }
    text.split_at(text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        let variable = |name: &str| (name == "HOST").then(|| "web-1".to_owned());
        assert_eq!(expand_text(text, &variable), want, "{text}");
    }

    #[test]
    fn variables_are_filled_in_as_go_does() {
        check("plain", "plain");
        check("$HOST", "web-1");
        check("a-${HOST}-b", "a-web-1-b");
        check("$HOST.example", "web-1.example");
        check("$MISSING!", "!");
        check("$$5", "$5");
        check("100$", "100$");
        check("${HOST", "HOST");
    }
}

//! Results of tests as JUnit XML, which CI systems show.

use std::fmt::Write;

/// The tests of one file.
#[derive(Debug, Default)]
pub(super) struct Suite {
    name: String,
    cases: Vec<Case>,
}

#[derive(Debug)]
struct Case {
    name: String,
    failures: Vec<String>,
    /// Why no test was run.
    error: Option<String>,
}

impl Suite {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), cases: Vec::new() }
    }

    /// A test that was run.
    pub(super) fn case(&mut self, name: &str, failures: &[String]) {
        self.cases.push(Case { name: name.to_owned(), failures: failures.to_vec(), error: None });
    }

    /// No test could be run.
    pub(super) fn abort(&mut self, error: &str) {
        self.cases.push(Case {
            name: "aborted".to_owned(),
            failures: Vec::new(),
            error: Some(error.to_owned()),
        });
    }
}

/// All suites in one document.
pub(super) fn document(suites: &[Suite]) -> String {
    let mut out = "<testsuites>\n".to_owned();
    for suite in suites {
        let (failed, aborted) = (
            suite.cases.iter().filter(|case| !case.failures.is_empty()).count(),
            suite.cases.iter().filter(|case| case.error.is_some()).count(),
        );
        let _infallible = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"{aborted}\">",
            escaped(&suite.name),
            suite.cases.len()
        );
        for case in &suite.cases {
            let _infallible = writeln!(out, "    <testcase name=\"{}\">", escaped(&case.name));
            for failure in &case.failures {
                let _infallible = writeln!(out, "      <failure>{}</failure>", escaped(failure));
            }
            if let Some(error) = &case.error {
                let _infallible = writeln!(out, "      <error>{}</error>", escaped(error));
            }
            out.push_str("    </testcase>\n");
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            // XML has no such characters, escaped or not.
            '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_count_what_failed_and_escape_what_it_says() {
        let mut suite = Suite::new("a.yml");
        suite.case("good", &[]);
        suite.case("<bad>", &["exp: {a=\"b\"}".to_owned()]);
        let mut aborted = Suite::new("b.yml");
        aborted.abort("no & such");
        assert_eq!(
            document(&[suite, aborted]),
            concat!(
                "<testsuites>\n  <testsuite name=\"a.yml\" tests=\"2\" failures=\"1\" errors=\"0\">\n",
                "    <testcase name=\"good\">\n    </testcase>\n    <testcase name=\"&lt;bad&gt;\">\n",
                "      <failure>exp: {a=&#34;b&#34;}</failure>\n    </testcase>\n  </testsuite>\n",
                "  <testsuite name=\"b.yml\" tests=\"1\" failures=\"0\" errors=\"1\">\n    <testcase name=\"aborted\">\n",
                "      <error>no &amp; such</error>\n    </testcase>\n  </testsuite>\n</testsuites>\n"
            )
        );
    }
}

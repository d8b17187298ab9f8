//! `docs/user/promql.md` lists the whole language, and its examples do what it says.

use std::collections::BTreeSet;
use std::path::Path;

use promql::ast::{AggregateOp, BinaryOp};
use promql::{functions, script};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/user/promql.md");
    std::fs::read_to_string(&path).expect("the page is there")
}

/// The content of fenced blocks of a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("\n```{language}\n");
    page.split(&opening).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// Rows of tables as cells; a pipe within backquotes is no border.
fn rows(page: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for line in page.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---")) {
        let mut cells = vec![String::new()];
        let mut in_code = false;
        for c in line[1..].chars() {
            in_code ^= c == '`';
            if c == '|' && !in_code {
                cells.push(String::new());
            } else if let Some(cell) = cells.last_mut() {
                cell.push(c);
            }
        }
        rows.push(cells.into_iter().map(|cell| cell.trim().to_owned()).collect());
    }
    rows
}

/// What stands in backquotes.
fn codes(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// What a query gives on the page's data; an error if it fails or gives nothing.
fn evaluate(data: &str, query: &str) -> Result<String, String> {
    // An evaluation that is expected to give nothing is reported if it gives something.
    let report = script::run(&format!("{data}\n\neval instant at 10m {query}\n"));
    match report.failures.first() {
        None => Err(format!("{query} gives nothing")),
        Some(failure) if failure.got.starts_with("error") => Err(format!("{query}: {}", failure.got)),
        Some(failure) => Ok(failure.got.clone()),
    }
}

#[test]
fn every_function_is_listed_with_an_example_that_works() {
    let page = page();
    let data = blocks(&page, "load")[0];
    let mut listed = BTreeSet::new();
    for row in rows(&page).iter().filter(|row| row.len() >= 3) {
        let [signature, meaning, example, ..] = &row[..] else { continue };
        let (Some(signature), Some(example)) =
            (codes(signature).first().copied(), codes(example).first().copied())
        else {
            continue;
        };
        let name = signature.split('(').next().unwrap_or_default();
        assert!(functions::lookup(name).is_some(), "{name} is no function");
        assert!(example.contains(&format!("{name}(")), "the example of {name} does not call it");
        if let Err(error) = evaluate(data, example) {
            panic!("{error}");
        }
        let is_kymo = functions::lookup(name).is_some_and(|function| function.kymo);
        let in_kymo_table = name.starts_with("range_") || name.starts_with("running_");
        assert_eq!(is_kymo, meaning.contains("**K**") || in_kymo_table, "{name}: **K** marks what is Kymo's");
        listed.insert(name.to_owned());
    }
    let missing: Vec<&str> =
        functions::all().map(|function| function.name).filter(|name| !listed.contains(*name)).collect();
    assert!(missing.is_empty(), "not in docs/user/promql.md: {missing:?}");
}

#[test]
fn every_operator_and_aggregation_is_listed() {
    let page = page();
    let codes: BTreeSet<&str> = page.lines().flat_map(codes).collect();
    for op in BinaryOp::ALL {
        assert!(codes.contains(op.as_str()), "operator {}", op.as_str());
    }
    for op in AggregateOp::all() {
        let call = format!("{}(", op.as_str());
        assert!(codes.iter().any(|code| code.starts_with(&call)), "aggregation {}", op.as_str());
    }
    let modifiers = ["bool", "on (…)", "ignoring (…)", "group_left (…)", "group_right (…)", "without (job)"];
    for modifier in modifiers.iter().chain(&["fill (0)", "fill_left (0)", "fill_right (0)", "@ start()"]) {
        assert!(codes.contains(modifier), "modifier {modifier}");
    }
}

#[test]
fn examples_of_selectors_and_aggregations_work() {
    let page = page();
    let data = blocks(&page, "load")[0];
    let sections = ["## Selecting", "## Aggregations"];
    for section in
        page.split("\n## ").filter(|text| sections.iter().any(|name| name[3..] == text[..name.len() - 3]))
    {
        for row in rows(section) {
            for example in codes(&row[0]) {
                if let Err(error) = evaluate(data, example) {
                    panic!("{error}");
                }
            }
        }
    }
}

#[test]
fn results_on_the_page_are_right() {
    let page = page();
    let data = blocks(&page, "load")[0];
    let mut count = 0;
    for block in blocks(&page, "script") {
        let report = script::run(&format!("{data}\n\n{block}\n"));
        assert!(report.failures.is_empty(), "{}", report.failures[0]);
        count += report.passed;
    }
    assert!(count > 15, "only {count} results on the page");
}

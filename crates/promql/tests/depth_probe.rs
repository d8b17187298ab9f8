#[test]
fn depth() {
    let kind = std::env::var("PROBE").unwrap();
    let n: usize = std::env::var("N").unwrap().parse().unwrap();
    let q = match kind.as_str() {
        "paren" => format!("{}a{}", "(".repeat(n), ")".repeat(n)),
        "call" => format!("{}a{}", "abs(".repeat(n), ")".repeat(n)),
        "agg" => format!("{}a{}", "sum(".repeat(n), ")".repeat(n)),
        "sign" => format!("{}a", "-".repeat(n)),
        "pow" => format!("{}a", "a^".repeat(n)),
        "sub" => format!("{}a{}", "sum_over_time(".repeat(n), "[1s:1s])".repeat(n)),
        "or" => vec!["a"; n].join(" or "),
        "add" => vec!["a"; n].join(" + "),
        _ => panic!(),
    };
    let report = promql::script::run(&format!("load 10s\n  a 1 1 1\n\neval instant at 10s {q}\n  {{}} 1\n"));
    for f in &report.failures { println!("{}", f.got.chars().take(200).collect::<String>()); }
    println!("finished");
}

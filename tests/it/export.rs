//! What `/api/v1/export` answers is taken by `/api/v1/import` of another server, and nothing is lost on the way.

use std::process::Command;

use kymo_tests::push::{self, Series};
use kymo_tests::server::Kymo;
use kymo_tests::{http, paths};

const SERIES: usize = 40;
const SAMPLES: i64 = 400;
const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

fn kymo_with_data(end_ms: i64) -> Kymo {
    let kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let value = |series: usize, at: i64| match at % 9 {
        0 => 0.1 * series as f64 + at as f64 / 3.0,
        1 => f64::NAN,
        2 => f64::INFINITY,
        3 => f64::from_bits(STALE_BITS),
        4 => -1e-300 * at as f64,
        _ => at as f64,
    };
    let all: Vec<Series> = (0..SERIES)
        .map(|number| {
            let labels = [("__name__", "exported"), ("number", &*number.to_string()), ("text", "a,\"b\" ü")];
            let samples: Vec<(i64, f64)> =
                (0..SAMPLES).map(|at| (end_ms - (SAMPLES - at) * 1_000, value(number, at))).collect();
            Series::new(&labels, &samples)
        })
        .collect();
    let response = push::send(&kymo.url(), &all).expect("answered");
    assert_eq!(response.status / 100, 2, "{}", response.text());
    kymo
}

/// Every sample with all its digits, of a server that is stopped for it.
fn dump(kymo: &mut Kymo) -> Vec<String> {
    kymo.stop();
    let data = kymo.folder().join("data");
    let output =
        Command::new(paths::kymo_binary()).args(["tsdb", "dump"]).arg(data).output().expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn what_is_exported_is_imported_without_loss() {
    let end_ms = push::now_ms() - 1_000;
    let mut kymo = kymo_with_data(end_ms);
    let exported = http::get_with(
        &kymo.url(),
        "/api/v1/export",
        &[("match[]", "exported"), ("match[]", "{number=\"1\"}")],
    );
    let exported = exported.expect("answered");
    assert_eq!(exported.status, 200, "{}", exported.text());
    assert_eq!(exported.text().lines().count(), SERIES, "a series that two selectors select comes once");
    let mut other = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let imported =
        http::post(&format!("{}/api/v1/import", other.url()), &[], &exported.body).expect("answered");
    assert_eq!(imported.status, 204, "{}", imported.text());
    let some = [("match[]", "exported{number=\"3\"}"), ("start", "0"), ("max_rows_per_line", "150")];
    let lines = http::get_with(&kymo.url(), "/api/v1/export", &some).expect("answered").text();
    assert_eq!(lines.lines().count(), 3);
    let want = dump(&mut kymo);
    assert_eq!(want.len(), SERIES * SAMPLES as usize);
    assert!(dump(&mut other) == want, "other samples than were exported");
}

#[test]
fn tables_are_exported_and_imported() {
    let end_ms = push::now_ms() - 1_000;
    let kymo = kymo_with_data(end_ms);
    let format = "number,text,__value__,__timestamp__:unix_ms";
    let table =
        http::get_with(&kymo.url(), "/api/v1/export/csv", &[("match[]", "exported"), ("format", format)]);
    let table = table.expect("answered");
    assert_eq!(table.status, 200, "{}", table.text());
    assert!(table.content_type.starts_with("text/csv"));
    let other = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let format = http::escape("1:label:number,2:label:text,3:metric:exported,4:time:unix_ms");
    let url = format!("{}/api/v1/import/csv?format={format}", other.url());
    let imported = http::post(&url, &[], &table.body).expect("answered");
    assert_eq!(imported.status, 204, "{}", imported.text());
    let at = format!("{:.3}", end_ms as f64 / 1e3);
    for query in [
        "count_over_time(exported[10m])",
        "sum_over_time(exported{number!=\"x\"}[4s])",
        "last_over_time(exported[5m])",
    ] {
        let ask = |url: &str| {
            http::api(url, "/api/v1/query", &[("query", query), ("time", &at)]).expect("answered")
        };
        assert_eq!(ask(&kymo.url()), ask(&other.url()), "{query}");
    }
}

#[test]
fn a_request_that_makes_no_sense_is_refused() {
    let kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    for (path, parameters, part) in [
        ("/api/v1/export", &[][..], "no match[] parameter"),
        ("/api/v1/export", &[("match[]", "a{")][..], "parse error"),
        ("/api/v1/export", &[("match[]", "a"), ("start", "x")][..], "start"),
        ("/api/v1/export/csv", &[("match[]", "a")][..], "name the columns"),
        ("/api/v1/export/csv", &[("match[]", "a"), ("format", "__timestamp__:x")][..], "unix_ms"),
    ] {
        let response = http::get_with(&kymo.url(), path, parameters).expect("answered");
        assert!(
            response.status == 400 && response.text().contains(part),
            "{path} {parameters:?}: {}",
            response.text()
        );
    }
}

//! What was written is there after opening again, and damage is told.

use super::*;

fn silence(id: &str, ends_at_ms: i64) -> SilenceRow {
    SilenceRow { id: id.to_owned(), ends_at_ms, body: format!("{{\"id\":\"{id}\"}}") }
}

fn notification(key: &str, expires_at_ms: i64) -> NotificationRow {
    NotificationRow { key: key.to_owned(), expires_at_ms, body: "{}".to_owned() }
}

#[test]
fn what_was_written_is_there_after_opening_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.sqlite");
    let tenant = TenantId::anonymous();
    {
        let catalog = Catalog::open(&path).expect("opened");
        catalog.save_silences(&tenant, &[silence("a", 1), silence("b", 2)]).expect("saved");
        catalog.save_silences(&tenant, &[silence("a", 3)]).expect("saved");
        catalog.delete_silences(&tenant, &["b".to_owned()]).expect("deleted");
        catalog.save_notifications(&tenant, &[notification("k", 10), notification("old", 5)]).expect("saved");
    }
    let catalog = Catalog::open(&path).expect("opened again");
    assert_eq!(catalog.silences(&tenant).expect("read"), [silence("a", 3)]);
    assert_eq!(catalog.notifications(&tenant, 5).expect("read"), [notification("k", 10)]);
    catalog.trim_notifications(&tenant, 10).expect("trimmed");
    assert!(catalog.notifications(&tenant, 0).expect("read").is_empty());
}

#[test]
fn tenants_do_not_see_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let catalog = Catalog::open(&folder.path().join("catalog.sqlite")).expect("opened");
    let other = TenantId::new("other").expect("a tenant");
    catalog.save_silences(&TenantId::anonymous(), &[silence("a", 1)]).expect("saved");
    assert!(catalog.silences(&other).expect("read").is_empty());
}

#[test]
fn events_come_back_in_their_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let catalog = Catalog::open(&folder.path().join("catalog.sqlite")).expect("opened");
    let tenant = TenantId::anonymous();
    let event = |at_ms: i64, fingerprint: &str, kind: &str| AlertEventRow {
        at_ms,
        fingerprint: fingerprint.to_owned(),
        labels: format!("{{\"n\":\"{fingerprint}\"}}"),
        kind: kind.to_owned(),
        body: "{}".to_owned(),
    };
    let events =
        [event(20, "f", "told"), event(10, "f", "firing"), event(20, "f", "resolved"), event(15, "g", "x")];
    catalog.add_alert_events(&tenant, &events).expect("saved");
    let kinds = |start_ms: i64, end_ms: i64, rows_max: u32| {
        let rows = catalog.alert_events(&tenant, "f", start_ms, end_ms, rows_max).expect("read");
        rows.into_iter().map(|row| row.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(0, 100, 10), ["firing", "told", "resolved"]);
    assert_eq!(kinds(0, 100, 2), ["told", "resolved"], "the newest");
    assert_eq!(kinds(20, 20, 1), ["resolved"]);
    let alerts = |end_ms: i64| {
        let mut found = Vec::new();
        let put = |fingerprint: &str, labels: &str| {
            found.push(format!("{fingerprint} {labels}"));
            true
        };
        catalog.alert_labels(&tenant, end_ms, put).expect("read");
        found
    };
    assert_eq!(alerts(100), ["f {\"n\":\"f\"}", "g {\"n\":\"g\"}"]);
    assert_eq!(alerts(14), ["f {\"n\":\"f\"}"]);
    catalog.trim_alert_events(20).expect("trimmed");
    assert_eq!(kinds(0, 100, 10), ["told", "resolved"]);
    assert_eq!(alerts(100), ["f {\"n\":\"f\"}"]);
}

#[test]
fn a_file_of_the_first_version_gets_what_it_lacks() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.sqlite");
    let connection = Connection::open(&path).expect("opened");
    connection.execute_batch(schema::STEPS[0]).expect("made");
    connection.pragma_update(None, "user_version", 1).expect("changed");
    drop(connection);
    let catalog = Catalog::open(&path).expect("brought up to date");
    let tenant = TenantId::anonymous();
    let ack = AckRow { fingerprint: "f".to_owned(), expires_at_ms: 7, body: "{}".to_owned() };
    catalog.save_ack(&tenant, &ack).expect("saved");
    assert_eq!(catalog.acks(&tenant).expect("read"), [ack]);
    catalog.delete_acks(&tenant, &["f".to_owned()]).expect("deleted");
    assert!(catalog.acks(&tenant).expect("read").is_empty());
}

#[test]
fn a_file_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.sqlite");
    drop(Catalog::open(&path).expect("opened"));
    let connection = Connection::open(&path).expect("opened");
    connection.pragma_update(None, "user_version", 1_000).expect("changed");
    drop(connection);
    let error = Catalog::open(&path).expect_err("too new");
    assert!(error.to_string().contains("schema 1000, this Kymo knows up to"), "{error}");
}

#[test]
fn what_is_no_catalog_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.sqlite");
    let text =
        "this is a letter, long enough to be mistaken for a header of a database file, if one does not look";
    #[expect(clippy::disallowed_methods, reason = "a file of a test")]
    std::fs::write(&path, text).expect("written");
    let error = Catalog::open(&path).expect_err("no database").to_string();
    assert!(error.contains("cannot open the catalog") && error.contains("not a database"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
}

#[test]
fn one_process_has_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.sqlite");
    let _first = Catalog::open(&path).expect("opened");
    let error = Catalog::open(&path).expect_err("taken").to_string();
    assert!(error.contains("is in use by another process"), "{error}");
}

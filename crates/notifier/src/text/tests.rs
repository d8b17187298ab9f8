//! The texts of notifications, from the data that templates see.

use model::Labels;

use super::*;

/// Two alerts of a group, one of them over.
pub(crate) fn data() -> Data {
    let alert = |n: &str, ends_at_ms: i64| {
        Arc::new(Alert {
            labels: Labels::from_pairs([
                ("alertname", "Disk<full>"),
                ("n", n),
                ("severity", "critical"),
                ("zone", "z"),
            ]),
            annotations: [("summary".to_owned(), format!("disk {n} is full"))].into(),
            starts_at_ms: 1_700_000_000_000,
            ends_at_ms,
            generator_url: format!("http://kymo/graph?n={n}"),
            updated_at_ms: 0,
            is_timeout: false,
        })
    };
    let now_ms = 1_700_000_100_500;
    let group = [("alertname".to_owned(), "Disk<full>".to_owned())].into();
    Data::new(
        "team.x",
        group,
        &[alert("1", now_ms + 1), alert("2", now_ms)],
        "http://kymo.example:9090",
        now_ms,
    )
}

#[track_caller]
fn check(template: &str, want: &str) {
    let texts = Texts::load(&[]).expect("our own");
    assert_eq!(texts.text(template, &data(), 0).as_deref(), Ok(want), "{template}");
}

#[test]
fn data_has_the_shape_of_alertmanagers_webhooks() {
    let json = serde_json::to_value(data()).expect("JSON");
    let want = serde_json::json!({
        "receiver": "team\\.x",
        "status": "firing",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "Disk<full>", "n": "1", "severity": "critical", "zone": "z"},
                "annotations": {"summary": "disk 1 is full"},
                "startsAt": "2023-11-14T22:13:20Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://kymo/graph?n=1",
                "fingerprint": json["alerts"][0]["fingerprint"],
            },
            {
                "status": "resolved",
                "labels": {"alertname": "Disk<full>", "n": "2", "severity": "critical", "zone": "z"},
                "annotations": {"summary": "disk 2 is full"},
                "startsAt": "2023-11-14T22:13:20Z",
                "endsAt": "2023-11-14T22:15:00.5Z",
                "generatorURL": "http://kymo/graph?n=2",
                "fingerprint": json["alerts"][1]["fingerprint"],
            },
        ],
        "groupLabels": {"alertname": "Disk<full>"},
        "commonLabels": {"alertname": "Disk<full>", "severity": "critical", "zone": "z"},
        "commonAnnotations": {},
        "externalURL": "http://kymo.example:9090",
    });
    assert_eq!(json, want);
}

#[test]
fn templates_see_what_alertmanagers_do() {
    check("{{ .Alerts.Firing | len }}/{{ len .Alerts }}", "1/2");
    check("{{ range .Alerts.Resolved }}{{ .Labels.n }}{{ end }}", "2");
    check("{{ .CommonLabels.Names | join \",\" }}", "alertname,severity,zone");
    check("{{ (.CommonLabels.Remove .GroupLabels.Names).Values | join \",\" }}", "critical,z");
    check(
        "{{ range .CommonLabels.SortedPairs }}{{ .Name }}={{ .Value }};{{ end }}",
        "alertname=Disk<full>;severity=critical;zone=z;",
    );
    check(
        "{{ .CommonLabels.no_such }}|{{ (index .Alerts 0).StartsAt.Format \"2006-01-02\" }}",
        "|2023-11-14",
    );
    check("{{ (index .Alerts 0).EndsAt.IsZero }}", "true");
}

#[test]
fn default_texts_have_alertmanagers_shape() {
    check("{{ template \"__subject\" . }}", "[FIRING:1] Disk<full> (critical z)");
    check("{{ template \"__alertmanagerURL\" . }}", "http://kymo.example:9090/#/alerts?receiver=team%5C.x");
    check(
        "{{ template \"__text_alert_list\" .Alerts.Firing }}",
        "Labels:\n - alertname = Disk<full>\n - n = 1\n - severity = critical\n - zone = z\nAnnotations:\n - summary = disk 1 is full\nSource: http://kymo/graph?n=1\n",
    );
    check(
        "{{ template \"slack.default.fallback\" . }}",
        "[FIRING:1] Disk<full> (critical z) | http://kymo.example:9090/#/alerts?receiver=team%5C.x",
    );
    check("{{ template \"slack.default.color\" . }}{{ template \"jira.default.priority\" . }}", "dangerHigh");
}

#[test]
fn html_is_escaped() {
    let texts = Texts::load(&[]).expect("our own");
    let page = texts.html("{{ template \"email.default.html\" . }}", &data(), 0).expect("a page");
    assert!(page.contains("alertname = Disk&lt;full&gt;") && !page.contains("Disk<full>"), "{page}");
    assert!(page.contains("[1] Firing") && page.contains("[1] Resolved"), "{page}");
}

#[test]
fn users_templates_take_the_place_of_the_default_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("own.tmpl");
    #[expect(clippy::disallowed_methods, reason = "a file of a test")]
    std::fs::write(&path, "{{ define \"__subject\" }}my {{ .Status }}{{ end }}").expect("written");
    let texts = Texts::load(std::slice::from_ref(&path)).expect("fine");
    assert_eq!(
        texts.text("{{ template \"slack.default.title\" . }}", &data(), 0).as_deref(),
        Ok("my firing")
    );
    #[expect(clippy::disallowed_methods, reason = "a file of a test")]
    std::fs::write(&path, "{{ define").expect("written");
    let error = Texts::load(&[path]).expect_err("no template").to_string();
    assert!(error.contains("own.tmpl"), "{error}");
}

#[test]
fn what_fails_says_why() {
    let texts = Texts::load(&[]).expect("our own");
    assert!(texts.text("{{ .NoSuch }}", &data(), 0).is_err());
    assert_eq!(texts.text("plain } text", &data(), 0).as_deref(), Ok("plain } text"));
}

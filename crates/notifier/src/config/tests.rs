//! Files are read as Alertmanager reads them, and refused with its words and the place.

use super::*;

fn parse(text: &str) -> Result<Config, yaml::Error> {
    Config::parse(text.as_bytes(), Path::new("/folder"))
}

/// A file that is fine but for what `more` says.
fn with(more: &str) -> String {
    format!("route:\n  receiver: r\nreceivers:\n- name: r\n{more}")
}

#[track_caller]
fn refused(text: &str, line: usize, want: &str) {
    let error = parse(text).expect_err(text);
    assert_eq!((error.message.as_str(), error.mark.map(|mark| mark.line)), (want, Some(line)), "{text}");
}

#[test]
fn without_a_file_alerts_are_shown_and_nobody_is_told() {
    let config = Config::without_file();
    assert_eq!(config.receivers.len(), 1);
    assert_eq!(config.receivers[0].kinds().count(), 0);
}

#[test]
fn routes_are_checked() {
    refused("receivers: [{name: r}]\n", 1, "no route provided in config");
    refused("route: {}\n", 1, "root route must specify a default receiver");
    refused("route: {receiver: r}\n", 1, "undefined receiver \"r\" used in route");
    refused(
        "route:\n  receiver: r\n  matchers: [a=b]\nreceivers: [{name: r}]\n",
        3,
        "root route must not have any matchers",
    );
    refused(
        "route:\n  receiver: r\n  continue: true\nreceivers: [{name: r}]\n",
        3,
        "cannot have continue in root route",
    );
    refused(
        "route:\n  receiver: r\n  group_by: ['...', a]\nreceivers: [{name: r}]\n",
        3,
        "cannot have wildcard group_by (`...`) and other labels at the same time",
    );
    refused(
        "route:\n  receiver: r\n  group_by: [a, a]\nreceivers: [{name: r}]\n",
        3,
        "duplicated label \"a\" in group_by",
    );
    refused(
        "route:\n  receiver: r\n  group_interval: 0s\nreceivers: [{name: r}]\n",
        3,
        "group_interval cannot be zero",
    );
    refused(
        "route:\n  receiver: r\n  routes:\n  - mute_time_intervals: [night]\nreceivers: [{name: r}]\n",
        4,
        "undefined time interval \"night\" used in route",
    );
    refused(
        "route:\n  receiver: r\n  routes:\n  - matchers: [foo]\nreceivers: [{name: r}]\n",
        4,
        "bad matcher format: foo",
    );
    refused(
        "route:\n  receiver: r\n  routes:\n  - match_re: {a: '('}\nreceivers: [{name: r}]\n",
        4,
        "error parsing regexp: missing closing ): `(`",
    );
}

#[test]
fn names_are_there_once() {
    refused(&with("- name: r\n"), 5, "notification config name \"r\" is not unique");
    refused(&with("- webhook_configs: []\n"), 5, "missing name in receiver");
    refused(&with("time_intervals: [{name: a}, {name: a}]\n"), 5, "time interval \"a\" is not unique");
    refused(
        &with("mute_time_intervals: [{name: a}]\ntime_intervals: [{name: a}]\n"),
        6,
        "time interval \"a\" is not unique",
    );
}

#[test]
fn unknown_keys_are_refused_with_a_remedy() {
    let error = parse(&with("  webhook_config:\n  - url: http://x\n")).expect_err("unknown");
    assert_eq!(error.message, "unknown key \"webhook_config\"");
    assert!(error.remedy.contains("webhook_configs"), "{}", error.remedy);
}

#[test]
fn receivers_are_checked() {
    let check = |keys: &str, want: &str| {
        let error = parse(&with(&format!("  {keys}\n"))).expect_err(keys);
        assert_eq!(error.message, want, "{keys}");
        assert_eq!(error.mark.map(|mark| mark.line), Some(5), "{keys}");
    };
    check("webhook_configs: [{}]", "one of url or url_file must be configured");
    check("webhook_configs: [null]", "missing webhook config");
    check("webhook_configs: [{url: 'ftp://x'}]", "unsupported scheme \"ftp\" for URL");
    check("email_configs: [{}]", "missing to address in email config");
    check("email_configs: [{to: a@b}]", "no global SMTP smarthost set");
    check(
        "email_configs: [{to: a@b, headers: {subject: a, Subject: b}}]",
        "duplicate header \"Subject\" in email config",
    );
    check("email_configs: [{to: a@b, smarthost: localhost}]", "address localhost: missing port in address");
    check("pagerduty_configs: [{}]", "missing service or routing key in PagerDuty config");
    check("opsgenie_configs: [null]", "no global OpsGenie API Key set either inline or in a file");
    check("slack_configs: [{channel: x}]", "no Slack API URL nor App token set either inline or in a file");
    check(
        "slack_configs: [{api_url: 'http://x', fields: [{title: a}]}]",
        "missing value in Slack field configuration",
    );
    check("victorops_configs: [{}]", "missing Routing key in VictorOps config");
    check("pushover_configs: [{token: a}]", "one of user_key or user_key_file must be configured");
    check("telegram_configs: [{chat_id: 1}]", "missing bot_token or bot_token_file on telegram_config");
    check(
        "telegram_configs: [{bot_token: a, chat_id: 1, parse_mode: x}]",
        "unknown parse_mode on telegram_config, must be Markdown, MarkdownV2, HTML or empty string",
    );
    check("discord_configs: [{}]", "one of webhook_url or webhook_url_file must be configured");
    check("webex_configs: [{room_id: a}]", "missing webex_configs.http_config.authorization");
    check("jira_configs: [{project: a, issue_type: b}]", "no global Jira Cloud URL set");
    check("sns_configs: [{}]", "must provide either a Target ARN, Topic ARN, or Phone Number for SNS config");
    check("rocketchat_configs: [{}]", "no global Rocketchat TokenID set either inline or in a file");
    check("mattermost_configs: [{}]", "missing webhook_url or webhook_url_file on mattermost_config");
    check("wechat_configs: [{}]", "no global Wechat Api Secret set either inline or in a file");
    check(
        "incidentio_configs: [{url: 'http://x', http_config: {}}]",
        "at least one of alert_source_token, alert_source_token_file or http_config.authorization must be configured",
    );
}

#[test]
fn secrets_are_hidden_and_what_is_shown_loads_again() {
    let text = with(
        "  webhook_configs:\n  - url: http://hooks.example/geheim\n  slack_configs:\n  - api_url: http://hooks.example/geheim\n  pushover_configs:\n  - {user_key: geheim, token: geheim}\nglobal:\n  smtp_auth_password: geheim\n",
    );
    let config = parse(&text).expect("fine");
    assert!(!config.redacted.contains("geheim"), "{}", config.redacted);
    let again = parse(&config.redacted).expect("what is shown loads");
    assert_eq!(again.redacted, config.redacted);
}

#[test]
fn templates_are_found_relative_to_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["b.tmpl", "a.tmpl", "c.txt"] {
        #[expect(clippy::disallowed_methods, reason = "a file of a test")]
        std::fs::write(folder.path().join(name), "").expect("written");
    }
    let text = with("templates: ['*.tmpl', 'missing/*.tmpl']\n");
    let config = Config::parse(text.as_bytes(), folder.path()).expect("fine");
    let names: Vec<_> = config.template_files.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    assert_eq!((names, config.template_pattern_count), (vec!["a.tmpl", "b.tmpl"], 2));
}

//! Each kind's requests, as a server records them, compared with what its documentation wants.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use stdx::clock::{Clock, ManualClock};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use super::*;
use crate::alert::Alert;
use crate::config::Config;
use crate::text::{Data, Texts};

const NOW_MS: i64 = 1_700_000_100_000;
const GROUP_KEY: &str = "{}:{alertname=\"x\"}";

/// What a server was asked.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Answers what it was told to, else 200 and `{}`, and remembers every request.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    async fn start(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut answers: VecDeque<(u16, String)> =
            answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        let record = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (status, body) = answers.pop_front().unwrap_or((200, "{}".to_owned()));
                // What breaks off is seen by the one who asked.
                let _ = answer(stream, status, &body, &record).await;
            }
        });
        Self { url, asked }
    }

    async fn asked(&self) -> Vec<Asked> {
        self.asked.lock().await.clone()
    }
}

/// One request on one connection. It is recorded before it is answered.
async fn answer(stream: TcpStream, status: u16, body: &str, record: &Mutex<Vec<Asked>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut parts = line.split_whitespace().map(str::to_owned);
    let (method, path) = (parts.next()?, parts.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut content = vec![0; length];
    stream.read_exact(&mut content).await.ok()?;
    let kind = if body.starts_with('{') { "application/json" } else { "text/plain" };
    let response = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    record.lock().await.push(Asked { method, path, headers, body: String::from_utf8(content).ok()? });
    stream.write_all(response.as_bytes()).await.ok()
}

fn integration(section: &str, url: &str) -> Arc<dyn Integration> {
    let text = format!("route: {{receiver: r}}\nreceivers:\n- name: r\n  {}\n", section.replace("URL", url));
    let config =
        Config::parse(text.as_bytes(), Path::new("/")).unwrap_or_else(|error| panic!("{text}: {error}"));
    Arc::clone(&config.receivers[0].integrations[0])
}

fn alert(resolved: bool) -> Arc<Alert> {
    Arc::new(Alert {
        labels: model::Labels::from_pairs([("alertname", "x"), ("severity", "page")]),
        annotations: [("summary".to_owned(), "it broke".to_owned())].into(),
        starts_at_ms: 1_700_000_000_000,
        ends_at_ms: if resolved { NOW_MS } else { NOW_MS + 1 },
        generator_url: "http://kymo/graph".to_owned(),
        updated_at_ms: 0,
        is_timeout: false,
    })
}

/// Tells an integration of one alert.
async fn tell(integration: &dyn Integration, resolved: bool) -> Result<(), SendError> {
    let clock: Arc<dyn Clock> = ManualClock::at(NOW_MS);
    let alerts = [alert(resolved)];
    let labels = [("alertname".to_owned(), "x".to_owned())].into();
    let texts = Texts::load(&[]).expect("our own");
    let notification = Notification {
        group_key: GROUP_KEY,
        alerts: &alerts,
        data: Data::new("r", labels, &alerts, "http://kymo", NOW_MS),
        texts: &texts,
        clock: &clock,
        now_ms: NOW_MS,
    };
    integration.send(&notification).await
}

/// What a kind asks its server about an alert that fires.
async fn asked(section: &str, answers: &[(u16, &str)]) -> Vec<Asked> {
    let server = Server::start(answers).await;
    tell(&*integration(section, &server.url), false).await.expect("told");
    server.asked().await
}

async fn asked_once(section: &str, answers: &[(u16, &str)]) -> Asked {
    let mut all = asked(section, answers).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn key() -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, GROUP_KEY.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

const SUBJECT: &str = "[FIRING:1] x (page)";
const LINK: &str = "http://kymo/#/alerts?receiver=r";
const LIST: &str = "Labels:\n - alertname = x\n - severity = page\nAnnotations:\n - summary = it broke\nSource: http://kymo/graph\n";

#[tokio::test]
async fn webhooks_get_version_4() {
    let asked = asked_once("webhook_configs: [{url: URL/hook}]", &[]).await;
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/hook"));
    assert_eq!(asked.header("content-type"), "application/json");
    let json = asked.json();
    assert_eq!(
        (&json["version"], &json["groupKey"], &json["truncatedAlerts"], &json["status"], &json["receiver"]),
        (&json!("4"), &json!(GROUP_KEY), &json!(0), &json!("firing"), &json!("r"))
    );
    assert_eq!(json["alerts"][0]["labels"], json!({"alertname": "x", "severity": "page"}));
    assert_eq!(json["externalURL"], "http://kymo");
}

#[tokio::test]
async fn slack_gets_an_attachment() {
    let section = "slack_configs: [{api_url: URL/hook, channel: '#c', fields: [{title: T, value: '{{ .Status }}'}], actions: [{type: button, text: Go, url: 'http://x'}]}]";
    let asked = asked_once(section, &[(200, "ok")]).await;
    let want = json!({
        "channel": "#c",
        "username": "Kymo",
        "attachments": [{
            "title": SUBJECT,
            "title_link": LINK,
            "text": "",
            "fallback": format!("{SUBJECT} | {LINK}"),
            "callback_id": "",
            "fields": [{"title": "T", "value": "firing", "short": false}],
            "actions": [{"type": "button", "text": "Go", "url": "http://x"}],
            "footer": "",
            "color": "danger",
            "mrkdwn_in": ["fallback", "pretext", "text"],
        }],
    });
    assert_eq!(asked.json(), want);
}

#[tokio::test]
async fn slack_refuses_with_status_200() {
    for (answer, want) in [
        ("no_service", "received an error response from Slack: no_service"),
        ("{\"ok\":false,\"error\":\"gone\"}", "error response from Slack: gone"),
    ] {
        let server = Server::start(&[(200, answer)]).await;
        let slack = integration("slack_configs: [{api_url: URL, channel: c}]", &server.url);
        let error = tell(&*slack, false).await.expect_err("refused");
        assert_eq!((error.message, error.retry), (format!("channel \"c\": {want}"), false));
    }
}

#[tokio::test]
async fn pagerduty_gets_an_event() {
    let asked = asked_once("pagerduty_configs: [{routing_key: k, url: URL, links: [{href: 'http://x', text: t}, {text: nothing}], details: {own: '{{ .Status }}'}}]", &[(202, "{}")]).await;
    let want = json!({
        "routing_key": "k",
        "event_action": "trigger",
        "dedup_key": key(),
        "client": "Kymo",
        "client_url": LINK,
        "payload": {
            "summary": SUBJECT,
            "source": "Kymo",
            "severity": "error",
            "custom_details": {"firing": LIST, "resolved": "", "num_firing": "1", "num_resolved": "0", "own": "firing"},
        },
        "links": [{"href": "http://x", "text": "t"}],
    });
    assert_eq!(asked.json(), want);
}

#[tokio::test]
async fn pagerduty_is_told_of_the_end_and_knows_its_older_events() {
    let server = Server::start(&[]).await;
    tell(&*integration("pagerduty_configs: [{routing_key: k, url: URL}]", &server.url), true)
        .await
        .expect("told");
    tell(&*integration("pagerduty_configs: [{service_key: s, url: URL}]", &server.url), false)
        .await
        .expect("told");
    let asked = server.asked().await;
    assert_eq!(asked[0].json()["event_action"], "resolve");
    let v1 = asked[1].json();
    assert_eq!(
        (&v1["service_key"], &v1["event_type"], &v1["incident_key"]),
        (&json!("s"), &json!("trigger"), &json!(key()))
    );
}

#[tokio::test]
async fn opsgenie_gets_an_alert_under_an_alias() {
    let section = "opsgenie_configs: [{api_key: k, api_url: URL, tags: 'a, b', priority: P1, update_alerts: true, responders: [{name: 'x, y', type: teams}]}]";
    let asked = asked(section, &[(202, "{}")]).await;
    assert_eq!(asked[0].header("authorization"), "GenieKey k");
    let description = format!("it broke\nAlerts Firing:\n{LIST}\n");
    let want = json!({
        "alias": key(),
        "message": SUBJECT,
        "description": description,
        "details": {"alertname": "x", "severity": "page"},
        "source": LINK,
        "responders": [{"name": "x", "type": "team"}, {"name": "y", "type": "team"}],
        "tags": ["a", "b"],
        "priority": "P1",
    });
    assert_eq!((asked[0].path.as_str(), asked[0].json()), ("/v2/alerts", want));
    let update = format!("/v2/alerts/{}/message?identifierType=alias", key());
    assert_eq!((asked[1].method.as_str(), &asked[1].path), ("PUT", &update));
    assert_eq!(asked[2].json(), json!({"description": description}));
    let server = Server::start(&[]).await;
    tell(&*integration(section, &server.url), true).await.expect("told");
    let close = format!("/v2/alerts/{}/close?identifierType=alias", key());
    assert_eq!(server.asked().await[0].path, close);
}

#[tokio::test]
async fn victorops_gets_texts_at_an_address_with_its_key() {
    let section = "victorops_configs: [{api_key: k, api_url: URL/alert, routing_key: team, message_type: odd, custom_fields: {own: '{{ .Status }}'}}]";
    let asked = asked_once(section, &[]).await;
    assert_eq!(asked.path, "/alert/k/team");
    let json = asked.json();
    assert_eq!(
        (&json["message_type"], &json["entity_id"], &json["own"]),
        (&json!("CRITICAL"), &json!(key()), &json!("firing"))
    );
    assert_eq!((&json["entity_display_name"], &json["monitoring_tool"]), (&json!(SUBJECT), &json!("Kymo")));
}

#[tokio::test]
async fn pushover_gets_parameters() {
    let asked =
        asked_once("pushover_configs: [{user_key: u, token: t, api_url: URL/1/messages.json, ttl: 2m}]", &[])
            .await;
    assert!(
        asked.path.starts_with(
            "/1/messages.json?token=t&user=u&title=%5BFIRING%3A1%5D+x+%28page%29&message=it+broke"
        ),
        "{}",
        asked.path
    );
    for pair in [
        "priority=2",
        "retry=60",
        "expire=3600",
        "ttl=120",
        "url=http%3A%2F%2Fkymo%2F%23%2Falerts%3Freceiver%3Dr",
    ] {
        assert!(asked.path.contains(&format!("&{pair}")), "{pair}: {}", asked.path);
    }
}

#[tokio::test]
async fn telegram_gets_a_message_of_its_bot() {
    let asked = asked_once(
        "telegram_configs: [{bot_token: t, chat_id: -5, api_url: URL, message: '{{ .Status }} <b>'}]",
        &[],
    )
    .await;
    assert_eq!(asked.path, "/bott/sendMessage");
    let want = json!({"chat_id": "-5", "text": "firing <b>", "parse_mode": "HTML", "disable_web_page_preview": true});
    assert_eq!(asked.json(), want);
}

#[tokio::test]
async fn discord_gets_an_embed() {
    let asked =
        asked_once("discord_configs: [{webhook_url: URL, message: m, username: u}]", &[(204, "")]).await;
    let want = json!({
        "content": "",
        "embeds": [{"title": SUBJECT, "description": "m", "color": 10_038_562}],
        "username": "u",
    });
    assert_eq!(asked.json(), want);
}

#[tokio::test]
async fn webex_gets_markdown_for_its_room() {
    let asked = asked_once("webex_configs: [{room_id: r, api_url: URL/v1/messages, message: m, http_config: {authorization: {credentials: c}}}]", &[]).await;
    assert_eq!((asked.path.as_str(), asked.header("authorization")), ("/v1/messages", "Bearer c"));
    assert_eq!(asked.json(), json!({"markdown": "m", "roomId": "r"}));
}

#[tokio::test]
async fn teams_get_cards() {
    let asked = asked_once("msteams_configs: [{webhook_url: URL, text: t}]", &[]).await;
    let want = json!({
        "@context": "http://schema.org/extensions",
        "type": "MessageCard",
        "title": SUBJECT,
        "summary": SUBJECT,
        "text": "t",
        "themeColor": "8C1A1A",
    });
    assert_eq!(asked.json(), want);
    let asked = asked_once("msteamsv2_configs: [{webhook_url: URL, text: t}]", &[(202, "")]).await;
    let json = asked.json();
    let attachment = &json["attachments"][0];
    assert_eq!((&json["type"], &attachment["contentUrl"]), (&json!("message"), &Value::Null));
    assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
    let body = json!([
        {"type": "TextBlock", "text": SUBJECT, "weight": "Bolder", "size": "Medium", "wrap": true, "style": "heading", "color": "Attention"},
        {"type": "TextBlock", "text": "t", "wrap": true},
    ]);
    assert_eq!(
        (&attachment["content"]["body"], &attachment["content"]["type"]),
        (&body, &json!("AdaptiveCard"))
    );
}

#[tokio::test]
async fn wechat_is_asked_for_a_token_first_and_only_once() {
    let section =
        "wechat_configs: [{api_secret: s, corp_id: c, api_url: URL, agent_id: '7', to_user: u, message: m}]";
    let server = Server::start(&[(200, "{\"access_token\":\"tok\"}"), (200, "{\"errcode\":0}")]).await;
    let wechat = integration(section, &server.url);
    tell(&*wechat, false).await.expect("told");
    tell(&*wechat, false).await.expect("told");
    let asked = server.asked().await;
    assert_eq!((asked.len(), asked[0].path.as_str()), (3, "/gettoken?corpid=c&corpsecret=s"));
    assert_eq!(asked[1].path, "/message/send?access_token=tok");
    let want = json!({
        "text": {"content": "m"}, "markdown": {"content": ""}, "safe": "0", "msgtype": "text", "touser": "u", "agentid": "7",
    });
    assert_eq!(asked[1].json(), want);
}

#[tokio::test]
async fn rocketchat_gets_an_attachment_and_says_no_with_status_200() {
    let section = "rocketchat_configs: [{api_url: URL, token: t, token_id: i, channel: '#c', text: m}]";
    let asked = asked_once(section, &[(200, "{\"success\":true}")]).await;
    assert_eq!(
        (asked.path.as_str(), asked.header("x-auth-token"), asked.header("x-user-id")),
        ("/api/v1/chat.postMessage", "t", "i")
    );
    let attachment = json!({"title": SUBJECT, "title_link": LINK, "text": "m", "color": "red"});
    assert_eq!(asked.json(), json!({"channel": "#c", "attachments": [attachment]}));
    let server = Server::start(&[(200, "{\"success\":false,\"error\":\"no room\"}")]).await;
    let error = tell(&*integration(section, &server.url), false).await.expect_err("refused");
    assert_eq!(error.message, "channel \"#c\": error response from Rocketchat: no room");
}

#[tokio::test]
async fn mattermost_gets_an_attachment() {
    let asked = asked_once("mattermost_configs: [{webhook_url: URL, channel: c, text: m, priority: {priority: URGENT, requested_ack: true}}]", &[]).await;
    let want = json!({
        "text": "",
        "channel": "c",
        "username": "Kymo",
        "attachments": [{"fallback": format!("{SUBJECT} | {LINK}"), "color": "#d24a4e", "text": "m", "title": SUBJECT, "title_link": LINK}],
        "priority": {"priority": "urgent", "requested_ack": true},
    });
    assert_eq!(asked.json(), want);
}

#[tokio::test]
async fn jira_gets_an_issue_once() {
    let section = "jira_configs: [{api_url: URL/rest/api/2, project: P, issue_type: Bug, labels: [own], description: d, resolve_transition: Done, fields: {customfield_1: {value: '{{ .Status }}'}}}]";
    let asked_first = asked(section, &[(200, "{\"issues\":[]}"), (201, "{}")]).await;
    assert_eq!(asked_first[0].path, "/rest/api/2/search");
    let label = format!("ALERT{{{}}}", key());
    let jql = format!(
        "statusCategory != Done and project=\"P\" and labels=\"{label}\" order by status ASC,resolutiondate DESC"
    );
    assert_eq!(asked_first[0].json(), json!({"jql": jql, "maxResults": 2, "fields": ["status"]}));
    let want = json!({"fields": {
        "project": {"key": "P"}, "issuetype": {"name": "Bug"}, "summary": SUBJECT, "description": "d",
        "labels": [label, "own"], "customfield_1": {"value": "firing"},
    }});
    assert_eq!((asked_first[1].path.as_str(), asked_first[1].json()), ("/rest/api/2/issue", want));
    let found =
        "{\"issues\":[{\"key\":\"P-1\",\"fields\":{\"status\":{\"statusCategory\":{\"key\":\"new\"}}}}]}";
    let ways = "{\"transitions\":[{\"id\":\"9\",\"name\":\"Done\"}]}";
    let server = Server::start(&[(200, found), (204, ""), (200, ways), (204, "")]).await;
    tell(&*integration(section, &server.url), true).await.expect("told");
    let asked = server.asked().await;
    assert_eq!((asked[1].method.as_str(), asked[1].path.as_str()), ("PUT", "/rest/api/2/issue/P-1"));
    assert_eq!(asked[3].json(), json!({"transition": {"id": "9"}}));
}

#[tokio::test]
async fn sns_gets_a_signed_form() {
    let section = "sns_configs: [{api_url: URL, topic_arn: 'arn:t.fifo', message: m, attributes: {a: b}, sigv4: {region: r, access_key: AK, secret_key: SK}}]";
    let asked = asked_once(section, &[]).await;
    assert!(asked.header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=AK/"), "{asked:?}");
    let want = format!(
        "Action=Publish&Version=2010-03-31&TopicArn=arn%3At.fifo&Message=m&Subject=%5BFIRING%3A1%5D+x+%28page%29&MessageDeduplicationId={0}&MessageGroupId={0}&MessageAttributes.entry.1.Name=a&MessageAttributes.entry.1.Value.DataType=String&MessageAttributes.entry.1.Value.StringValue=b",
        key()
    );
    assert_eq!(asked.body, want);
}

#[tokio::test]
async fn incidentio_gets_version_1_and_its_token() {
    let asked = asked_once("incidentio_configs: [{url: URL, alert_source_token: t}]", &[(202, "{}")]).await;
    assert_eq!((asked.header("authorization"), &asked.json()["version"]), ("Bearer t", &json!("1")));
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    for (status, retry) in [(500, true), (503, true), (429, true), (400, false), (401, false), (404, false)] {
        let server = Server::start(&[(status, "because")]).await;
        let webhook = integration("webhook_configs: [{url: URL}]", &server.url);
        let error = tell(&*webhook, false).await.expect_err("refused");
        assert_eq!(
            (error.message.as_str(), error.retry),
            (&*format!("unexpected status code {status}: because"), retry)
        );
    }
    let nobody = integration("webhook_configs: [{url: 'http://127.0.0.1:1/'}]", "");
    assert!(tell(&*nobody, false).await.expect_err("nobody is there").retry);
    let broken = integration("webhook_configs: [{url_file: /no/such/file}]", "");
    assert!(!tell(&*broken, false).await.expect_err("no file").retry);
}

/// A server of mail that takes one message; what it was told, line by line.
async fn mail_server() -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 mail.example ESMTP\r\n").await.expect("written");
        let (mut lines, mut in_message) = (Vec::new(), false);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return lines;
            }
            let line = line.trim_end_matches(['\r', '\n']).to_owned();
            let reply = match line.split_whitespace().next().unwrap_or("") {
                "." if in_message => {
                    in_message = false;
                    "250 taken\r\n"
                }
                _ if in_message => "",
                "EHLO" => "250-mail.example\r\n250 AUTH PLAIN LOGIN\r\n",
                "AUTH" => "235 welcome\r\n",
                "DATA" => {
                    in_message = true;
                    "354 go on\r\n"
                }
                "QUIT" => "221 bye\r\n",
                _ => "250 ok\r\n",
            };
            lines.push(line);
            if stream.write_all(reply.as_bytes()).await.is_err()
                || lines.last().is_some_and(|line| line == "QUIT")
            {
                return lines;
            }
        }
    });
    (port, task)
}

#[tokio::test]
async fn email_is_a_message_with_two_parts() {
    let (port, task) = mail_server().await;
    let section = format!(
        "email_configs: [{{to: 'Ops <ops@example.com>, b@example.com', from: kymo@example.com, smarthost: '127.0.0.1:{port}', hello: me.example, require_tls: false, auth_username: u, auth_password: p, headers: {{x-own: '{{{{ .Status }}}}'}}, text: 'plain {{{{ .Status }}}}', html: '<p>{{{{ .CommonAnnotations.summary }}}}</p>'}}]"
    );
    tell(&*integration(&section, ""), false).await.expect("told");
    let lines = task.await.expect("ended");
    let text = lines.join("\n");
    assert!(text.starts_with("EHLO me.example\nAUTH PLAIN AHUAcA==\nMAIL FROM:<kymo@example.com>"), "{text}");
    for line in [
        "RCPT TO:<ops@example.com>",
        "RCPT TO:<b@example.com>",
        "Subject: [FIRING:1] x (page)",
        "From: kymo@example.com",
        "X-Own: firing",
        "MIME-Version: 1.0",
        "plain firing",
        "<p>it broke</p>",
    ] {
        assert!(lines.iter().any(|known| known == line), "{line}: {text}");
    }
    assert!(text.contains("Content-Type: multipart/alternative;") && text.contains("To: "), "{text}");
}

#[tokio::test]
async fn mail_is_not_sent_in_the_clear_where_tls_is_required() {
    let (port, task) = mail_server().await;
    let section = format!(
        "email_configs: [{{to: a@example.com, from: kymo@example.com, smarthost: '127.0.0.1:{port}'}}]"
    );
    let error = tell(&*integration(&section, ""), false).await.expect_err("no TLS");
    task.abort();
    assert!(error.message.to_lowercase().contains("tls"), "{error}");
}

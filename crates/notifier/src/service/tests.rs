//! The service as its callers see it: alerts, silences and what survives a restart.

use std::path::Path;

use stdx::clock::SystemClock;
use stdx::rand::SeededRandom;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::ack::AckError;
use crate::alert::Fingerprint;
use crate::store::MemoryStore;

/// A webhook that answers with each status in turn, the last one for ever; yields a line for each request.
async fn webhook(statuses: &'static [u16]) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut count = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            let status = statuses[count.min(statuses.len() - 1)];
            count += 1;
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !is_whole(&request) {
                match stream.read(&mut buffer).await {
                    Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
                    _ => break,
                }
            }
            let _ = sender.send(String::from_utf8_lossy(&request).into_owned());
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, receiver)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn config(url: &str) -> Config {
    let text = format!(
        "route:\n  receiver: hook\n  group_by: [alertname]\n  group_wait: 0s\n  group_interval: 1s\n\
         receivers:\n- name: hook\n  webhook_configs:\n  - url: {url}\n"
    );
    Config::parse(text.as_bytes(), Path::new("")).expect("fine")
}

async fn started(config: Config, store: &Arc<MemoryStore>) -> Handle {
    let deps = Deps {
        settings: Settings::default(),
        clock: SystemClock::shared(),
        random: Arc::new(SeededRandom::new(1)),
        store: Arc::<MemoryStore>::clone(store),
        registry: prometheus::Registry::new(),
        external_url: "http://kymo".to_owned(),
    };
    start(config, deps).await.expect("started")
}

fn report(name: &str) -> Vec<ReportedAlert> {
    vec![ReportedAlert {
        labels: vec![("alertname".to_owned(), name.to_owned())],
        ..ReportedAlert::default()
    }]
}

const PATIENCE: Duration = Duration::from_secs(60);

async fn until(mut come_true: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !come_true() {
        assert!(tokio::time::Instant::now() < deadline, "it did not come true");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn next(receiver: &mut mpsc::UnboundedReceiver<String>) -> String {
    tokio::time::timeout(PATIENCE, receiver.recv()).await.expect("in time").expect("a request")
}

#[tokio::test]
async fn a_receiver_that_fails_is_told_again() {
    let (url, mut requests) = webhook(&[503, 200]).await;
    let handle = started(config(&url), &Arc::default()).await;
    handle.report(report("x")).expect("taken");
    assert!(next(&mut requests).await.contains("\"alertname\":\"x\""));
    assert!(next(&mut requests).await.contains("\"alertname\":\"x\""));
    handle.stop().await;
    assert!(handle.failed().is_empty());
}

#[tokio::test]
async fn what_was_told_is_known_after_a_restart() {
    let (url, mut requests) = webhook(&[200]).await;
    let store = Arc::<MemoryStore>::default();
    let handle = started(config(&url), &store).await;
    handle.report(report("x")).expect("taken");
    next(&mut requests).await;
    // It was told once its answer has come.
    until(|| store.log(0).expect("read").len() == 1).await;
    handle.stop().await;
    let handle = started(config(&url), &store).await;
    handle.report(report("x")).expect("taken");
    handle.report(report("y")).expect("taken");
    // The second is told, the first is known.
    assert!(next(&mut requests).await.contains("\"alertname\":\"y\""));
    handle.stop().await;
    assert!(requests.try_recv().is_err());
}

#[tokio::test]
async fn what_is_refused_for_good_is_remembered() {
    let (url, mut requests) = webhook(&[400]).await;
    let handle = started(config(&url), &Arc::default()).await;
    handle.report(report("x")).expect("taken");
    next(&mut requests).await;
    until(|| !handle.failed().is_empty()).await;
    let failed = handle.failed().remove(0);
    assert_eq!(
        (failed.receiver.as_str(), failed.integration.as_str(), failed.attempts),
        ("hook", "webhook", 1)
    );
    assert_eq!(failed.error, "unexpected status code 400");
    handle.stop().await;
}

#[tokio::test]
async fn another_configuration_takes_over() {
    let (first, mut first_requests) = webhook(&[200]).await;
    let (second, mut second_requests) = webhook(&[200]).await;
    let handle = started(config(&first), &Arc::default()).await;
    handle.report(report("x")).expect("taken");
    next(&mut first_requests).await;
    let text = format!(
        "route: {{receiver: other, group_by: [alertname], group_wait: 0s}}\nreceivers:\n- name: other\n  webhook_configs: [{{url: '{second}'}}]\n"
    );
    let next_config = Config::parse(text.as_bytes(), Path::new("")).expect("fine");
    handle.reload(prepare(next_config).await.expect("prepared")).await;
    // Another receiver was not told yet.
    assert!(next(&mut second_requests).await.contains("\"receiver\":\"other\""));
    assert_eq!(handle.receivers().iter().map(|name| &**name).collect::<Vec<_>>(), ["other"]);
    handle.stop().await;
}

#[tokio::test]
async fn silences_are_kept_and_named() {
    let store = Arc::<MemoryStore>::default();
    let handle = started(Config::without_file(), &store).await;
    let now_ms = handle.now_ms();
    let wanted = Silence {
        id: String::new(),
        matchers: crate::silence::parse_matchers(&["a=b".to_owned()]).expect("matchers"),
        starts_at_ms: now_ms,
        ends_at_ms: now_ms + 3_600_000,
        updated_at_ms: 0,
        created_by: "me".to_owned(),
        comment: "why not".to_owned(),
        recurrence: None,
    };
    let id = handle.set_silence(wanted).await.expect("made");
    let shape: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!((shape, id.as_bytes()[14]), (vec![8, 4, 4, 4, 12], b'4'));
    handle.stop().await;
    let handle = started(Config::without_file(), &store).await;
    assert_eq!(handle.silences(&[]).len(), 1);
    handle.expire_silence(&id).await.expect("ended");
    assert_eq!(handle.expire_silence("other").await, Err(SilenceError::NotFound.into()));
    handle.stop().await;
}

#[tokio::test]
async fn acknowledgements_are_kept_until_they_are_taken_back() {
    let store = Arc::<MemoryStore>::default();
    let handle = started(Config::without_file(), &store).await;
    handle.report(report("x")).expect("taken");
    let fingerprint = handle.alerts()[0].alert.fingerprint();
    let until_ms = handle.now_ms() + 3_600_000;
    let made = |owner: &str, until_ms: i64| {
        let (handle, owner) = (handle.clone(), owner.to_owned());
        async move { handle.acknowledge(fingerprint, owner, "on it".to_owned(), until_ms).await }
    };
    assert!(matches!(made("", until_ms).await, Err(SetAckError::Ack(AckError::Invalid(_)))));
    assert!(matches!(made("me", 1).await, Err(SetAckError::Ack(AckError::Invalid(_)))));
    made("me", until_ms).await.expect("made");
    let other = handle.acknowledge(Fingerprint(7), "me".to_owned(), String::new(), until_ms).await;
    assert!(matches!(other, Err(SetAckError::Ack(AckError::NotFound(_)))));
    handle.stop().await;
    let handle = started(Config::without_file(), &store).await;
    let kept = handle.acks();
    assert_eq!((kept.len(), kept[0].owner.as_str(), kept[0].expires_at_ms), (1, "me", until_ms));
    handle.take_back_ack(fingerprint).await.expect("taken back");
    assert!(handle.take_back_ack(fingerprint).await.is_err());
    assert!(handle.acks().is_empty() && store.acks().expect("read").is_empty());
    let events = handle.events(fingerprint, 0, i64::MAX, 10).await.expect("read");
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert!(kinds.ends_with(&["acknowledged", "ack_ended"]), "{kinds:?}");
    handle.stop().await;
}

#[tokio::test]
async fn nonsense_is_refused_and_the_rest_taken() {
    let handle = started(Config::without_file(), &Arc::default()).await;
    let mut reported = report("fine");
    reported.push(ReportedAlert::default());
    reported.push(ReportedAlert {
        starts_at_ms: Some(2_000),
        ends_at_ms: Some(1_000),
        ..report("x").remove(0)
    });
    let error = handle.report(reported).expect_err("nonsense");
    assert_eq!(error, "at least one label pair required; start time must be before end time");
    assert_eq!(handle.alerts().len(), 1);
    let alert = &handle.alerts()[0].alert;
    assert_eq!((alert.is_timeout, alert.ends_at_ms - alert.updated_at_ms), (true, 300_000));
    handle.stop().await;
}

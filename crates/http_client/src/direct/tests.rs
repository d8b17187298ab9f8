//! Against peers that keep connections, close them, and answer what nobody asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use super::{Direct, Failure, Receive};

/// A status, and the body.
#[derive(Default)]
struct Received(u16, String);

impl Receive for Received {
    type Error = std::convert::Infallible;

    fn head(&mut self, status: StatusCode, _: &str, _: &str) -> Result<(), Self::Error> {
        self.0 = status.as_u16();
        Ok(())
    }

    fn data(&mut self, piece: &[u8]) -> Result<(), Self::Error> {
        self.1.push_str(&String::from_utf8_lossy(piece));
        Ok(())
    }
}

/// A peer that says `answers` on each connection, one a request, and then closes it. How many connections it had is counted.
async fn peer(answers: &'static [&'static str]) -> (Url, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/metrics?a=b", listener.local_addr().expect("an address"));
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                for answer in answers {
                    let mut asked = Vec::new();
                    while !asked.ends_with(b"\r\n\r\n") {
                        let mut piece = [0; 512];
                        match stream.read(&mut piece).await {
                            Ok(len @ 1..) => asked.extend_from_slice(&piece[..len]),
                            _ => return,
                        }
                    }
                    let asked = String::from_utf8_lossy(&asked).into_owned();
                    let answer = answer.replace("{asked}", asked.lines().next().unwrap_or(""));
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (Url::parse(&url).expect("a URL"), connections)
}

async fn get(direct: &Direct, url: &Url) -> Result<(u16, String), String> {
    let mut received = Received::default();
    let mut headers = HeaderMap::new();
    headers.insert("x-test", HeaderValue::from_static("yes"));
    match direct.get(url, &headers, true, &mut received).await {
        Ok(()) => Ok((received.0, received.1)),
        Err(Failure::Io(error)) => Err(error.to_string()),
        Err(Failure::Malformed(why)) => Err(why.to_owned()),
        Err(Failure::Redirect) => Err("redirect".to_owned()),
        Err(Failure::Refused(never)) => match never {},
    }
}

const ECHO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 25\r\n\r\n{asked}";
const ASKED: &str = "GET /metrics?a=b HTTP/1.1";

#[track_caller]
fn expect(got: &Result<(u16, String), String>, status: u16, text: &str) {
    assert_eq!(got, &Ok((status, text.to_owned())));
}

#[tokio::test]
async fn a_connection_is_asked_again() {
    let (url, connections) = peer(&[ECHO, ECHO, ECHO, ECHO]).await;
    let direct = Direct::new();
    for _ in 0..3 {
        expect(&get(&direct, &url).await, 200, ASKED);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_the_peer_has_closed_is_replaced() {
    let (url, connections) = peer(&[ECHO]).await;
    let direct = Direct::new();
    for _ in 0..3 {
        expect(&get(&direct, &url).await, 200, ASKED);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn what_a_peer_says_before_it_closes_a_waiting_connection_is_no_answer() {
    let (url, _) = peer(&[
        "HTTP/1.1 200 OK\r\ncontent-length: 25\r\n\r\n{asked}HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n",
    ])
    .await;
    let direct = Direct::new();
    for _ in 0..3 {
        expect(&get(&direct, &url).await, 200, ASKED);
    }
    // To a question of ours it is one.
    let (url, _) = peer(&["HTTP/1.1 408 Request Timeout\r\ncontent-length: 2\r\n\r\nno"]).await;
    expect(&get(&direct, &url).await, 408, "no");
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_an_error_and_not_asked_for_twice() {
    let (url, connections) = peer(&[ECHO, "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nshort"]).await;
    let direct = Direct::new();
    expect(&get(&direct, &url).await, 200, ASKED);
    assert_eq!(get(&direct, &url).await, Err("connection closed before message completed".to_owned()));
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn faults_are_told_apart() {
    let direct = Direct::new();
    let (url, _) = peer(&["HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n"]).await;
    assert_eq!(get(&direct, &url).await, Err("redirect".to_owned()));
    let (url, _) = peer(&["who are you?\r\n\r\n"]).await;
    assert_eq!(get(&direct, &url).await, Err("the answer is not HTTP".to_owned()));
    let (url, _) = peer(&[]).await;
    assert!(get(&direct, &url).await.is_err(), "closed without a word");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let nobody = Url::parse(&format!("http://{address}/")).expect("a URL");
    assert!(get(&direct, &nobody).await.is_err(), "nobody listens");
}

#[test]
fn only_plain_http_without_a_name_is_asked_directly() {
    let speaks = |url: &str| Direct::speaks(&Url::parse(url).expect("a URL"));
    assert!(speaks("http://[::1]:9100/metrics") && speaks("http://host/metrics?a=b"));
    assert!(!speaks("https://host/metrics") && !speaks("http://me:secret@host/metrics"));
}

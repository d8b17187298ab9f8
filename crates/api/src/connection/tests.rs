//! Patience with slow clients, in virtual time.

use super::*;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const PATIENCE: Patience = Patience {
    idle: Duration::from_secs(300),
    head: Duration::from_secs(10),
    stall: Duration::from_secs(30),
};

struct Pair {
    client: DuplexStream,
    server: Watched<DuplexStream>,
    activity: Arc<Activity>,
    timeouts: Arc<Mutex<Vec<&'static str>>>,
}

/// A client and a server with a few bytes of room between them, in time that passes when all wait.
fn pair() -> Pair {
    let (client, socket) = tokio::io::duplex(16);
    let activity = Arc::new(Activity::default());
    let timeouts = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&timeouts);
    let on_timeout: OnTimeout = Arc::new(move |what| told.lock().expect("sound").push(what));
    let server = Watched::new(socket, Arc::clone(&activity), PATIENCE, on_timeout);
    Pair { client, server, activity, timeouts }
}

async fn read_error(server: &mut Watched<DuplexStream>) -> io::ErrorKind {
    let mut buffer = [0; 8];
    loop {
        match server.read(&mut buffer).await {
            Ok(0) => return io::ErrorKind::UnexpectedEof,
            Ok(_) => {}
            Err(error) => return error.kind(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_must_come_within_its_time_however_it_trickles() {
    let Pair { mut client, mut server, timeouts, .. } = pair();
    let started = Instant::now();
    let trickle = async {
        loop {
            tokio::time::sleep(Duration::from_secs(3)).await;
            if client.write_all(b"x").await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        kind = read_error(&mut server) => assert_eq!(kind, io::ErrorKind::TimedOut),
        () = trickle => panic!("the server must give up first"),
    }
    assert_eq!(started.elapsed().as_secs(), 13, "three for the first byte, then ten");
    assert_eq!(*timeouts.lock().expect("sound"), ["head"]);
}

#[tokio::test(start_paused = true)]
async fn each_wait_between_requests_has_the_whole_idle_time() {
    let Pair { mut client, mut server, activity, timeouts } = pair();
    let requests = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(200)).await;
            client.write_all(b"GET\n").await.expect("room");
            tokio::task::yield_now().await;
            // A request that takes longer than any patience is no fault of the client's.
            let guard = activity.begin_request();
            tokio::time::sleep(Duration::from_secs(1_000)).await;
            drop(guard);
        }
        std::future::pending::<()>().await;
    };
    let started = Instant::now();
    tokio::select! {
        kind = read_error(&mut server) => assert_eq!(kind, io::ErrorKind::TimedOut),
        () = requests => {}
    }
    assert_eq!(started.elapsed().as_secs(), 3 * 1_200 + 300);
    assert_eq!(*timeouts.lock().expect("sound"), ["idle"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_given_up_one_that_takes_little_is_not() {
    let Pair { mut client, mut server, timeouts, .. } = pair();
    let started = Instant::now();
    let take_some = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(20)).await;
            client.read_exact(&mut [0; 8]).await.expect("bytes wait");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        written = server.write_all(&[0; 1_000]) => {
            assert_eq!(written.expect_err("nobody takes them").kind(), io::ErrorKind::TimedOut);
        }
        () = take_some => {}
    }
    assert_eq!(started.elapsed().as_secs(), 5 * 20 + 30);
    assert_eq!(*timeouts.lock().expect("sound"), ["write"]);
}

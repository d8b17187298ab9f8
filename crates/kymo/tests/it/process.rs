//! Running the binary.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long tests wait for what should happen soon.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn kymo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kymo"));
    command.args(arguments);
    for variable in
        ["KYMO_CONFIG", "KYMO_DATA", "KYMO_LISTEN", "KYMO_URL", "KYMO_LOG_LEVEL", "KYMO_LOG_FORMAT"]
    {
        command.env_remove(variable);
    }
    command
}

/// Runs to the end with `input` on standard input.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = kymo(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A process that ends without reading its input is fine.
    let _ = child.stdin.take().expect("piped").write_all(input);
    child.wait_with_output().expect("the binary ends")
}

#[track_caller]
pub(crate) fn ends(arguments: &[&str], input: &[u8], code: i32, said: &str, complained: &str) {
    let output = run(arguments, input);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
    assert!(out.contains(said), "{arguments:?}: {said:?} is missing in {out:?}");
    assert!(err.contains(complained), "{arguments:?}: {complained:?} is missing in {err:?}");
}

/// Waits until `attempt` gives something.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(last) if Instant::now() > deadline => panic!("waited in vain for {what}: {last}"),
            Err(_) => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the one place where tests wait between attempts"
                )]
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// A server of its own, killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) address: String,
}

impl Server {
    /// Starts it on a free port and waits until it is ready.
    pub(crate) fn start(arguments: &[&str], config: Option<&str>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = kymo(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(arguments).current_dir(directory.path());
        if let Some(config) = config {
            super::config::write(&directory.path().join("kymo.yml"), config);
            command.args(["--config", "kymo.yml"]);
        }
        let file = |name: &str| std::fs::File::create(directory.path().join(name)).expect("a file");
        let child = command.stdout(file("stdout")).stderr(file("stderr")).spawn().expect("the binary starts");
        let mut server = Self { child, directory, address: String::new() };
        server.address = until("the server to be ready", || {
            if let Some(status) = server.child.try_wait().expect("known") {
                panic!("it ended with {status}: {}", server.said("stderr"));
            }
            let said = server.said("stdout");
            let after = said.split("is ready: http://").nth(1).ok_or_else(|| server.said("stderr"))?;
            // The line may be half written.
            let (address, _) = after.split_once('\n').ok_or("half a line")?;
            Ok(address.replace("localhost", "127.0.0.1"))
        });
        server
    }

    pub(crate) fn said(&self, stream: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(stream)).unwrap_or_default()
    }

    pub(crate) fn write_config(&self, text: &str) {
        super::config::write(&self.directory.path().join("kymo.yml"), text);
    }

    /// Status and body of a request.
    pub(crate) fn request(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let body = if head.to_lowercase().contains("transfer-encoding: chunked") {
            dechunk(body)
        } else {
            body.to_owned()
        };
        (status, body)
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let (status, body) = self.request("GET", path);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The value of a metric without labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics");
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name} is missing"))
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id()).expect("small");
        let id = rustix::process::Pid::from_raw(id).expect("positive");
        rustix::process::kill_process(id, signal).expect("it is there");
    }

    /// Waits for its end; the exit code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let child = &mut self.child;
        until("the end of the server", || {
            child.try_wait().expect("known").ok_or_else(|| "running".to_owned())
        })
        .code()
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

fn dechunk(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).expect("a size");
        if size == 0 {
            break;
        }
        out.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    out
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

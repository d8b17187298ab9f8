//! Programs that a kubeconfig file names to get a token from (`exec`, `client.authentication.k8s.io`).
//!
//! The program prints an `ExecCredential`; its token is kept until it ends, or until the server refuses it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use http_client::Request;
use serde::Deserialize;
use stdx::clock::Clock;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::fetch::Fault;
use crate::token::Token;

/// How long the program may take.
const TIME_MAX: Duration = Duration::from_secs(60);
/// How much of what it says of its failure is shown.
const SHOWN_CHARS_MAX: usize = 300;

/// What the file says about the program.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Exec {
    api_version: String,
    command: String,
    args: Vec<String>,
    env: Vec<Variable>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Variable {
    name: String,
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Printed {
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    expiration_timestamp: Option<String>,
}

/// Runs the program when a token is needed.
#[derive(Debug)]
pub(super) struct Plugin {
    exec: Exec,
    clock: Arc<dyn Clock>,
    token: Mutex<Option<Token>>,
}

impl Plugin {
    /// A relative path of a program is relative to the file's directory; a name alone is looked for in `PATH`.
    pub(super) fn new(mut exec: Exec, directory: &Path, clock: Arc<dyn Clock>) -> Self {
        if exec.command.contains('/') {
            exec.command = directory.join(&exec.command).to_string_lossy().into_owned();
        }
        Self { exec, clock, token: Mutex::new(None) }
    }

    /// Says in the request who we are.
    pub(super) async fn authorize(&self, request: &mut Request) -> Result<(), Fault> {
        let mut kept = self.token.lock().await;
        let token = match kept.take().filter(Token::is_good) {
            Some(token) => token,
            None => self.run().await?,
        };
        kept.insert(token).authorize(request)
    }

    /// The server refuses the token.
    pub(super) async fn forget(&self) {
        *self.token.lock().await = None;
    }

    async fn run(&self) -> Result<Token, Fault> {
        let Exec { api_version, command, args, env } = &self.exec;
        let wrong = |reason: String| Fault::Other(format!("{command}: {reason}"));
        let told = serde_json::json!({
            "apiVersion": api_version, "kind": "ExecCredential", "spec": { "interactive": false },
        });
        let variables: BTreeMap<&str, &str> =
            env.iter().map(|variable| (variable.name.as_str(), variable.value.as_str())).collect();
        let output = Command::new(command)
            .args(args)
            .envs(variables)
            .env("KUBERNETES_EXEC_INFO", told.to_string())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(TIME_MAX, output).await;
        let output = output.map_err(|_| wrong(format!("no credentials in {} s", TIME_MAX.as_secs())))?;
        let output = output.map_err(|error| wrong(error.to_string()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said: String = said.trim().chars().take(SHOWN_CHARS_MAX).collect();
            return Err(wrong(format!("{}: {said}", output.status)));
        }
        let printed: Printed = serde_json::from_slice(&output.stdout)
            .map_err(|error| wrong(format!("printed no ExecCredential: {error}")))?;
        let token = printed.status.token.filter(|token| !token.is_empty());
        let token =
            token.ok_or_else(|| wrong("gave no token (certificates are not supported)".to_owned()))?;
        let ends = printed.status.expiration_timestamp.and_then(|ends| ends.parse::<jiff::Timestamp>().ok());
        let left = |ends: jiff::Timestamp| ends.as_millisecond() - self.clock.now_ms();
        let lasts = ends.map(|ends| Duration::from_millis(u64::try_from(left(ends)).unwrap_or(0)));
        Ok(Token::new(token, lasts))
    }
}

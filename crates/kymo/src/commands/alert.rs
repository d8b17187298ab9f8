//! `kymo alert`: looks at the alerts of a running server, silences and acknowledges them, and asks why somebody was not told.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use notifier::silence::parse_matchers;
use serde_json::{Value, json};

use super::query::{now_seconds, parse_duration, parse_time};
use crate::api_client::ApiClient;
use crate::cli::{Outcome, UsageError};
use crate::output::series_text;
use crate::output::table::table;

const EXAMPLES: &str = "\
Examples:
  kymo alert list team=db                                  alerts that fire, and what holds them back
  kymo alert why 'alertname=DiskFull' --time 3h            why was I not paged three hours ago?
  kymo alert timeline b7f1c9d2a03e4c55                     what happened to an alert
  kymo alert ack b7f1c9d2a03e4c55 --duration 4h -c 'on it' no repetitions for four hours
  kymo alert ack b7f1c9d2a03e4c55 --undo
  kymo alert silence team=db --duration 2h --dry-run       what would be held back?
  kymo alert silence team=db --duration 2h -c 'new disks'

Exit status: 0 fine, 1 it failed, or nothing was found, 2 the command line is wrong.";

/// What can be said on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    /// The server.
    #[arg(long, global = true, default_value = "http://localhost:9090", env = "KYMO_URL")]
    url: String,
    /// Print the server's answer, for programs.
    #[arg(long, global = true)]
    json: bool,
    /// Longest time to wait for the answer.
    #[arg(long, global = true, default_value = "2m", value_parser = parse_duration)]
    timeout: Duration,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List alerts that fire.
    List {
        /// Conditions on their labels; all must hold.
        #[arg(value_name = "MATCHER")]
        matchers: Vec<String>,
    },
    /// Hold alerts back for a time; or list silences, or end one.
    Silence {
        /// Conditions on the alerts' labels; all must hold.
        #[arg(value_name = "MATCHER", required_unless_present_any = ["list", "expire"])]
        matchers: Vec<String>,
        /// For how long.
        #[arg(long, short, default_value = "1h")]
        duration: String,
        /// Why.
        #[arg(long, short, default_value = "")]
        comment: String,
        /// Who.
        #[arg(long, env = "USER", default_value = "")]
        owner: String,
        /// Only print the alerts that would be held back now.
        #[arg(long)]
        dry_run: bool,
        /// List silences that are not over.
        #[arg(long, conflicts_with_all = ["matchers", "expire"])]
        list: bool,
        /// End this silence.
        #[arg(long, value_name = "ID", conflicts_with = "matchers")]
        expire: Option<String>,
    },
    /// Say that somebody takes care of an alert: it is not repeated; or list who does, or take it back.
    Ack {
        /// The alert's fingerprint, as `kymo alert list` prints it.
        #[arg(required_unless_present = "list")]
        fingerprint: Option<String>,
        /// For how long.
        #[arg(long, short, default_value = "1h")]
        duration: String,
        /// What to say about it.
        #[arg(long, short, default_value = "")]
        comment: String,
        /// Who.
        #[arg(long, env = "USER", default_value = "")]
        owner: String,
        /// Take it back.
        #[arg(long)]
        undo: bool,
        /// List acknowledgements.
        #[arg(long, conflicts_with_all = ["fingerprint", "undo"])]
        list: bool,
    },
    /// Say why nobody was told of an alert.
    Why {
        /// The alert's labels.
        #[arg(required = true, value_name = "MATCHER")]
        matchers: Vec<String>,
        /// When: Unix seconds, RFC 3339, now, or a duration back from now.
        #[arg(long, default_value = "now")]
        time: String,
    },
    /// Print what happened to an alert.
    Timeline {
        /// The alert's fingerprint, as `kymo alert list` prints it.
        fingerprint: String,
        /// From when on.
        #[arg(long, default_value = "7d")]
        start: String,
        /// Until when.
        #[arg(long, default_value = "now")]
        end: String,
        /// The newest so many.
        #[arg(long, default_value_t = 1000)]
        limit: u32,
    },
}

/// The answer, as it is, and as a text for people; nothing was found if that is empty.
struct Shown {
    data: Value,
    text: String,
}

pub(crate) fn run(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let api = ApiClient::new(&arguments.url, None, arguments.timeout)?;
    let shown = arguments.what.ask(&api)?;
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&shown.data)?)?;
    } else if shown.text.is_empty() {
        writeln!(err, "nothing was found")?;
    } else {
        out.write_all(shown.text.as_bytes())?;
    }
    Ok(if shown.text.is_empty() { Outcome::Faults } else { Outcome::Success })
}

impl What {
    fn ask(self, api: &ApiClient) -> anyhow::Result<Shown> {
        match self {
            Self::List { matchers } => {
                let filters: Vec<(&str, String)> =
                    matchers.into_iter().map(|text| ("filter", text)).collect();
                let data = api.get_bare("../v2/alerts", &filters)?;
                Ok(Shown { text: alerts_text(&data), data })
            }
            Self::Silence { list: true, .. } => {
                let data = api.get("silences", &[("expired", "0".to_owned())])?.data;
                Ok(Shown { text: silences_text(&data["silences"]), data })
            }
            Self::Silence { expire: Some(id), .. } => {
                let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
                done(api.delete(&format!("silences/{id}"))?.data, "id")
            }
            Self::Silence { matchers, duration, comment, owner, dry_run, .. } => {
                let matchers = parse_matchers(&matchers).map_err(|error| UsageError(error.to_string()))?;
                if dry_run {
                    let data = api.post_json("silences/preview", &json!({ "matchers": matchers }))?.data;
                    return Ok(Shown { text: alerts_text(&data["alerts"]), data });
                }
                let body = json!({ "matchers": matchers, "duration": duration, "createdBy": owner, "comment": comment });
                done(api.post_json("silences", &body)?.data, "id")
            }
            Self::Ack { list: true, .. } => {
                let data = api.get("alerts/acks", &[])?.data;
                Ok(Shown { text: acks_text(&data["acks"]), data })
            }
            Self::Ack { fingerprint, duration, comment, owner, undo, .. } => {
                let fingerprint = fingerprint.context("BUG: there is no fingerprint")?;
                let path = format!("alerts/{}/ack", hexadecimal(&fingerprint)?);
                let body = json!({ "owner": owner, "comment": comment, "duration": duration });
                let answer = if undo { api.delete(&path)? } else { api.post_json(&path, &body)? };
                done(answer.data, if undo { "fingerprint" } else { "expiresAt" })
            }
            Self::Why { matchers, time } => {
                let time = parse_time(&time, now_seconds())?.to_string();
                let data = api.get("alerts/why", &[("match[]", matchers.join(",")), ("time", time)])?.data;
                Ok(Shown { text: why_text(&data), data })
            }
            Self::Timeline { fingerprint, start, end, limit } => {
                let now = now_seconds();
                let (start, end) = (parse_time(&start, now)?, parse_time(&end, now)?);
                let path = format!("alerts/{}/timeline", hexadecimal(&fingerprint)?);
                let parameters =
                    [("start", start.to_string()), ("end", end.to_string()), ("limit", limit.to_string())];
                let data = api.get(&path, &parameters)?.data;
                Ok(Shown { text: timeline_text(&data), data })
            }
        }
    }
}

/// What was done is named by a key of the answer.
fn done(data: Value, key: &str) -> anyhow::Result<Shown> {
    Ok(Shown { text: format!("{}\n", text(&data[key])), data })
}

fn hexadecimal(fingerprint: &str) -> Result<&str, UsageError> {
    let is_hexadecimal = !fingerprint.is_empty() && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fault = || UsageError(format!("{fingerprint:?} is no fingerprint; kymo alert list prints them"));
    is_hexadecimal.then_some(fingerprint).ok_or_else(fault)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Columns; nothing without rows.
fn rows<'a>(header: &[&str], of: &'a Value, row: impl Fn(&'a Value) -> Vec<String>) -> String {
    let rows: Vec<Vec<String>> = of.as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() { String::new() } else { table(header, &vec![false; header.len()], &rows) }
}

/// Of API v2, or of a preview.
fn alerts_text(alerts: &Value) -> String {
    rows(&["FINGERPRINT", "STATE", "SINCE", "RECEIVERS", "ALERT"], alerts, |alert| {
        let of = |key: &str| if alert["status"].is_object() { &alert["status"][key] } else { &alert[key] };
        let is_held = |key: &&&str| of(key).as_array().is_some_and(|by| !by.is_empty());
        let held = [("silencedBy", "silenced"), ("inhibitedBy", "inhibited"), ("mutedBy", "muted")];
        let state = held.iter().find(|(key, _)| is_held(&key)).map_or("active", |(_, state)| *state);
        let names = alert["receivers"].as_array().into_iter().flatten();
        let names: Vec<String> =
            names.map(|name| if name.is_string() { text(name) } else { text(&name["name"]) }).collect();
        vec![
            text(&alert["fingerprint"]),
            state.to_owned(),
            text(&alert["startsAt"]),
            names.join(","),
            series_text(&alert["labels"]),
        ]
    })
}

fn silences_text(silences: &Value) -> String {
    rows(&["ID", "STATE", "ENDS", "ALERTS", "BY", "MATCHERS", "COMMENT"], silences, |silence| {
        let soon = if silence["expiringSoon"] == true { " (soon)" } else { "" };
        let matcher = |matcher: &Value| {
            let op = match (matcher["isEqual"] != false, matcher["isRegex"] == true) {
                (true, false) => "=",
                (false, false) => "!=",
                (true, true) => "=~",
                (false, true) => "!~",
            };
            format!("{}{op}{}", text(&matcher["name"]), matcher["value"])
        };
        let matchers: Vec<String> =
            silence["matchers"].as_array().into_iter().flatten().map(matcher).collect();
        vec![
            text(&silence["id"]),
            text(&silence["state"]),
            format!("{}{soon}", text(&silence["endsAt"])),
            silence["alerts"].to_string(),
            text(&silence["createdBy"]),
            matchers.join(","),
            text(&silence["comment"]),
        ]
    })
}

fn acks_text(acks: &Value) -> String {
    rows(&["FINGERPRINT", "OWNER", "EXPIRES", "ALERT", "COMMENT"], acks, |ack| {
        let labels = series_text(&ack["labels"]);
        vec![
            text(&ack["fingerprint"]),
            text(&ack["owner"]),
            text(&ack["expiresAt"]),
            labels,
            text(&ack["comment"]),
        ]
    })
}

fn why_text(data: &Value) -> String {
    let alerts = rows(&["FINGERPRINT", "STEP", "AT", "ALERT"], &data["alerts"], |alert| {
        vec![
            text(&alert["fingerprint"]),
            text(&alert["step"]),
            text(&alert["at"]),
            series_text(&alert["labels"]),
        ]
    });
    let gap = if alerts.is_empty() { "" } else { "\n" };
    format!("{}\n{gap}{alerts}", text(&data["answer"]))
}

fn timeline_text(data: &Value) -> String {
    let events = rows(&["AT", "KIND", "WHAT"], &data["events"], |event| {
        vec![text(&event["at"]), text(&event["kind"]), text(&event["text"])]
    });
    if events.is_empty() { events } else { format!("{}\n\n{events}", series_text(&data["labels"])) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_of_both_apis_are_rows() {
        let labels = json!({"alertname": "Down", "team": "db"});
        let of_api = json!([{
            "fingerprint": "f", "labels": labels, "startsAt": "T", "receivers": [{"name": "a"}, {"name": "b"}],
            "status": {"silencedBy": [], "inhibitedBy": ["x"], "mutedBy": []},
        }]);
        let shown = alerts_text(&of_api);
        assert!(shown.contains("f            inhibited  T      a,b"), "{shown}");
        let of_preview = json!([{
            "fingerprint": "f", "labels": labels, "startsAt": "T", "receivers": ["a"],
            "silencedBy": [], "inhibitedBy": [], "mutedBy": [],
        }]);
        let shown = alerts_text(&of_preview);
        assert!(shown.contains("active") && shown.contains("team=\"db\""), "{shown}");
        assert_eq!(alerts_text(&json!([])), "");
    }

    #[test]
    fn silences_say_whether_they_end_soon() {
        let silences = json!([{
            "id": "i", "state": "active", "endsAt": "T", "alerts": 3, "createdBy": "me", "comment": "disks", "expiringSoon": true,
            "matchers": [{"name": "a", "value": "b|c", "isRegex": true, "isEqual": false}],
        }]);
        let shown = silences_text(&silences);
        assert!(shown.contains("T (soon)") && shown.contains("a!~\"b|c\""), "{shown}");
    }

    #[test]
    fn fingerprints_are_hexadecimal() {
        assert!(hexadecimal("00ff").is_ok());
        assert!(hexadecimal("../x").is_err() && hexadecimal("").is_err());
    }
}

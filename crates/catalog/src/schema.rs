//! The tables. Steps are never changed, only added: files out there have taken the older ones.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::Error;

/// Each step makes the schema of its number (from 1) out of the one before.
pub(crate) const STEPS: [&str; 3] = [
    "
    CREATE TABLE silences (
        tenant TEXT NOT NULL, id TEXT NOT NULL, ends_at_ms INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (tenant, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE notifications (
        tenant TEXT NOT NULL, key TEXT NOT NULL, expires_at_ms INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (tenant, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX notifications_by_expiry ON notifications (expires_at_ms);
    CREATE TABLE alert_events (
        id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, at_ms INTEGER NOT NULL, fingerprint TEXT NOT NULL,
        kind TEXT NOT NULL, body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX alert_events_by_alert ON alert_events (tenant, fingerprint, at_ms);
    CREATE INDEX alert_events_by_time ON alert_events (at_ms);
",
    "
    CREATE TABLE alert_labels (
        tenant TEXT NOT NULL, fingerprint TEXT NOT NULL, labels TEXT NOT NULL,
        first_at_ms INTEGER NOT NULL, last_at_ms INTEGER NOT NULL,
        PRIMARY KEY (tenant, fingerprint)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX alert_labels_by_time ON alert_labels (tenant, last_at_ms);
    CREATE TABLE acks (
        tenant TEXT NOT NULL, fingerprint TEXT NOT NULL, expires_at_ms INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (tenant, fingerprint)
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE rule_groups (
        tenant TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
        changed_at_ms INTEGER NOT NULL, changed_by TEXT NOT NULL, body TEXT,
        PRIMARY KEY (tenant, namespace, name, version)
    ) STRICT, WITHOUT ROWID;
",
];

/// Takes the steps that the file has not taken, each in a transaction of its own.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let open = |source| Error::open(path, source);
    let known = STEPS.len();
    loop {
        let taken: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(open)?;
        let next = usize::try_from(taken).ok().filter(|taken| *taken <= known);
        let Some(next) = next else {
            return Err(Error::Newer { path: path.to_owned(), found: taken, known: known as i64 });
        };
        // The usual case writes nothing.
        let Some(step) = STEPS.get(next) else { return Ok(()) };
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(open)?;
        transaction.execute_batch(step).map_err(open)?;
        transaction.pragma_update(None, "user_version", taken + 1).map_err(open)?;
        transaction.commit().map_err(open)?;
    }
}

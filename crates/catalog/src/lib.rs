//! What people made, and what must not be forgotten about it: silences, who was told what, the history of alerts, rules by
//! API.
//!
//! SQLite, embedded: one file, written with full synchronisation, so that what was acknowledged survives a power cut. All
//! methods block; callers run them where blocking is allowed.
//!
//! Map: [`Catalog`] opening, silences and what was told · `alerts` what happened to alerts, and who takes care of them · `rule_groups` those of rules · `schema` the tables, and how older files become newer ones.
//!
//! Deliberately not here: what the contents mean. Rows carry their owner's JSON; columns exist for what is asked for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::TenantId;
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};

mod alerts;
mod rule_groups;
mod schema;

pub use rule_groups::{Changed, RuleGroupRow};

/// How long opening waits for another process that has the file: a Kymo that is stopping, a shell.
const BUSY_MAX: Duration = Duration::from_secs(1);

/// The catalog could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened.
    #[error("cannot open the catalog {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// Another process has it.
    #[error("{} is in use by another process; stop that, or use another directory", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A newer Kymo wrote it.
    #[error(
        "the catalog {} has schema {found}, this Kymo knows up to {known}; run the newer version again",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: i64,
        /// What we know.
        known: i64,
    },
    /// A statement failed.
    #[error("catalog: {0}")]
    Statement(#[from] rusqlite::Error),
}

impl Error {
    fn open(path: &Path, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::InUse { path: path.to_owned() }
            }
            _ => Self::Open { path: path.to_owned(), source },
        }
    }
}

/// A silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilenceRow {
    /// Its name.
    pub id: String,
    /// When it ends, in ms since the epoch.
    pub ends_at_ms: i64,
    /// All of it, as JSON.
    pub body: String,
}

/// What somebody was told last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationRow {
    /// Who and about what, as JSON in one certain form.
    pub key: String,
    /// When it is of no use any more, in ms since the epoch.
    pub expires_at_ms: i64,
    /// What, as JSON.
    pub body: String,
}

/// Something that happened to an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertEventRow {
    /// When, in ms since the epoch.
    pub at_ms: i64,
    /// To which alert.
    pub fingerprint: String,
    /// What names the alert, as JSON. Kept once an alert; empty when rows are read.
    pub labels: String,
    /// What, in a word.
    pub kind: String,
    /// The rest, as JSON.
    pub body: String,
}

/// An acknowledgement of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckRow {
    /// Of which alert.
    pub fingerprint: String,
    /// When it ends, in ms since the epoch.
    pub expires_at_ms: i64,
    /// All of it, as JSON.
    pub body: String,
}

/// The file. Shared behind an `Arc`; calls wait for one another.
#[derive(Debug)]
pub struct Catalog {
    connection: Mutex<Connection>,
}

impl Catalog {
    /// Opens the file, makes it if it is not there, and brings an older one up to date.
    ///
    /// # Errors
    /// If it cannot be opened, or a newer version wrote it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let open = |source| Error::open(path, source);
        let mut connection = Connection::open(path).map_err(open)?;
        let prepare = |connection: &Connection| {
            connection.busy_timeout(BUSY_MAX)?;
            // One process has the file. Its index is then in memory, so that a full disk keeps nobody from starting.
            connection.pragma_update(None, "locking_mode", "exclusive")?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            // An answer means that it is on disk.
            connection.pragma_update(None, "synchronous", "full")
        };
        prepare(&connection).map_err(open)?;
        schema::migrate(&mut connection, path)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// All silences of a tenant.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn silences(&self, tenant: &TenantId) -> Result<Vec<SilenceRow>, Error> {
        let connection = self.connection.lock();
        let sql = "SELECT id, ends_at_ms, body FROM silences WHERE tenant = ?1 ORDER BY id";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([tenant.as_str()], |row| {
            Ok(SilenceRow { id: row.get(0)?, ends_at_ms: row.get(1)?, body: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes silences, all or none. Once it returns they survive a crash.
    ///
    /// # Errors
    /// If they cannot be written; nothing has changed then.
    pub fn save_silences(&self, tenant: &TenantId, rows: &[SilenceRow]) -> Result<(), Error> {
        self.write(|connection| {
            let sql =
                "INSERT OR REPLACE INTO silences (tenant, id, ends_at_ms, body) VALUES (?1, ?2, ?3, ?4)";
            let mut statement = connection.prepare_cached(sql)?;
            for row in rows {
                statement.execute(params![tenant.as_str(), row.id, row.ends_at_ms, row.body])?;
            }
            Ok(())
        })
    }

    /// Forgets silences.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn delete_silences(&self, tenant: &TenantId, ids: &[String]) -> Result<(), Error> {
        self.write(|connection| {
            let mut statement =
                connection.prepare_cached("DELETE FROM silences WHERE tenant = ?1 AND id = ?2")?;
            for id in ids {
                statement.execute(params![tenant.as_str(), id])?;
            }
            Ok(())
        })
    }

    /// What was told, but for what ended before `now_ms`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn notifications(&self, tenant: &TenantId, now_ms: i64) -> Result<Vec<NotificationRow>, Error> {
        let connection = self.connection.lock();
        let sql =
            "SELECT key, expires_at_ms, body FROM notifications WHERE tenant = ?1 AND expires_at_ms > ?2";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![tenant.as_str(), now_ms], |row| {
            Ok(NotificationRow { key: row.get(0)?, expires_at_ms: row.get(1)?, body: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes what was told.
    ///
    /// # Errors
    /// If it cannot be written; nothing has changed then.
    pub fn save_notifications(&self, tenant: &TenantId, rows: &[NotificationRow]) -> Result<(), Error> {
        self.write(|connection| {
            let sql = "INSERT OR REPLACE INTO notifications (tenant, key, expires_at_ms, body) VALUES (?1, ?2, ?3, ?4)";
            let mut statement = connection.prepare_cached(sql)?;
            for row in rows {
                statement.execute(params![tenant.as_str(), row.key, row.expires_at_ms, row.body])?;
            }
            Ok(())
        })
    }

    /// Forgets what ended before `now_ms`.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn trim_notifications(&self, tenant: &TenantId, now_ms: i64) -> Result<(), Error> {
        self.write(|connection| {
            let sql = "DELETE FROM notifications WHERE tenant = ?1 AND expires_at_ms <= ?2";
            connection.execute(sql, params![tenant.as_str(), now_ms]).map(|_| ())
        })
    }

    /// All statements or none.
    fn write(&self, change: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<(), Error> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        change(&transaction)?;
        Ok(transaction.commit()?)
    }
}

#[cfg(test)]
mod tests;

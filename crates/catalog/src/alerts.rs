//! What happened to alerts, and who takes care of them.

use std::collections::HashMap;

use model::TenantId;
use rusqlite::params;

use crate::{AckRow, AlertEventRow, Catalog, Error};

impl Catalog {
    /// Writes what happened to alerts, and what names them.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add_alert_events(&self, tenant: &TenantId, rows: &[AlertEventRow]) -> Result<(), Error> {
        self.write(|connection| {
            let sql = "INSERT INTO alert_events (tenant, at_ms, fingerprint, kind, body) VALUES (?1, ?2, ?3, ?4, ?5)";
            let mut statement = connection.prepare_cached(sql)?;
            let mut alerts: HashMap<&str, (&str, i64, i64)> = HashMap::new();
            for row in rows {
                statement.execute(params![tenant.as_str(), row.at_ms, row.fingerprint, row.kind, row.body])?;
                let alert = alerts.entry(&row.fingerprint).or_insert((&row.labels, row.at_ms, row.at_ms));
                (alert.1, alert.2) = (alert.1.min(row.at_ms), alert.2.max(row.at_ms));
            }
            let sql = "INSERT INTO alert_labels (tenant, fingerprint, labels, first_at_ms, last_at_ms) \
                       VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET \
                       first_at_ms = min(first_at_ms, excluded.first_at_ms), \
                       last_at_ms = max(last_at_ms, excluded.last_at_ms)";
            let mut statement = connection.prepare_cached(sql)?;
            for (fingerprint, (labels, first_ms, last_ms)) in alerts {
                statement.execute(params![tenant.as_str(), fingerprint, labels, first_ms, last_ms])?;
            }
            Ok(())
        })
    }

    /// What happened to an alert from `start_ms` to `end_ms`, both inclusive: the newest `rows_max`, the oldest of them first.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn alert_events(
        &self,
        tenant: &TenantId,
        fingerprint: &str,
        start_ms: i64,
        end_ms: i64,
        rows_max: u32,
    ) -> Result<Vec<AlertEventRow>, Error> {
        let connection = self.connection.lock();
        let sql = "SELECT at_ms, fingerprint, kind, body FROM alert_events \
                   WHERE tenant = ?1 AND fingerprint = ?2 AND at_ms BETWEEN ?3 AND ?4 \
                   ORDER BY at_ms DESC, id DESC LIMIT ?5";
        let mut statement = connection.prepare_cached(sql)?;
        let asked = params![tenant.as_str(), fingerprint, start_ms, end_ms, rows_max];
        let rows = statement.query_map(asked, |row| {
            Ok(AlertEventRow {
                at_ms: row.get(0)?,
                fingerprint: row.get(1)?,
                labels: String::new(),
                kind: row.get(2)?,
                body: row.get(3)?,
            })
        })?;
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        rows.reverse();
        Ok(rows)
    }

    /// Names and labels of alerts to which something happened until `end_ms`, those of the newest events first. `wants` says whether to
    /// go on.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn alert_labels(
        &self,
        tenant: &TenantId,
        end_ms: i64,
        mut wants: impl FnMut(&str, &str) -> bool,
    ) -> Result<(), Error> {
        let connection = self.connection.lock();
        let sql = "SELECT fingerprint, labels FROM alert_labels WHERE tenant = ?1 AND first_at_ms <= ?2 \
                   ORDER BY last_at_ms DESC, fingerprint";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![tenant.as_str(), end_ms])?;
        while let Some(row) = rows.next()? {
            let text = |at: usize| row.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
            if !wants(text(0)?, text(1)?) {
                break;
            }
        }
        Ok(())
    }

    /// What names an alert of which something is kept.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn labels_of_alert(&self, tenant: &TenantId, fingerprint: &str) -> Result<Option<String>, Error> {
        let connection = self.connection.lock();
        let sql = "SELECT labels FROM alert_labels WHERE tenant = ?1 AND fingerprint = ?2";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![tenant.as_str(), fingerprint])?;
        Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
    }

    /// Forgets what happened before `before_ms`.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn trim_alert_events(&self, before_ms: i64) -> Result<(), Error> {
        self.write(|connection| {
            connection.execute("DELETE FROM alert_events WHERE at_ms < ?1", [before_ms])?;
            connection.execute("DELETE FROM alert_labels WHERE last_at_ms < ?1", [before_ms]).map(|_| ())
        })
    }

    /// All acknowledgements of a tenant.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn acks(&self, tenant: &TenantId) -> Result<Vec<AckRow>, Error> {
        let connection = self.connection.lock();
        let sql = "SELECT fingerprint, expires_at_ms, body FROM acks WHERE tenant = ?1 ORDER BY fingerprint";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([tenant.as_str()], |row| {
            Ok(AckRow { fingerprint: row.get(0)?, expires_at_ms: row.get(1)?, body: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes an acknowledgement. Once it returns it survives a crash.
    ///
    /// # Errors
    /// If it cannot be written; nothing has changed then.
    pub fn save_ack(&self, tenant: &TenantId, row: &AckRow) -> Result<(), Error> {
        self.write(|connection| {
            let sql = "INSERT OR REPLACE INTO acks (tenant, fingerprint, expires_at_ms, body) VALUES (?1, ?2, ?3, ?4)";
            let row = params![tenant.as_str(), row.fingerprint, row.expires_at_ms, row.body];
            connection.execute(sql, row).map(|_| ())
        })
    }

    /// Forgets acknowledgements.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn delete_acks(&self, tenant: &TenantId, fingerprints: &[String]) -> Result<(), Error> {
        self.write(|connection| {
            let mut statement =
                connection.prepare_cached("DELETE FROM acks WHERE tenant = ?1 AND fingerprint = ?2")?;
            for fingerprint in fingerprints {
                statement.execute(params![tenant.as_str(), fingerprint])?;
            }
            Ok(())
        })
    }
}

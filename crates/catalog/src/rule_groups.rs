//! Groups of rules that came by API, every change a row of its own.

use model::TenantId;
use rusqlite::{Connection, Row, params};

use crate::{Catalog, Error};

/// Of each group, so many versions are kept.
const VERSIONS_MAX: i64 = 100;

/// A version of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleGroupRow {
    /// Where others have their file.
    pub namespace: String,
    /// The group's name.
    pub name: String,
    /// Counts changes, from 1.
    pub version: i64,
    /// When it was changed, in ms since the epoch.
    pub changed_at_ms: i64,
    /// Who changed it.
    pub changed_by: String,
    /// What it says; `None`: with this version it was deleted.
    pub body: Option<String>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is this version now.
    To(i64),
    /// It is another version than expected; 0 if there is none.
    Not {
        /// The version that it has.
        found: i64,
    },
}

const COLUMNS: &str = "namespace, name, version, changed_at_ms, changed_by, body";

fn row(row: &Row<'_>) -> rusqlite::Result<RuleGroupRow> {
    Ok(RuleGroupRow {
        namespace: row.get(0)?,
        name: row.get(1)?,
        version: row.get(2)?,
        changed_at_ms: row.get(3)?,
        changed_by: row.get(4)?,
        body: row.get(5)?,
    })
}

/// The newest version, and whether it says anything.
fn newest(
    connection: &Connection,
    tenant: &TenantId,
    namespace: &str,
    name: &str,
) -> rusqlite::Result<(i64, bool)> {
    let sql = "SELECT version, body IS NOT NULL FROM rule_groups \
               WHERE tenant = ?1 AND namespace = ?2 AND name = ?3 ORDER BY version DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![tenant.as_str(), namespace, name])?;
    Ok(match rows.next()? {
        Some(row) => (row.get(0)?, row.get(1)?),
        None => (0, false),
    })
}

impl Catalog {
    /// The newest version of each group that was not deleted, by namespace and name.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn rule_groups(&self, tenant: &TenantId) -> Result<Vec<RuleGroupRow>, Error> {
        let connection = self.connection.lock();
        let sql = format!(
            "SELECT {COLUMNS} FROM rule_groups AS newest WHERE tenant = ?1 AND body IS NOT NULL AND version = ( \
                SELECT max(version) FROM rule_groups \
                WHERE tenant = ?1 AND namespace = newest.namespace AND name = newest.name) \
             ORDER BY namespace, name"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map([tenant.as_str()], row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All versions of a group that are kept, the newest first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn rule_group_versions(
        &self,
        tenant: &TenantId,
        namespace: &str,
        name: &str,
    ) -> Result<Vec<RuleGroupRow>, Error> {
        let connection = self.connection.lock();
        let sql = format!(
            "SELECT {COLUMNS} FROM rule_groups WHERE tenant = ?1 AND namespace = ?2 AND name = ?3 ORDER BY version DESC"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![tenant.as_str(), namespace, name], row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds a version of a group: what it says now, or, without a body, that it is gone. `expected` is the version that it must have (0:
    /// it must not be there). The row's own version does not matter.
    ///
    /// # Errors
    /// If it cannot be written; nothing has changed then.
    pub fn change_rule_group(
        &self,
        tenant: &TenantId,
        change: &RuleGroupRow,
        expected: Option<i64>,
    ) -> Result<Changed, Error> {
        let mut changed = Changed::Not { found: 0 };
        self.write(|connection| {
            let (newest, is_there) = newest(connection, tenant, &change.namespace, &change.name)?;
            let found = if is_there { newest } else { 0 };
            let is_nothing = change.body.is_none() && !is_there;
            if is_nothing || expected.is_some_and(|expected| expected != found) {
                changed = Changed::Not { found };
                return Ok(());
            }
            let version = newest + 1;
            let sql = "INSERT INTO rule_groups (tenant, namespace, name, version, changed_at_ms, changed_by, body) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            connection.prepare_cached(sql)?.execute(params![
                tenant.as_str(),
                change.namespace,
                change.name,
                version,
                change.changed_at_ms,
                change.changed_by,
                change.body
            ])?;
            let sql = "DELETE FROM rule_groups WHERE tenant = ?1 AND namespace = ?2 AND name = ?3 AND version <= ?4";
            connection.prepare_cached(sql)?.execute(params![
                tenant.as_str(),
                change.namespace,
                change.name,
                version - VERSIONS_MAX
            ])?;
            changed = Changed::To(version);
            Ok(())
        })?;
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(namespace: &str, name: &str, body: Option<&str>) -> RuleGroupRow {
        RuleGroupRow {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            version: 0,
            changed_at_ms: 5,
            changed_by: "me".to_owned(),
            body: body.map(str::to_owned),
        }
    }

    #[test]
    fn every_change_is_a_version_and_the_newest_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("catalog.sqlite");
        let tenant = TenantId::anonymous();
        let catalog = Catalog::open(&path).expect("opened");
        let put = |catalog: &Catalog, name: &str, body: Option<&str>, expected| {
            catalog.change_rule_group(&tenant, &change("n", name, body), expected).expect("written")
        };
        assert_eq!(put(&catalog, "a", None, None), Changed::Not { found: 0 });
        assert_eq!(put(&catalog, "a", Some("1"), Some(0)), Changed::To(1));
        assert_eq!(put(&catalog, "a", Some("x"), Some(0)), Changed::Not { found: 1 });
        assert_eq!(put(&catalog, "a", Some("2"), Some(1)), Changed::To(2));
        assert_eq!(put(&catalog, "b", Some("3"), None), Changed::To(1));
        drop(catalog);
        let catalog = Catalog::open(&path).expect("opened again");
        let bodies = |catalog: &Catalog| {
            let rows = catalog.rule_groups(&tenant).expect("read");
            rows.into_iter().map(|row| (row.name, row.version, row.body)).collect::<Vec<_>>()
        };
        let row = |name: &str, version, body: &str| (name.to_owned(), version, Some(body.to_owned()));
        assert_eq!(bodies(&catalog), [row("a", 2, "2"), row("b", 1, "3")]);
        assert_eq!(put(&catalog, "a", None, Some(2)), Changed::To(3));
        assert_eq!(bodies(&catalog), [row("b", 1, "3")]);
        assert_eq!(put(&catalog, "a", Some("4"), Some(0)), Changed::To(4));
        let versions = catalog.rule_group_versions(&tenant, "n", "a").expect("read");
        let versions: Vec<_> = versions.into_iter().map(|row| (row.version, row.body)).collect();
        let body = |body: &str| Some(body.to_owned());
        assert_eq!(versions, [(4, body("4")), (3, None), (2, body("2")), (1, body("1"))]);
        assert!(catalog.rule_groups(&TenantId::new("other").expect("a name")).expect("read").is_empty());
    }

    #[test]
    fn old_versions_are_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let catalog = Catalog::open(&folder.path().join("catalog.sqlite")).expect("opened");
        let tenant = TenantId::anonymous();
        for _ in 0..VERSIONS_MAX + 3 {
            catalog.change_rule_group(&tenant, &change("n", "a", Some("x")), None).expect("written");
        }
        let versions = catalog.rule_group_versions(&tenant, "n", "a").expect("read");
        assert_eq!(versions.len() as i64, VERSIONS_MAX);
        assert_eq!(versions[0].version, VERSIONS_MAX + 3);
    }
}

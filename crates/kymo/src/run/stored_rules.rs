//! Rules that came by API: kept in the catalog, in force beside those of files.

use std::sync::Arc;

use catalog::{Catalog, Changed, RuleGroupRow};
use model::TenantId;
use parking_lot::Mutex;
use rules::file::RuleFile;
use rules::stored::{Change, StoredError, StoredGroup, StoredRules, group_json, parse_group};
use stdx::clock::Clock;

/// More groups are not kept.
const GROUPS_MAX: usize = 10_000;

/// Rules of the default tenant: others have none.
pub(super) struct CatalogRules {
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    rules: rules::Handle,
    /// What the configuration says, without what came by API. Held while rules change, so that changes come one by one.
    files: Mutex<rules::Settings>,
}

impl CatalogRules {
    /// Rules that run already: see [`with_stored`].
    pub(super) fn new(
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
        rules: rules::Handle,
        files: rules::Settings,
    ) -> Self {
        Self { catalog, clock, rules, files: Mutex::new(files) }
    }

    /// Goes on with other rules of files.
    pub(super) fn reload(&self, files: rules::Settings) -> Result<(), String> {
        let mut current = self.files.lock();
        let all = with_stored(&self.catalog, &files).map_err(|error| error.to_string())?;
        self.rules.reload(&all).map_err(|error| format!("rule_files: {error}"))?;
        *current = files;
        Ok(())
    }

    fn put_in_force(&self, files: &rules::Settings) -> Result<(), StoredError> {
        let all = with_stored(&self.catalog, files)?;
        self.rules.reload(&all).map_err(|error| StoredError::Store(error.to_string()))
    }

    fn check(&self, tenant: &TenantId) -> Result<(), StoredError> {
        if *tenant == TenantId::anonymous() {
            return Ok(());
        }
        Err(StoredError::Refused("rules belong to the default tenant; others have none".to_owned()))
    }

    /// Writes a change; it is not in force yet.
    fn write(&self, change: Change) -> Result<i64, StoredError> {
        let is_deletion = change.spec.is_none();
        let row = RuleGroupRow {
            namespace: change.namespace,
            name: change.name,
            version: 0,
            changed_at_ms: self.clock.now_ms(),
            changed_by: change.by,
            body: change.spec.as_ref().map(group_json),
        };
        match self.catalog.change_rule_group(&TenantId::anonymous(), &row, change.expected).map_err(failed)? {
            Changed::To(version) => Ok(version),
            Changed::Not { found: 0 } if is_deletion => Err(StoredError::Missing),
            Changed::Not { found } => {
                Err(StoredError::Conflict { found, expected: change.expected.unwrap_or_default() })
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what errors are mapped with")]
fn failed(error: catalog::Error) -> StoredError {
    StoredError::Store(error.to_string())
}

/// A group as it is kept. One that cannot be read is reported and left out.
fn read(row: RuleGroupRow) -> Option<StoredGroup> {
    let spec = match row.body.as_deref().map(parse_group).transpose() {
        Ok(spec) => spec,
        Err(faults) => {
            let (namespace, group) = (&row.namespace, &row.name);
            let error = faults.first().map(ToString::to_string).unwrap_or_default();
            tracing::error!(
                namespace,
                group,
                error,
                "the catalog holds a group of rules that cannot be used"
            );
            return None;
        }
    };
    Some(StoredGroup {
        namespace: row.namespace,
        name: row.name,
        version: row.version,
        changed_at_ms: row.changed_at_ms,
        changed_by: row.changed_by,
        spec,
    })
}

fn groups(catalog: &Catalog) -> Result<Vec<StoredGroup>, StoredError> {
    let rows = catalog.rule_groups(&TenantId::anonymous()).map_err(failed)?;
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Rules of files, and those that came by API.
pub(super) fn with_stored(
    catalog: &Catalog,
    files: &rules::Settings,
) -> Result<rules::Settings, StoredError> {
    let mut all = files.clone();
    for same in groups(catalog)?.chunk_by(|a, b| a.namespace == b.namespace) {
        let namespace = &same[0].namespace;
        if files.files.iter().any(|(file, _)| file == namespace) {
            tracing::error!(
                namespace,
                "rules by API are not in force: a rule file has the name of their namespace"
            );
            continue;
        }
        let groups = same.iter().filter_map(|group| group.spec.clone()).collect();
        all.files.push((namespace.clone(), Arc::new(RuleFile { groups })));
    }
    Ok(all)
}

impl StoredRules for CatalogRules {
    fn groups(&self, tenant: &TenantId) -> Result<Vec<StoredGroup>, StoredError> {
        if self.check(tenant).is_err() { Ok(Vec::new()) } else { groups(&self.catalog) }
    }

    fn versions(
        &self,
        tenant: &TenantId,
        namespace: &str,
        name: &str,
    ) -> Result<Vec<StoredGroup>, StoredError> {
        self.check(tenant).map_err(|_| StoredError::Missing)?;
        let rows = self.catalog.rule_group_versions(tenant, namespace, name).map_err(failed)?;
        if rows.is_empty() {
            Err(StoredError::Missing)
        } else {
            Ok(rows.into_iter().filter_map(read).collect())
        }
    }

    fn change(&self, tenant: &TenantId, change: Change) -> Result<i64, StoredError> {
        self.check(tenant)?;
        let files = self.files.lock();
        if change.spec.is_some() {
            if files.files.iter().any(|(file, _)| *file == change.namespace) {
                let text =
                    format!("{:?} is the name of a rule file; take another namespace", change.namespace);
                return Err(StoredError::Refused(text));
            }
            let known = groups(&self.catalog)?;
            let is_new = !known
                .iter()
                .any(|group| (&group.namespace, &group.name) == (&change.namespace, &change.name));
            if is_new && known.len() >= GROUPS_MAX {
                return Err(StoredError::Refused(format!(
                    "there are {GROUPS_MAX} groups already; delete some first"
                )));
            }
        }
        let version = self.write(change)?;
        self.put_in_force(&files)?;
        Ok(version)
    }

    fn delete_namespace(&self, tenant: &TenantId, namespace: &str, by: &str) -> Result<usize, StoredError> {
        self.check(tenant).map_err(|_| StoredError::Missing)?;
        let files = self.files.lock();
        let mut count = 0;
        for group in groups(&self.catalog)?.into_iter().filter(|group| group.namespace == namespace) {
            let by = by.to_owned();
            self.write(Change {
                namespace: group.namespace,
                name: group.name,
                spec: None,
                expected: None,
                by,
            })?;
            count += 1;
        }
        if count == 0 {
            return Err(StoredError::Missing);
        }
        self.put_in_force(&files)?;
        Ok(count)
    }
}

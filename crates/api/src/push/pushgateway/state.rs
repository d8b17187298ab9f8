//! Groups of text pushes on disk: a JSON file a group, replaced as a whole.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use model::number::{FloatFormat, format_float_as, parse_float};
use model::{Labels, Metadata, MetricType, TenantId};
use serde_json::{Value, json};
use stdx::fs::{Fs, create_dir_durably, read, write_atomic};

use super::families::Family;
use super::groups::{Group, GroupKey};
use crate::error::{ApiError, ErrorType};

/// The folder with the files.
#[derive(Debug)]
pub(crate) struct StateFiles {
    fs: Arc<dyn Fs>,
    directory: PathBuf,
}

impl StateFiles {
    /// The files of a folder, which is made if it is missing.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn open(fs: Arc<dyn Fs>, directory: PathBuf) -> std::io::Result<Self> {
        create_dir_durably(fs.as_ref(), &directory)?;
        Ok(Self { fs, directory })
    }

    fn path(&self, file: u64) -> PathBuf {
        self.directory.join(format!("{file}.json"))
    }

    /// All groups. A file that cannot be read is left where it is, and logged.
    pub(super) fn load(&self) -> BTreeMap<GroupKey, Group> {
        let mut groups = BTreeMap::new();
        let entries = self.fs.read_dir(&self.directory).unwrap_or_else(|error| {
            tracing::error!(%error, directory = %self.directory.display(), "pushed groups cannot be listed");
            Vec::new()
        });
        for entry in entries {
            let Some(file) = entry.name.strip_suffix(".json").and_then(|number| number.parse().ok()) else {
                continue;
            };
            let loaded = read(self.fs.as_ref(), &self.path(file)).map_err(|error| error.to_string());
            let parsed = loaded.and_then(|bytes| {
                let tree = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
                from_json(&tree, file).ok_or_else(|| "it is not a pushed group".to_owned())
            });
            match parsed {
                Ok((key, group)) => drop(groups.insert(key, group)),
                Err(error) => tracing::error!(error, file = entry.name, "a pushed group cannot be read"),
            }
        }
        groups
    }

    /// Keeps a group; it is there after a crash.
    ///
    /// # Errors
    /// 503 if it cannot be written.
    pub(super) fn save(&self, key: &GroupKey, group: &Group) -> Result<(), ApiError> {
        let text = as_json(key, group).to_string();
        write_atomic(self.fs.as_ref(), &self.path(group.file), text.as_bytes()).map_err(|e| unavailable(&e))
    }

    /// Forgets a group.
    ///
    /// # Errors
    /// 503 if its file cannot be removed.
    pub(super) fn remove(&self, file: u64) -> Result<(), ApiError> {
        let removed = self.fs.remove_file(&self.path(file)).and_then(|()| self.fs.sync_dir(&self.directory));
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unavailable(&error)),
            _ => Ok(()),
        }
    }
}

fn unavailable(error: &std::io::Error) -> ApiError {
    ApiError::new(ErrorType::Unavailable, format!("the group cannot be kept on disk: {error}"))
}

fn as_json(key: &GroupKey, group: &Group) -> Value {
    let pairs = |labels: &Labels| labels.iter().map(|(name, value)| json!([name, value])).collect::<Vec<_>>();
    let families = group.families.iter().map(|(name, family)| {
        let samples = family.samples.iter();
        let samples =
            samples.map(|(labels, value)| json!([pairs(labels), format_float_as(*value, FloatFormat::Json)]));
        json!({
            "name": name,
            "type": family.metadata.metric_type.as_str(),
            "help": family.metadata.help,
            "unit": family.metadata.unit,
            "pushed_ms": family.pushed_ms,
            "samples": samples.collect::<Vec<_>>(),
        })
    });
    json!({
        "tenant": key.tenant.as_str(),
        "labels": pairs(&key.labels),
        "push_ms": group.push_ms,
        "failure_ms": group.failure_ms,
        "ttl_ms": group.ttl_ms,
        "families": families.collect::<Vec<_>>(),
    })
}

fn from_json(tree: &Value, file: u64) -> Option<(GroupKey, Group)> {
    let labels = |pairs: &Value| {
        let pairs = pairs.as_array()?.iter().map(|pair| Some((pair[0].as_str()?, pair[1].as_str()?)));
        Some(Labels::from_pairs(pairs.collect::<Option<Vec<_>>>()?))
    };
    let key =
        GroupKey { tenant: TenantId::new(tree["tenant"].as_str()?).ok()?, labels: labels(&tree["labels"])? };
    let mut group = Group {
        push_ms: tree["push_ms"].as_i64()?,
        failure_ms: tree["failure_ms"].as_i64()?,
        ttl_ms: tree["ttl_ms"].as_i64(),
        file,
        ..Group::default()
    };
    for family in tree["families"].as_array()? {
        let samples = family["samples"]
            .as_array()?
            .iter()
            .map(|sample| Some((labels(&sample[0])?, parse_float(sample[1].as_str()?.as_bytes()).ok()?)));
        let text = |name: &str| family[name].as_str().map(str::to_owned);
        let metric_type: MetricType = serde_json::from_value(family["type"].clone()).unwrap_or_default();
        let metadata = Metadata { metric_type, help: text("help")?, unit: text("unit")? };
        let pushed_ms = family["pushed_ms"].as_i64()?;
        group
            .families
            .insert(text("name")?, Family { metadata, pushed_ms, samples: samples.collect::<Option<_>>()? });
    }
    Some((key, group))
}

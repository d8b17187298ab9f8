//! What a configuration file says about where targets come from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::LazyLock;

use http_client::InvalidSettings;
use model::time::DurationMs;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use crate::mechanism;

mod unbuilt;

pub use crate::mechanism::Mechanism;

/// Targets of one job, from all the mechanisms that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Targets written into the configuration itself.
    pub static_configs: Vec<StaticGroup>,
    /// Targets in files.
    pub file_sd_configs: Vec<FileSd>,
    /// All other mechanisms.
    pub mechanisms: Vec<Mechanism>,
    /// Keys of mechanisms that the file names and Kymo does not have yet; their targets are missing.
    pub unsupported: Vec<&'static str>,
}

/// A group of targets written into the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StaticGroup {
    /// Their `__address__`es.
    pub targets: Vec<String>,
    /// Labels of each.
    pub labels: BTreeMap<String, String>,
}

/// Targets in files, read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileSd {
    /// Patterns of file names; `*` only in the last part, which ends in `.json`, `.yml` or `.yaml`.
    pub files: Vec<String>,
    /// How often they are read even if no change was noticed. Default 5 min.
    pub refresh_interval: DurationMs,
}

impl Default for FileSd {
    fn default() -> Self {
        Self { files: Vec::new(), refresh_interval: DurationMs(300_000) }
    }
}

/// What the sections that name targets have in common: where they come from, and how they are reached.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Section {
    /// Where targets come from.
    pub discovery: Settings,
    /// How they are reached: all other keys.
    pub http: http_client::Settings,
}

/// The keys of [`Section`]; `*` stands for those of the HTTP client.
static KEYS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let built = ["*", "static_configs", "file_sd_configs"].iter().chain(mechanism::KEYS).copied();
    built.chain(unbuilt::keys()).collect()
});

impl<'de> Deserialize<'de> for Section {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Section", &KEYS, SectionVisitor)
    }
}

struct SectionVisitor;

impl<'de> Visitor<'de> for SectionVisitor {
    type Value = Section;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Section, A::Error> {
        let mut section = Section::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "*" => section.http = map.next_value()?,
                "static_configs" => section.discovery.static_configs = map.next_value()?,
                "file_sd_configs" => section.discovery.file_sd_configs = map.next_value()?,
                other => {
                    if let Some(sections) = mechanism::read(other, &mut map)? {
                        section.discovery.mechanisms.extend(sections);
                        continue;
                    }
                    let seed = unbuilt::seed(other).ok_or_else(|| de::Error::unknown_field(other, &[]))?;
                    let known = unbuilt::keys().find(|key| *key == other);
                    if map.next_value_seed(seed)? > 0 {
                        section.discovery.unsupported.extend(known);
                    }
                }
            }
        }
        Ok(section)
    }
}

impl Section {
    /// Makes relative paths relative to `directory` instead of where the process runs.
    pub fn set_directory(&mut self, directory: &Path) {
        self.http.set_directory(directory);
        for file in self.discovery.file_sd_configs.iter_mut().flat_map(|config| &mut config.files) {
            *file = directory.join(&*file).to_string_lossy().into_owned();
        }
        for mechanism in &mut self.discovery.mechanisms {
            mechanism.set_directory(directory);
        }
    }

    /// Checks what a type cannot. `relabelled`: rules could still make addresses of what are none.
    ///
    /// # Errors
    /// The first fault, in Prometheus' words.
    pub fn check(&self, relabelled: bool) -> Result<(), InvalidSettings> {
        self.http.check()?;
        self.discovery.check(relabelled)
    }
}

impl Settings {
    fn check(&self, relabelled: bool) -> Result<(), InvalidSettings> {
        for (i, group) in self.static_configs.iter().enumerate() {
            group.check(relabelled).map_err(|e| e.within(i).within("static_configs"))?;
        }
        for (i, file) in self.file_sd_configs.iter().enumerate() {
            file.check().map_err(|e| e.within(i).within("file_sd_configs"))?;
        }
        let mut before: Option<(&str, usize)> = None;
        for mechanism in &self.mechanisms {
            let key = mechanism.key();
            let i = before.filter(|(of, _)| *of == key).map_or(0, |(_, i)| i + 1);
            mechanism.check().map_err(|e| e.within(i).within(key))?;
            before = Some((key, i));
        }
        Ok(())
    }
}

impl StaticGroup {
    fn check(&self, relabelled: bool) -> Result<(), InvalidSettings> {
        if self.labels.contains_key("") {
            return Err(InvalidSettings::at(["labels", ""], "\"\" is not a valid label name"));
        }
        for (i, target) in self.targets.iter().enumerate() {
            if !relabelled && target.contains('/') {
                let message =
                    format!("{target:?} is not a valid hostname; leave out the scheme and the path");
                return Err(InvalidSettings::at(["targets", &i.to_string()], message));
            }
        }
        Ok(())
    }
}

impl FileSd {
    fn check(&self) -> Result<(), InvalidSettings> {
        if self.files.is_empty() {
            return Err(InvalidSettings::at(
                ["files"],
                "file service discovery config must contain at least one path name",
            ));
        }
        for (i, pattern) in self.files.iter().enumerate() {
            if !is_file_pattern(pattern) {
                let message = format!("path name {pattern:?} is not valid for file discovery");
                return Err(InvalidSettings::at(["files", &i.to_string()], message));
            }
        }
        Ok(())
    }
}

/// Whether a pattern has `*` only in its last part and ends as target files do.
fn is_file_pattern(pattern: &str) -> bool {
    let (directory, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let stem = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending));
    !directory.contains('*') && stem.is_some()
}

#[cfg(test)]
mod tests;

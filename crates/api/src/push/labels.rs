//! Labels of a series on their way from a protocol's words into a batch.

use model::{LabelsBuilder, METRIC_NAME};
use storage::{BatchSeries, WriteBatch};

use crate::error::ApiError;
use crate::params::Params;

/// Collects the labels of one series after the other; allocates nothing once its buffers have grown.
#[derive(Debug, Default)]
pub(crate) struct SeriesLabels {
    builder: LabelsBuilder,
    /// Labels that each series gets, whatever the client says.
    extra: Vec<(String, String)>,
}

/// The parameters `extra_label=NAME=VALUE`, each of which all series of a request get.
pub(crate) fn extra_labels(params: &Params) -> Result<Vec<(String, String)>, ApiError> {
    let pair = |text: &str| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && name != METRIC_NAME => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(ApiError::invalid_parameter("extra_label", format_args!("{text:?} is not NAME=VALUE"))),
    };
    params.all("extra_label").map(pair).collect()
}

impl SeriesLabels {
    pub(crate) fn new(extra: Vec<(String, String)>) -> Self {
        Self { builder: LabelsBuilder::new(), extra }
    }

    /// Begins a series.
    pub(crate) fn begin(&mut self) {
        self.builder.clear();
        for (name, value) in &self.extra {
            self.builder.set(name, value);
        }
    }

    /// Adds a label. An empty value means that it is absent.
    ///
    /// # Errors
    /// If it is there already, or is the metric's name.
    pub(crate) fn add(&mut self, name: &str, value: &str) -> Result<(), String> {
        if name == METRIC_NAME {
            return Err(format!("a label must not be called {METRIC_NAME}"));
        }
        if self.builder.get(name).is_some() {
            return match self.extra.iter().any(|(extra, _)| extra == name) {
                true => Ok(()),
                false => Err(format!("label name {name:?} is not unique")),
            };
        }
        self.builder.set(name, value);
        Ok(())
    }

    /// Adds a label unless one of its name is there.
    pub(crate) fn add_default(&mut self, name: &str, value: &str) {
        if self.builder.get(name).is_none() {
            self.builder.set(name, value);
        }
    }

    /// The series of this metric with the labels so far; more metrics may follow.
    pub(crate) fn series(&mut self, metric: &str, batch: &mut WriteBatch) -> BatchSeries {
        self.builder.set(METRIC_NAME, metric);
        batch.add_series_with(|packed| self.builder.pack_into(packed))
    }
}

/// A name in which every character that Prometheus' names do not have is `_`.
pub(crate) fn usual_name(text: &str, colons: bool, name: &mut String) {
    name.clear();
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        name.push('_');
    }
    name.extend(text.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':') => c,
        _ => '_',
    }));
}

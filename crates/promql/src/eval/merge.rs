//! Series that end up with the same labels: one series, if no two of them have a sample at the same step.

use hashbrown::HashMap;

use model::{Labels, METRIC_NAME};

use crate::error::QueryError;

use super::column::Series;

/// Labels that describe the metric rather than the series: dropped where a result is another metric.
pub(crate) const METADATA_LABELS: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// Whether a label is one of [`METADATA_LABELS`].
pub(crate) fn is_metadata_label(name: &str) -> bool {
    METADATA_LABELS.contains(&name)
}

/// Labels without name, type and unit.
pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    if labels.iter().any(|(name, _)| is_metadata_label(name)) {
        labels.without(is_metadata_label)
    } else {
        labels.clone()
    }
}

/// Two samples with the same labels at the same time.
pub(crate) fn same_labelset() -> QueryError {
    QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned())
}

/// Merges series with equal labels, which keep the place of the first of them. A name that is still to be dropped is
/// not equal to one that stays: `a or -a` has both.
///
/// # Errors
/// If two have a sample at the same step.
pub(crate) fn merge_same_labels(series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    if series.len() < 2 {
        return Ok(series);
    }
    let mut places_of = [HashMap::<Labels, usize>::with_capacity(series.len()), HashMap::new()];
    let mut merged: Vec<Series> = Vec::with_capacity(series.len());
    for one in series.into_iter().filter(|one| one.column.present.any()) {
        let loses_name = one.drop_name && one.labels.iter().any(|(name, _)| is_metadata_label(name));
        let places = &mut places_of[usize::from(loses_name)];
        match places.get(one.labels.packed()) {
            None => {
                places.insert(one.labels.clone(), merged.len());
                merged.push(one);
            }
            Some(place) => absorb(&mut merged[*place], &one)?,
        }
    }
    Ok(merged)
}

fn absorb(into: &mut Series, other: &Series) -> Result<(), QueryError> {
    if into.column.present.first_common(&other.column.present).is_some() {
        return Err(same_labelset());
    }
    // The earliest sample says whether the name is dropped, as in an evaluation step by step.
    if other.column.present.first() < into.column.present.first() {
        into.drop_name = other.drop_name;
    }
    into.column.absorb(&other.column);
    Ok(())
}

/// Drops the name now if it is to be dropped.
pub(crate) fn settle_name(series: &mut Series) {
    if std::mem::take(&mut series.drop_name) {
        series.labels = without_metadata(&series.labels);
    }
}

/// The end of a query: drops the names that are to be dropped.
///
/// # Errors
/// If two samples then have the same labels.
pub(crate) fn finish(mut series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    series.iter_mut().for_each(settle_name);
    merge_same_labels(series)
}

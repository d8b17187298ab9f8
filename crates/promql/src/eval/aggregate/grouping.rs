//! Which group a series belongs to.

use hashbrown::HashMap;

use model::{Labels, LabelsRef, METRIC_NAME};

/// The groups of an aggregation, numbered as they appear.
pub(super) struct Groups<'a> {
    grouping: &'a [String],
    without: bool,
    numbers: HashMap<Labels, usize>,
    labels: Vec<(Labels, bool)>,
    text: String,
}

impl<'a> Groups<'a> {
    /// `grouping` must be sorted.
    pub(super) fn new(grouping: &'a [String], without: bool) -> Self {
        Self { grouping, without, numbers: HashMap::new(), labels: Vec::new(), text: String::new() }
    }

    /// The group of a series, and whether it is a new one. The name is dropped from a group's labels in the end
    /// if it is from any of its series'.
    pub(super) fn of(&mut self, labels: &Labels, drop_name: bool) -> (usize, bool) {
        self.text.clear();
        for (name, value) in labels {
            let named = self.grouping.binary_search_by(|known| known.as_str().cmp(name)).is_ok();
            let kept = if self.without { !named && name != METRIC_NAME } else { named };
            if kept {
                model::labels::pack(&mut self.text, name, value);
            }
        }
        if let Some(number) = self.numbers.get(self.text.as_str()) {
            self.labels[*number].1 |= drop_name;
            return (*number, false);
        }
        let number = self.labels.len();
        let group = LabelsRef::from_packed_trusted(&self.text).to_labels();
        self.numbers.insert(group.clone(), number);
        self.labels.push((group, drop_name));
        (number, true)
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Labels of the groups, and whether the name is dropped from them in the end.
    pub(super) fn into_labels(self) -> Vec<(Labels, bool)> {
        self.labels
    }
}

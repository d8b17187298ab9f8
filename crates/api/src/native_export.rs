//! Everything of some series in Kymo's own form of export ([`wire::native`]): samples of both kinds with their starts, then exemplars
//! and what is known about the families. The server and the command line write it alike.

use std::collections::BTreeSet;

use model::{Exemplar, FloatHistogram, Labels, Matcher, TenantId};
use storage::{Error, Querier, SeriesSamples};
use wire::native::{self, Writer};

/// Floats, and native histograms, of a series that go in at a time.
const FLOATS_MAX: usize = 10_000;
const HISTOGRAMS_MAX: usize = 100;

/// An export that is being made.
#[derive(Debug, Default)]
pub struct Everything {
    writer: Writer,
    /// Names of the series that were added: their families are described at the end.
    names: BTreeSet<String>,
    floats: Vec<(i64, f64, i64)>,
    histograms: Vec<(i64, FloatHistogram, i64)>,
}

impl Everything {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series with its samples.
    pub fn add(&mut self, labels: &Labels, samples: &SeriesSamples) {
        let name = labels.metric_name();
        if !self.names.contains(name) {
            self.names.insert(name.to_owned());
        }
        let column = &samples.floats;
        for from in (0..column.values.len()).step_by(FLOATS_MAX) {
            let range = from..(from + FLOATS_MAX).min(column.values.len());
            self.floats.clear();
            self.floats
                .extend(range.map(|at| (column.timestamps_ms[at], column.values[at], column.starts.get(at))));
            self.writer.series(labels.as_ref(), &self.floats, &[], &[]);
        }
        let column = &samples.histograms;
        for from in (0..column.values.len()).step_by(HISTOGRAMS_MAX) {
            let range = from..(from + HISTOGRAMS_MAX).min(column.values.len());
            self.histograms.clear();
            self.histograms.extend(range.map(|at| {
                (column.timestamps_ms[at], column.values[at].as_ref().clone(), column.starts.get(at))
            }));
            self.writer.series(labels.as_ref(), &[], &self.histograms, &[]);
        }
    }

    /// How many bytes are ready to be taken.
    pub fn ready_bytes(&self) -> usize {
        self.writer.ready_bytes()
    }

    /// Bytes that are ready.
    pub fn take(&mut self) -> Vec<u8> {
        self.writer.take()
    }

    /// Adds exemplars of the same selection, and what is known about the families; the last bytes.
    ///
    /// # Errors
    /// If storage cannot tell.
    pub fn finish(
        mut self,
        querier: &dyn Querier,
        tenant: &TenantId,
        matcher_sets: &[Vec<Matcher>],
        (start_ms, end_ms): (i64, i64),
    ) -> Result<Vec<u8>, Error> {
        for series in querier.exemplars(tenant, matcher_sets, start_ms, end_ms)? {
            let exemplars: &[Exemplar] = &series.exemplars;
            self.writer.series(series.labels.as_ref(), &[], &[], exemplars);
        }
        for (family, all) in querier.metadata(tenant, None)? {
            if !self.describes(&family) {
                continue;
            }
            for metadata in &all {
                self.writer.metadata(&family, metadata);
            }
        }
        Ok(self.writer.finish())
    }

    /// Whether a series of this family was added. Names that begin alike stand together.
    fn describes(&self, family: &str) -> bool {
        let from =
            self.names.range::<str, _>((std::ops::Bound::Included(family), std::ops::Bound::Unbounded));
        from.take_while(|name| name.starts_with(family)).any(|name| native::is_family_of(family, name))
    }
}

//! Selectors with alternatives (`{a="b" or c="d"}`): one set of series out of the answers to several requests.

use model::{Labels, Matcher};
use storage::{ReadSources, SelectRequest, SeriesSamples, SeriesSet};

use crate::error::QueryError;

use super::{Evaluator, storage_error};

/// The series of several sets, each once.
struct Union {
    sets: Vec<Box<dyn SeriesSet>>,
    /// Set and place of each series, sorted by labels.
    places: Vec<(usize, usize)>,
}

impl SeriesSet for Union {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn labels(&self, at: usize) -> &Labels {
        let (set, place) = self.places[at];
        self.sets[set].labels(place)
    }

    fn read(&self, at: usize, into: &mut SeriesSamples) -> Result<(), storage::Error> {
        let (set, place) = self.places[at];
        self.sets[set].read(place, into)
    }

    fn sources(&self) -> ReadSources {
        let mut sum = ReadSources::default();
        self.sets.iter().for_each(|set| sum.add(&set.sources()));
        sum
    }
}

impl Evaluator<'_> {
    /// Asks storage for the series of `request`, and for those of each alternative to its matchers.
    pub(super) fn select_alternatives(
        &self,
        alternatives: &[Vec<Matcher>],
        request: &SelectRequest<'_>,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        let mut sets = Vec::with_capacity(alternatives.len() + 1);
        for matchers in std::iter::once(request.matchers).chain(alternatives.iter().map(Vec::as_slice)) {
            self.check()?;
            let request = SelectRequest { matchers, ..*request };
            sets.push(self.querier.select(self.tenant, &request, &self.context).map_err(storage_error)?);
        }
        let mut places: Vec<(usize, usize)> = sets
            .iter()
            .enumerate()
            .flat_map(|(at, set)| (0..set.len()).map(move |place| (at, place)))
            .collect();
        places.sort_by(|a, b| sets[a.0].labels(a.1).cmp(sets[b.0].labels(b.1)));
        places.dedup_by(|a, b| sets[a.0].labels(a.1) == sets[b.0].labels(b.1));
        Ok(Box::new(Union { sets, places }))
    }
}

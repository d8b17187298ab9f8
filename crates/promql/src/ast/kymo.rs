//! Kymo's own aggregations. Their words mean something only in front of `(`, `by` and `without`, where
//! Prometheus would refuse them; everywhere else they are names of metrics and labels.

/// By what of a whole series `topk_…` and `bottomk_…` rank it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is what it says")]
pub enum RankBy {
    Max,
    Min,
    Avg,
    Last,
}

/// Kymo's aggregations; names and meanings are those of MetricsQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KymoAggregate {
    /// `median`: the 0.5-quantile.
    Median,
    /// `share`: each series' part of the group's sum.
    Share,
    /// `zscore`: how many standard deviations each series is away from the group's mean.
    ZScore,
    /// `outliers_iqr`: the series that leave the quartiles of their group by more than 1.5 times their distance.
    OutliersIqr,
    /// `topk_max(3, x)`: the series with the largest maximum over the whole query.
    TopK(RankBy),
    /// `bottomk_max(3, x)`: the series with the smallest.
    BottomK(RankBy),
}

/// All of them, with their words.
pub const KYMO_AGGREGATES: &[(&str, KymoAggregate)] = &[
    ("median", KymoAggregate::Median),
    ("share", KymoAggregate::Share),
    ("zscore", KymoAggregate::ZScore),
    ("outliers_iqr", KymoAggregate::OutliersIqr),
    ("topk_max", KymoAggregate::TopK(RankBy::Max)),
    ("topk_min", KymoAggregate::TopK(RankBy::Min)),
    ("topk_avg", KymoAggregate::TopK(RankBy::Avg)),
    ("topk_last", KymoAggregate::TopK(RankBy::Last)),
    ("bottomk_max", KymoAggregate::BottomK(RankBy::Max)),
    ("bottomk_min", KymoAggregate::BottomK(RankBy::Min)),
    ("bottomk_avg", KymoAggregate::BottomK(RankBy::Avg)),
    ("bottomk_last", KymoAggregate::BottomK(RankBy::Last)),
];

impl KymoAggregate {
    /// The aggregation of a word, in any case.
    pub fn of_word(word: &str) -> Option<Self> {
        KYMO_AGGREGATES.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, op)| *op)
    }

    /// Its word.
    pub fn as_str(self) -> &'static str {
        KYMO_AGGREGATES.iter().find(|(_, op)| *op == self).map_or("", |(word, _)| word)
    }

    /// Whether it takes a number of series in front of what it aggregates.
    pub fn has_param(self) -> bool {
        matches!(self, Self::TopK(_) | Self::BottomK(_))
    }

    /// Whether a step's result depends on the other steps of the query.
    pub fn sees_all_steps(self) -> bool {
        matches!(self, Self::TopK(_) | Self::BottomK(_) | Self::OutliersIqr)
    }
}

//! What a query yields, in the shapes the API prints.

use std::sync::Arc;

use model::{FloatHistogram, Labels};

use crate::engine::PlanNode;
use crate::eval::ledger::Charge;

/// The result of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number at a time.
    Scalar {
        /// When.
        timestamp_ms: i64,
        /// What.
        value: f64,
    },
    /// A text at a time.
    String {
        /// When.
        timestamp_ms: i64,
        /// What.
        value: String,
    },
    /// One sample for each label set, in the order the query gives.
    Vector(Vec<VectorSample>),
    /// Samples over time for each label set; range queries are sorted by labels.
    Matrix(Vec<MatrixSeries>),
}

/// One sample of a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSample {
    /// Whose it is.
    pub labels: Labels,
    /// When.
    pub timestamp_ms: i64,
    /// What.
    pub value: SampleValue,
}

/// A float or a native histogram.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleValue {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

/// One series of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSeries {
    /// Whose samples they are.
    pub labels: Labels,
    /// Floats, in order of time.
    pub floats: Vec<(i64, f64)>,
    /// Native histograms, in order of time.
    pub histograms: Vec<(i64, Arc<FloatHistogram>)>,
}

/// Result, and what the user should know about it.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryResult {
    /// The result.
    pub value: Value,
    /// Texts of warnings, with position, in order of appearance, each once.
    pub warnings: Vec<String>,
    /// Texts of infos, likewise.
    pub infos: Vec<String>,
    /// What it cost.
    pub stats: QueryStats,
    /// The memory of all this, given back with it.
    pub held: Held,
    /// The plan with what each part has done, if it was asked for.
    pub plan: Option<PlanNode>,
}

/// Memory of a result, taken from the budget of queries until the last clone is dropped.
#[derive(Debug, Clone, Default)]
pub struct Held(Option<Arc<Charge>>);

impl Held {
    pub(crate) fn new(charge: Charge) -> Self {
        Self(Some(Arc::new(charge)))
    }

    /// How much it is.
    pub fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |charge| charge.bytes())
    }
}

/// Says nothing about what the result is.
impl PartialEq for Held {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What a query cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueryStats {
    /// Seconds from the query's start to its end, by phase.
    pub timings: Timings,
    /// Samples that were looked at in all, each counted in every step that looked at it (as Prometheus).
    pub total_queryable_samples: u64,
    /// The most samples held at one time.
    pub peak_samples: u64,
    /// Samples looked at, per step of a range query; filled if asked for.
    pub total_queryable_samples_per_step: Option<Vec<(i64, u64)>>,
    /// The most memory held at one time, storage's for the query included.
    pub memory_peak_bytes: u64,
    /// Steps that were answered from kept results.
    pub kept_steps: usize,
}

/// Seconds by phase, named as Prometheus names them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timings {
    /// Whole evaluation.
    pub eval_total_s: f64,
    /// Sorting of results.
    pub result_sort_s: f64,
    /// Selecting series and planning.
    pub query_preparation_s: f64,
    /// Evaluation proper.
    pub inner_eval_s: f64,
    /// Waiting for a slot.
    pub exec_queue_s: f64,
    /// From arrival to answer.
    pub exec_total_s: f64,
}

impl Timings {
    /// With the names under which they are shown.
    pub fn named(&self) -> [(&'static str, f64); 6] {
        [
            ("evalTotalTime", self.eval_total_s),
            ("resultSortTime", self.result_sort_s),
            ("queryPreparationTime", self.query_preparation_s),
            ("innerEvalTime", self.inner_eval_s),
            ("execQueueTime", self.exec_queue_s),
            ("execTotalTime", self.exec_total_s),
        ]
    }
}

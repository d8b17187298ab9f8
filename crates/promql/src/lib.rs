//! PromQL: from query text to result, over whatever implements `storage::Querier`.
//!
//! Pipeline: [`parser`] text → [`ast`] typed tree → plan → vectorised operators over columns → [`value`].
//!
//! Map: [`ast`] the tree · [`parser`] lexer, grammar, types · [`printer`] tree to text · [`ast_json`] tree to JSON ·
//! [`functions`] signatures · [`engine`] the door: limits, evaluation · `plan` what is evaluated · `eval` operators and
//! functions over columns · `histogram_math`, `kahan` arithmetic · `annotations` warnings and infos · [`value`]
//! results · [`features`] what can be switched on · [`error`] what may go wrong · [`script`] Prometheus' test scripts.
//!
//! Invariants: never imports an engine of storage; answers are those of Prometheus 3.14.

mod annotations;
pub mod ast;
pub mod ast_json;
pub mod engine;
pub mod error;
mod eval;
pub mod features;
pub mod functions;
mod histogram_math;
mod kahan;
mod metrics;
pub mod parser;
mod plan;
pub mod printer;
pub mod script;
pub mod value;

pub use engine::{
    ActiveQuery, AskedBy, Class, Cost, Engine, FinishedQuery, Limits, Measured, Origin, PlanNode, QueryLog,
    QueryOptions, RangeTimes, Reading, Settings, TopBy, TopQuery, When,
};
pub use error::{ParseError, QueryError};
pub use value::{QueryResult, QueryStats, Value};

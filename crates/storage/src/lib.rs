//! THE SEAM: everything that produces samples hands a [`WriteBatch`] to an [`Appender`]; everything that
//! reads asks a [`Querier`]. There is no other way in or out of storage.
//!
//! Map: [`batch`] what is written · [`appender`] the way in, and what "acknowledged" means · [`querier`] the
//! way out: series known up front, their samples decoded on demand · [`merge`] sorted columns made one ·
//! [`start`] when counters began · [`changes`] what has changed since somebody looked · [`error`] what the caller should do about a failure · [`memory`] a small in-memory engine, the
//! reference for tests · [`conformance`] the suite that every implementation passes; it is the specification.
//!
//! Invariants: this crate knows no engine and no query language. Implementations are synchronous; async
//! callers move to a blocking thread, and await only [`Durability`].

pub mod appender;
pub mod batch;
pub mod changes;
pub mod conformance;
pub mod error;
pub mod memory;
pub mod merge;
pub mod querier;
pub mod start;

pub use appender::{Appended, Appender, CommitGroup, Durability, RejectReason, Rejected};
pub use batch::{BatchLabels, BatchSeries, InvalidLabels, PartedLabels, RawLabels, SeriesKey, WriteBatch};
pub use changes::{ChangeLog, Changes};
pub use error::{Error, ErrorKind};
pub use querier::{
    Estimate, FloatColumn, HistogramColumn, LabelRequest, Querier, QueryContext, ReadSources, SelectHints,
    SelectRequest, SeriesExemplars, SeriesSamples, SeriesSet,
};
pub use start::StartColumn;

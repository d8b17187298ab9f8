//! The local engine: keeps samples on this machine's disk, and answers what is stored.
//!
//! Map: [`Tsdb`] opens, stops and owns everything (`engine`, `open`, `replay`) · `append` the way in: limits, series lookup,
//! journal, head · `select` the way out: index, snapshot, merge by time · `journal` makes writes durable ·
//! `head` recent samples in memory · `block` immutable files · `maintain` flush, compaction, retention and their
//! thread · `postings` matchers to series over any index, `selections` those that are kept · `merge` pieces of a series made one ·
//! `extras` exemplars and metadata · `tombstones` deletes ·
//! `snapshot` hard links for backups · [`verify`] checks every byte of a directory · `stats` what status pages show · [`settings`] what can be set.
//!
//! Invariants: a write is acknowledged after its journal entry is on disk. For each series the order of writes in
//! the journal is that of the head, and pieces of a series (blocks by age, then the head) are read in order of
//! age, so that the last write wins before and after flushes, compactions and restarts. Everything on disk carries a
//! CRC32C; damage is counted, named, and set aside. All I/O goes through `stdx::fs::Fs`, all time through
//! `stdx::clock::Clock`. Formats: `docs/internals/{wal,block,chunk}.md`.
//! Deliberately not here: HTTP, PromQL, async.

mod append;
mod block;
mod engine;
mod estimate;
mod extras;
mod head;
mod journal;
mod maintain;
mod merge;
mod metrics;
mod open;
mod postings;
mod replay;
mod select;
mod selections;
pub mod settings;
pub mod snapshot;
pub mod stats;
mod tenant;
mod tombstones;
pub mod verify;

pub use engine::Tsdb;
pub use maintain::Compacted;
pub use settings::{Deps, FsyncPolicy, ReplayProgress, Retention, Settings, TenantRetention};
pub use stats::{BlockStats, TsdbStats};

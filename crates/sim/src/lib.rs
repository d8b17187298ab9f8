//! A world for tests: files that get lost, torn and full, samples like those of real machines, and an oracle that
//! knows what must have survived. Everything random is seeded; a failure is a number to paste.
//!
//! Map: [`fs`] the file system · [`workload`] samples to write · [`oracle`] what must, may and must not
//! be read at each moment of a recorded run · [`expected`] the same as a run goes on, with deletes and retention · [`stored`]
//! samples as they are compared · [`querier`] storage that is slow or says something else.
//!
//! Invariants: knows `stdx`, `model` and `storage`, and no engine; engines depend on it for their tests.

pub mod expected;
pub mod fs;
pub mod oracle;
pub mod querier;
pub mod stored;
pub mod workload;

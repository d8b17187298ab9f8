//! The engine seen from outside, over the reference storage.
//!
//! Map: `scripts` Prometheus' test scripts and our own · `agreement` instant and range queries give the same · `at_once` what is answered without waiting ·
//! `coverage` and `docs` scripts and documentation cover the whole language ·
//! `reference` a plain evaluator gives the same · `names` when the names of metrics are dropped · `limits` what a query may use, and how it is stopped · `governance` who may run what ·
//! `threads` however many threads help · `cached` kept results · `explained` what a query costs · `data` storage filled for tests.

mod agreement;
mod at_once;
mod cached;
mod coverage;
mod data;
mod docs;
mod explained;
mod governance;
mod limits;
mod names;
mod reference;
mod scripts;
mod shared;
mod threads;

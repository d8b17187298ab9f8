//! What was built.

/// Kymo's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit; empty if unknown.
pub(crate) const REVISION: &str = env!("KYMO_REVISION");
/// The branch; empty if unknown.
pub(crate) const BRANCH: &str = env!("KYMO_BRANCH");
/// The compiler.
pub(crate) const COMPILER: &str = env!("KYMO_COMPILER");
/// The machine it was built for.
pub(crate) const TARGET: &str = env!("KYMO_TARGET");

/// As `kymo --version` prints it.
pub(crate) fn long() -> String {
    let revision = if REVISION.is_empty() { "unknown" } else { REVISION };
    format!("{VERSION}\nrevision: {revision}\ncompiler: {COMPILER}\ntarget: {TARGET}")
}

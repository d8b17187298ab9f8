//! Verbs, as Go documents them.

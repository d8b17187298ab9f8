//! Blocks: immutable files with the samples of one tenant and one span of time, their series sorted by labels.
//!
//! Map: [`format`] what the bytes mean · [`writer`] makes a block, streaming · [`reader`] opens one and reads frames on
//! demand · [`index`] labels to series within a block · [`cache`] decompressed frames, shared by all blocks.
//!
//! Invariants: a block is written under a temporary name, synced, renamed, and its directory synced; a file
//! with a block's name is whole. It is read in frames, each with its own CRC32C, by position only, so that it can live in
//! an object store unchanged. A damaged frame is reported once and set aside; all others are still served.
//! Blocks of one tenant nest: each lies in one span of its level, and spans of levels divide one another.
//! Where blocks overlap, the one with the greater `age` holds the later write.
//! Format: `docs/internals/block.md`. Deliberately not here: which blocks are made and deleted (see `maintain`).

pub(crate) mod cache;
pub(crate) mod format;
pub(crate) mod index;
pub(crate) mod reader;
pub(crate) mod writer;

pub(crate) use reader::Block;
pub(crate) use writer::BlockWriter;

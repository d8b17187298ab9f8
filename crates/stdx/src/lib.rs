//! What std lacks and tests must own: time, randomness, files, memory accounting. No word of the domain.
//!
//! Map: [`clock`] wall and monotonic time behind a trait · [`rand`] seeded randomness behind a trait ·
//! [`fs`] the file system behind a trait, with the crash guarantee of every operation ·
//! [`memory`] the accountant that divides one memory budget among its users · [`cancel`] telling
//! running work to stop · [`priority`] threads that others go before.
//!
//! Everything here has two users: the real server, and the simulator (`sim`), which supplies its own
//! clock, randomness and a file system that loses, tears and fails.

pub mod cancel;
pub mod clock;
pub mod fs;
pub mod memory;
pub mod priority;
pub mod rand;

//! Where targets come from: one mechanism a file; all yield target groups.
//!
//! Map: [`settings`] what a configuration file says.

pub mod settings;

pub use settings::Settings;

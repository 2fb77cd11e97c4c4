//! What was typed, exported or written to a file, checked whole before anything starts. Flags win
//! over the environment, the environment over the file; defaults exist once, in [`Settings`].

mod args;
#[cfg(test)]
mod deploy_tests;
mod file;
mod listener;
mod quantity;
mod settings;

pub use args::{Args, Command, ServeArgs};
pub use file::{File, FileError};
pub use listener::Listener;
pub use settings::{Settings, SettingsError};

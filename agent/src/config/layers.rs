//! Where settings come from, and which source wins.

use std::fmt;
use std::path::PathBuf;

use super::file::FileValues;

/// Reads one environment variable; passed in, so that tests need not change the process.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where a setting was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This flag of the command line.
    Flag(&'static str),
    /// This environment variable.
    Variable(String),
    /// This file, at a line and a column where that is known.
    File(PathBuf, Option<(usize, usize)>),
    /// Nowhere.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => out.write_str(flag),
            Self::Variable(name) => out.write_str(name),
            Self::File(path, None) => write!(out, "{}", path.display()),
            Self::File(path, Some((line, column))) => {
                write!(out, "{}:{line}:{column}", path.display())
            }
            Self::Default => out.write_str("default"),
        }
    }
}

/// A setting as it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) value: RawValue,
    pub(super) source: Source,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RawValue {
    Text(String),
    /// Only a file can say this; elsewhere it is the text `a=1,b=2`.
    Pairs(Vec<(String, String)>),
}

/// All sources of one command.
pub(super) struct Layers<'a> {
    /// Key, flag and what was typed.
    pub(super) flags: Vec<(&'static str, &'static str, Option<String>)>,
    pub(super) environment: Environment<'a>,
    pub(super) file: FileValues,
}

impl Layers<'_> {
    /// What the strongest source says about a key.
    pub(super) fn get(&self, key: &str) -> Option<Raw> {
        self.flag(key).or_else(|| self.variable(key)).or_else(|| self.file.get(key).cloned())
    }

    fn flag(&self, key: &str) -> Option<Raw> {
        let (_, flag, text) = self.flags.iter().find(|(name, _, _)| *name == key)?;
        let value = RawValue::Text(text.clone()?);
        Some(Raw { value, source: Source::Flag(flag) })
    }

    /// An empty variable is the same as none: that is how they are unset in service files.
    fn variable(&self, key: &str) -> Option<Raw> {
        let name = variable_name(key);
        let text = (self.environment)(&name).filter(|text| !text.is_empty())?;
        Some(Raw { value: RawValue::Text(text), source: Source::Variable(name) })
    }
}

/// `frequency` is `SONDE_AGENT_FREQUENCY`; the level has the short name people know.
fn variable_name(key: &str) -> String {
    match key {
        "log_level" => "SONDE_AGENT_LOG".to_owned(),
        _ => format!("SONDE_AGENT_{}", key.to_uppercase()),
    }
}

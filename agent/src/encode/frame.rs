//! The words a frame shows, the same in every format.

use std::borrow::Cow;

use crate::aggregate::Location;
use crate::symbol::{Symbol, UnknownReason};

/// The name of a frame that has none: the reason, and the file it lies in where that is one.
/// `[stripped: nginx]`, `[jit without perf map]`.
pub(super) fn unknown_name(location: &Location, reason: UnknownReason) -> String {
    let label = reason.label();
    match location.binary.as_ref().and_then(|binary| base_name(&binary.path)) {
        Some(file) => format!("[{label}: {file}]"),
        None => format!("[{label}]"),
    }
}

/// The last part of a path; `None` for what only looks like a file: `[kernel]`, `[jit]`, empty.
fn base_name(path: &str) -> Option<&str> {
    let base = path.rsplit('/').find(|part| !part.is_empty())?;
    (!base.starts_with('[')).then_some(base)
}

/// The names at one address, outermost caller first.
pub(super) fn names_root_first(location: &Location) -> Vec<Cow<'_, str>> {
    match &location.symbol {
        Symbol::Known(functions) => {
            functions.iter().rev().map(|function| Cow::Borrowed(&*function.name)).collect()
        }
        Symbol::Unknown(reason) => vec![Cow::Owned(unknown_name(location, *reason))],
    }
}

/// The value of a label, or an empty text.
pub(super) fn label<'a, S: AsRef<str>>(labels: &'a [(S, S)], name: &str) -> &'a str {
    labels.iter().find(|(key, _)| key.as_ref() == name).map_or("", |(_, value)| value.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::pprof::testing::{binary, unknown};

    #[test]
    fn an_unknown_frame_says_its_reason_and_the_last_part_of_its_path() {
        let location = unknown(Some(binary("/usr/sbin/nginx")), 1, UnknownReason::Stripped);
        assert_eq!(unknown_name(&location, UnknownReason::Stripped), "[stripped: nginx]");
    }

    #[test]
    fn bracketed_paths_are_not_repeated_in_the_name() {
        for path in ["[jit]", "[kernel]", "", "/"] {
            let location = unknown(Some(binary(path)), 1, UnknownReason::JitWithoutPerfMap);
            let name = unknown_name(&location, UnknownReason::JitWithoutPerfMap);
            assert_eq!(name, "[jit without perf map]", "path {path:?}");
        }
    }

    #[test]
    fn a_frame_without_a_file_is_its_reason_alone() {
        let location = unknown(None, 1, UnknownReason::NoMapping);
        assert_eq!(unknown_name(&location, UnknownReason::NoMapping), "[no mapping]");
    }
}

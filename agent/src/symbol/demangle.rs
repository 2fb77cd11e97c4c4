//! Symbol names as people write them. Bounded in length, depth and time; falls back to the name
//! as it is.

use std::fmt::{self, Write};

use cpp_demangle::{DemangleOptions, ParseOptions};

/// The longest name that is shown, in bytes. What is longer is cut at the end.
pub const MAX_NAME: usize = 1_024;
/// The longest name that is taken apart, in bytes.
const MAX_MANGLED: usize = 8 << 10;
/// What the C++ demangler may produce. Substitutions grow exponentially, so it is stopped there.
const MAX_OUTPUT: usize = 16 << 10;
/// Nesting in a C++ name. Half of what the library holds for safe on a small stack.
const MAX_DEPTH: u32 = 64;

/// The readable form of `mangled`: Rust (both schemes, without the hash) or C++; anything else as
/// it stands. Never longer than [`MAX_NAME`].
#[must_use]
pub fn demangle(mangled: &str) -> String {
    let readable =
        if mangled.len() > MAX_MANGLED { None } else { rust(mangled).or_else(|| cpp(mangled)) };
    cut(readable.unwrap_or_else(|| mangled.to_owned()))
}

/// Shortens a name to [`MAX_NAME`] bytes, at a character's boundary.
#[must_use]
pub fn cut(mut name: String) -> String {
    if name.len() > MAX_NAME {
        let mut end = MAX_NAME - '…'.len_utf8();
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
        name.push('…');
    }
    name
}

fn rust(mangled: &str) -> Option<String> {
    let name = rustc_demangle::try_demangle(mangled).ok()?;
    // The alternate form leaves out the hash that tells versions of a crate apart.
    bounded(|out| write!(out, "{name:#}"))
}

fn cpp(mangled: &str) -> Option<String> {
    // GCC puts these in front for what runs before `main`; one more underscore is common elsewhere.
    if !mangled.starts_with("_Z") && !mangled.starts_with("_GLOBAL_") {
        return None;
    }
    let limits = ParseOptions::default().recursion_limit(MAX_DEPTH);
    // Clones of a function (`.cold`, `.isra.0`) are demangled and keep their suffix.
    let symbol = cpp_demangle::BorrowedSymbol::with_tail_and_options(mangled.as_bytes(), &limits);
    let (symbol, tail) = symbol.ok()?;
    let tail = std::str::from_utf8(tail).ok().filter(|t| t.is_empty() || t.starts_with('.'))?;
    let options = DemangleOptions::new().recursion_limit(MAX_DEPTH);
    let mut name = bounded(|out| symbol.structured_demangle(out, &options))?;
    // The library appends the clone suffix itself in words; only what it left over is ours.
    name.push_str(tail);
    Some(name)
}

/// Collects what is written; `None` when the writer failed or said too much.
fn bounded(write: impl FnOnce(&mut Bounded) -> fmt::Result) -> Option<String> {
    let mut out = Bounded(String::new());
    write(&mut out).ok()?;
    (!out.0.is_empty()).then_some(out.0)
}

struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_OUTPUT {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legacy_rust_name_loses_its_hash() {
        let name = "_ZN4core3fmt9Formatter9write_str17h0123456789abcdefE";
        assert_eq!(demangle(name), "core::fmt::Formatter::write_str");
    }

    #[test]
    fn a_v0_rust_name_is_taken_apart() {
        assert_eq!(demangle("_RNvC6_123foo3bar"), "123foo::bar");
    }

    #[test]
    fn a_cpp_name_keeps_its_parameters() {
        assert_eq!(demangle("_ZN5space3fooEibc"), "space::foo(int, bool, char)");
    }

    #[test]
    fn a_c_name_stays_as_it_is() {
        for name in ["main", "_start", "_Zebra", "", "zend_parse_parameters"] {
            assert_eq!(demangle(name), name);
        }
    }

    #[test]
    fn a_name_without_end_is_cut_between_characters() {
        let name = demangle(&"é".repeat(MAX_NAME));
        assert!(name.len() <= MAX_NAME && name.ends_with("é…"), "{} bytes", name.len());
    }

    #[test]
    fn deep_nesting_is_given_back_as_it_is() {
        let name = format!("_Z1f{}i", "P".repeat(5_000));
        assert!(demangle(&name).starts_with("_Z1fPPP"));
    }

    #[test]
    fn a_name_that_would_grow_without_end_is_given_back_as_it_is() {
        // Each `S_`-style substitution doubles what came before it.
        let doubling: String =
            (0..30).map(|i| format!("3barIS{}_S{}_E", base36(i), base36(i))).collect();
        let name = demangle(&format!("_ZN3fooI{doubling}EE"));
        assert!(name.len() <= MAX_NAME);
    }

    fn base36(number: u32) -> String {
        char::from_digit(number % 36, 36)
            .map(|digit| digit.to_ascii_uppercase().to_string())
            .unwrap_or_default()
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken(text in "(_Z|_R|_ZN)?[ -~]{0,200}") {
            assert!(demangle(&text).len() <= MAX_NAME);
        }

        #[test]
        fn any_letters_of_the_cpp_grammar_are_taken(text in "_Z[NIESTtaclFPRKJ0-9_fooX]{0,300}") {
            assert!(demangle(&text).len() <= MAX_NAME);
        }
    }
}

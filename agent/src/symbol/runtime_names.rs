//! Names as runtimes write them for profilers, made readable. V8 packs the tier of its compiler, the
//! function and its place into one text: `JS:*total /app/cart.js:12:18`. Split, the tiers of one
//! function are one function again. Python's are `py::Cart.total:/app/cart.py`.

use std::sync::Arc;

use super::Function;
use super::demangle::demangle;

/// What Python writes before a function.
const PYTHON: &str = "py::";
/// What V8 writes before a function of a script, by version.
const KINDS: [&str; 4] = ["JS:", "LazyCompile:", "Function:", "Eval:"];
/// Which of its compilers made the code: optimised twice over, once, barely, not at all.
const TIERS: [char; 4] = ['*', '+', '^', '~'];

/// The function that a runtime calls so.
pub(super) fn function(system_name: &str) -> Function {
    let (name, place) = split(system_name);
    let readable = demangle(name);
    let system_name: Arc<str> = system_name.into();
    let name = if *readable == *system_name { Arc::clone(&system_name) } else { readable.into() };
    let (file, line) = place.map_or((None, 0), |(file, line)| (Some(file.into()), line));
    Function { name, system_name, file, line }
}

/// Name, and file and line where they are part of it.
fn split(system_name: &str) -> (&str, Option<(&str, u32)>) {
    let split = match system_name.strip_prefix(PYTHON) {
        // A name has no colons, a path may.
        Some(rest) => rest.split_once(':').map(|(name, file)| (name, (file, 0))),
        None => split_v8(system_name),
    };
    let whole = split.filter(|(name, (file, _))| !name.is_empty() && !file.is_empty());
    whole.map_or((system_name, None), |(name, place)| (name, Some(place)))
}

fn split_v8(system_name: &str) -> Option<(&str, (&str, u32))> {
    let rest = KINDS.iter().find_map(|kind| system_name.strip_prefix(kind))?;
    let (rest, column) = rest.rsplit_once(':')?;
    let (rest, line) = rest.rsplit_once(':')?;
    let _: u32 = column.parse().ok()?;
    // A name has no blanks, a path may.
    let (name, file) = rest.split_once(' ')?;
    let name = name.strip_prefix(TIERS).unwrap_or(name);
    let name = if name.is_empty() { "(anonymous)" } else { name };
    Some((name, (file, line.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(system_name: &str) -> (String, Option<String>, u32) {
        let function = function(system_name);
        assert_eq!(&*function.system_name, system_name);
        (function.name.to_string(), function.file.map(|file| file.to_string()), function.line)
    }

    #[test]
    fn the_tiers_of_a_script_s_function_are_one_function() {
        let expected = ("total".to_owned(), Some("/app/my cart.js".to_owned()), 12);
        for tier in ["*", "+", "^", "~", ""] {
            assert_eq!(parts(&format!("JS:{tier}total /app/my cart.js:12:18")), expected);
        }
        assert_eq!(parts("LazyCompile:~total /app/my cart.js:12:18"), expected);
        assert_eq!(parts("JS:* file:///a.mjs:7:1").0, "(anonymous)");
    }

    #[test]
    fn python_s_functions_have_a_name_and_a_file() {
        let expected = ("Cart.total".to_owned(), Some("/app/c:art.py".to_owned()), 0);
        assert_eq!(parts("py::Cart.total:/app/c:art.py"), expected);
    }

    #[test]
    fn other_names_stay_as_they_are() {
        for name in [
            "Builtin:Call_ReceiverIsAny",
            "py::main",
            "py:::/x.py",
            "JS:*odd",
            "JS:*f :1:2",
            "a b:1:2",
        ] {
            assert_eq!(parts(name), (name.to_owned(), None, 0));
        }
        assert_eq!(parts("_ZN3foo3barEv").0, "foo::bar()");
    }
}

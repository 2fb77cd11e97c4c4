//! Rules on who may name whom: the agent's stages in their order, pure modules without I/O, and
//! two programs that meet in public bytes only.

/// The agent's stages, in the order in which a value passes them. Equal numbers are side by side,
/// and do not name each other. `kernel` hands out what `record` decodes.
const STAGES: [(&str, u8); 9] = [
    ("record", 0),
    ("kernel", 1),
    ("process", 2),
    ("symbol", 3),
    ("unwind", 4),
    ("http", 4),
    ("aggregate", 5),
    ("encode", 6),
    ("export", 7),
];
/// Modules that do no I/O and read no clock: readers and times are passed in.
const PURE: [&str; 5] = [
    "agent/src/unwind/",
    "agent/src/http/",
    "agent/src/aggregate/",
    "agent/src/encode/",
    "collector/src/query/",
];
const IMPURE: [&str; 8] = [
    "std::fs",
    "std::net",
    "std::process",
    "tokio::fs",
    "tokio::net",
    "tokio::process",
    "SystemTime",
    "Instant::now",
];

/// What the file at `path` names that it must not.
pub(super) fn check(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in code(path, text) {
        for what in stage(path, line).into_iter().chain(pure(path, line)).chain(across(path, line))
        {
            problems.push(format!("{path}:{number}: {what}"));
        }
    }
    problems
}

/// Numbered lines of a Rust or Cargo file without comments, up to its tests.
fn code<'a>(path: &str, text: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let relevant = path.ends_with(".rs") || path.ends_with("Cargo.toml");
    let test_file = path.ends_with("tests.rs") || path.contains("/tests/");
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(move |_| relevant && !test_file)
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
}

fn stage_of(module: &str) -> Option<u8> {
    STAGES.iter().find(|(name, _)| *name == module).map(|(_, number)| *number)
}

fn stage(path: &str, line: &str) -> Option<String> {
    let own = path.strip_prefix("agent/src/")?.split(['/', '.']).next()?;
    let number = stage_of(own)?;
    let named = line.match_indices("crate::").map(|(at, prefix)| {
        let rest = &line[at + prefix.len()..];
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
    });
    let mut wrong = named.filter(|name| *name != own).filter(|name| {
        *name == "pipeline" || stage_of(name).is_some_and(|theirs| theirs >= number)
    });
    let name = wrong.next()?;
    Some(format!("the stage `{own}` names `{name}`, which comes later or knows every stage"))
}

fn pure(path: &str, line: &str) -> Option<String> {
    let folder = PURE.into_iter().find(|folder| path.starts_with(folder))?;
    let what = IMPURE.into_iter().find(|what| line.contains(what))?;
    Some(format!("`{what}` in {folder}, which does no I/O and reads no clock"))
}

fn across(path: &str, line: &str) -> Option<String> {
    let other = match path.split('/').next()? {
        "agent" | "agent-ebpf" => ["sonde-collector", "sonde_collector"],
        "collector" => ["sonde-agent", "sonde_agent"],
        _ => return None,
    };
    let dependency = path.ends_with("Cargo.toml");
    let named = |name: &str| match dependency {
        true => line.trim_start().starts_with(name),
        false => line.contains(&format!("{name}::")) || line.contains(&format!("use {name}")),
    };
    let own = path.starts_with("collector") && dependency && line.contains("sonde-ebpf");
    (other.into_iter().any(named) || own)
        .then(|| "agent and collector meet in public bytes, never in code".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> String {
        check(path, text).join("\n")
    }

    #[test]
    fn a_stage_may_name_earlier_stages() {
        let text = "use crate::record::Sample;\nuse crate::telemetry::Metrics;\n";
        assert_eq!(problems("agent/src/aggregate/window.rs", text), "");
    }

    #[test]
    fn a_stage_that_names_a_later_one_is_told_where() {
        let said = problems("agent/src/record/mod.rs", "\nuse crate::encode::pprof;\n");
        assert!(said.starts_with("agent/src/record/mod.rs:2: the stage `record` names `encode`"));
    }

    #[test]
    fn stages_side_by_side_do_not_name_each_other() {
        assert!(!problems("agent/src/symbol/a.rs", "use crate::http::Head;\n").is_empty());
    }

    #[test]
    fn no_stage_names_the_pipeline() {
        assert!(!problems("agent/src/export/a.rs", "crate::pipeline::run()\n").is_empty());
        assert_eq!(problems("agent/src/main.rs", "crate::pipeline::run()\n"), "");
    }

    #[test]
    fn a_pure_module_reads_no_file_and_no_clock() {
        assert!(!problems("agent/src/encode/a.rs", "use std::fs::File;\n").is_empty());
        assert!(!problems("collector/src/query/a.rs", "let now = Instant::now();\n").is_empty());
        assert_eq!(problems("agent/src/export/a.rs", "use std::fs::File;\n"), "");
    }

    #[test]
    fn comments_and_tests_may_name_anything() {
        let text = "// std::fs is not used here\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        assert_eq!(problems("agent/src/encode/a.rs", text), "");
    }

    #[test]
    fn the_two_programs_do_not_name_each_other() {
        assert!(!problems("agent/src/main.rs", "use sonde_collector::store;\n").is_empty());
        assert!(!problems("collector/Cargo.toml", "sonde-ebpf = { path = \"x\" }\n").is_empty());
        assert_eq!(problems("agent/Cargo.toml", "name = \"sonde-agent\"\n"), "");
    }
}

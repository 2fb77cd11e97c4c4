//! Rules on one file's name and text: first sentence, names, length, and what must not be said.

/// Names that promise nothing, and so collect everything.
const GRAB_BAGS: [&str; 8] =
    ["util", "utils", "common", "shared", "helper", "helpers", "misc", "manager"];
const LONG: usize = 600;

/// Hosts that only a package client should know. Split, so that this file does not name them.
const HOSTS: [&str; 7] = [
    concat!("crates", ".io"),
    concat!("registry.npm", "js"),
    concat!("registry.yarn", "pkg"),
    concat!("pypi", ".org"),
    concat!("proxy.go", "lang"),
    concat!("deb.deb", "ian.org"),
    concat!("static.rust", "-lang"),
];
/// Folders of one machine.
const MACHINE: [&str; 2] = [concat!("/ro", "ot/"), concat!("/wo", "rk/")];

/// What is wrong with the file at `path` (relative to the workspace).
pub(super) fn check(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut say = |what: String| problems.push(format!("{path}: {what}"));
    if path.ends_with(".rs") {
        if !opens_with_a_sentence(text) {
            say("does not open with a `//!` sentence that says what is its own".into());
        }
        if let Some(name) = grab_bag(path) {
            say(format!("`{name}` names no responsibility; name the noun instead"));
        }
        let lines = text.lines().count();
        if lines > LONG && !text.lines().take(15).any(|l| l.contains("Long because")) {
            say(format!("{lines} lines; split it, or say `Long because …` in its first lines"));
        }
    }
    // cargo writes its index into the lock file; there is no way around it.
    if path != "Cargo.lock" && !path.ends_with("/Cargo.lock") {
        for (number, line) in text.lines().enumerate() {
            for what in forbidden(line) {
                say(format!("line {}: names {what}", number + 1));
            }
        }
    }
    problems
}

fn opens_with_a_sentence(text: &str) -> bool {
    let opening: Vec<&str> =
        text.lines().take_while(|line| line.starts_with("//!")).take(8).collect();
    let first = opening.first().and_then(|line| line.strip_prefix("//! "));
    let ends = |line: &&str| line.trim_end().ends_with(['.', ':']) || line.contains(". ");
    first.is_some_and(|first| first.len() > 10) && opening.iter().any(ends)
}

fn grab_bag(path: &str) -> Option<&str> {
    let source = path.split_once("src/").map_or(path, |(_, inside)| inside);
    source
        .split('/')
        .map(|part| part.strip_suffix(".rs").unwrap_or(part))
        .find(|part| GRAB_BAGS.contains(part))
}

fn forbidden(line: &str) -> impl Iterator<Item = &'static str> {
    let hosts = HOSTS.into_iter().filter(|host| line.contains(host));
    let folders = MACHINE.into_iter().filter(|folder| names_path(line, folder));
    hosts.chain(folders).collect::<Vec<_>>().into_iter()
}

/// Whether `folder` stands in `line` as the start of a path, not inside one (`/proc/1/root/etc`).
fn names_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| c.is_whitespace() || "\"'`(=:,<>".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> String {
        check(path, text).join("\n")
    }

    #[test]
    fn a_good_file_passes() {
        assert_eq!(problems("agent/src/record/pod.rs", "//! Bytes to values.\nfn a() {}\n"), "");
        assert_eq!(problems("a/src/x.rs", "//! A sentence that runs\n//! over two lines.\n"), "");
    }

    #[test]
    fn a_file_without_its_sentence_is_named() {
        assert!(
            problems("agent/src/x.rs", "fn a() {}\n").contains("agent/src/x.rs: does not open")
        );
        assert!(problems("agent/src/x.rs", "//! Things\nfn a() {}\n").contains("does not open"));
        assert!(problems("agent/src/x.rs", "").contains("does not open"));
    }

    #[test]
    fn a_grab_bag_is_refused_as_file_and_as_folder() {
        assert!(problems("agent/src/utils.rs", "//! Some sentence.\n").contains("`utils`"));
        assert!(problems("agent/src/common/a.rs", "//! Some sentence.\n").contains("`common`"));
        assert_eq!(problems("agent/src/commons.rs", "//! Some sentence.\n"), "");
    }

    #[test]
    fn a_long_file_says_why() {
        let long = "\n".repeat(LONG);
        assert!(
            problems("a/src/x.rs", &format!("//! Some sentence.\n{long}")).contains("601 lines")
        );
        let told = format!("//! Some sentence.\n//! Long because it is one table.\n{long}");
        assert_eq!(problems("a/src/x.rs", &told), "");
    }

    #[test]
    fn a_registry_host_is_refused_except_in_cargos_lock() {
        let line = format!("resolved: https://{}.org/x", HOSTS[1]);
        assert!(problems("tests/browser/package-lock.json", &line).contains("line 1: names"));
        assert_eq!(problems("Cargo.lock", &line), "");
    }

    #[test]
    fn a_path_of_one_machine_is_refused_but_not_a_root_folder_inside_a_path() {
        assert!(problems("README.md", &format!("see `{}x`", MACHINE[0])).contains("names"));
        assert_eq!(problems("README.md", &format!("/proc/1{}etc", MACHINE[0])), "");
        assert_eq!(problems("README.md", &format!("{{pid}}{}etc", MACHINE[0])), "");
    }
}

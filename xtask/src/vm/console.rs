//! The guest's console as text: what `tests/vm/init.sh` told between its marks.

use std::collections::HashMap;

/// Output and status of one command in the guest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) text: String,
    /// `None` if the guest ended before the command did.
    pub(super) status: Option<i32>,
}

#[derive(Debug, Default)]
pub(super) struct Console {
    sections: HashMap<String, Section>,
    /// The command that ran when the text ended.
    open: Option<String>,
    /// The last lines, whatever they are: why a guest died is not between marks.
    tail: Vec<String>,
}

const TAIL_LINES: usize = 12;

impl Console {
    pub(super) fn parse(text: &str) -> Self {
        let mut console = Self::default();
        for line in text.lines().map(|line| line.trim_end_matches('\r')) {
            if let Some(name) = line.strip_prefix("@begin ") {
                console.sections.insert(name.to_owned(), Section::default());
                console.open = Some(name.to_owned());
            } else if let Some((name, status)) = ended(line) {
                if let Some(section) = console.sections.get_mut(name) {
                    section.status = Some(status);
                }
                console.open = None;
            } else if let Some(section) =
                console.open.as_ref().and_then(|name| console.sections.get_mut(name))
            {
                section.text.push_str(line);
                section.text.push('\n');
            }
        }
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        console.tail = tail.iter().map(|line| line.trim_end().to_owned()).collect();
        console
    }

    /// How the guest ended, if it did not reach its last command.
    pub(super) fn died(&self) -> Option<String> {
        if self.sections.get("done").is_some_and(|done| done.status == Some(0)) {
            return None;
        }
        let when =
            self.open.as_ref().map_or("outside a command".into(), |name| format!("in {name}"));
        Some(format!("the guest ended {when}:\n{}", indented(self.tail.iter().map(String::as_str))))
    }

    /// What the command wrote; an error if it failed or there was none.
    pub(super) fn section(&self, name: &str) -> Result<&str, String> {
        match self.sections.get(name) {
            Some(Section { text, status: Some(0) }) => Ok(text.trim_end()),
            Some(Section { text, status: Some(status) }) => {
                Err(format!("{name}: status {status}:\n{}", indented(text.lines())))
            }
            _ => Err(format!("{name} did not run to its end")),
        }
    }
}

fn ended(line: &str) -> Option<(&str, i32)> {
    let (name, status) = line.strip_prefix("@end ")?.rsplit_once(' ')?;
    Some((name, status.parse().ok()?))
}

/// The last lines, indented: a verifier's log has thousands, and its end says what is wrong.
fn indented<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines[from..].iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_what_stands_between_its_marks() {
        let console = Console::parse(
            "[0.1] Linux\r\n@begin a b\r\none\r\ntwo\r\n\r\n@end a b 0\r\n@begin c\r\n@end c 3\r\n",
        );
        assert_eq!(console.section("a b"), Ok("one\ntwo"));
        assert!(console.section("c").is_err_and(|why| why.contains("status 3")));
    }

    #[test]
    fn a_guest_that_dies_is_told_with_its_last_words() {
        let console = Console::parse("@begin probe\nhalf\nKernel panic - not syncing\n");
        let died = console.died().unwrap_or_default();
        assert!(died.contains("in probe") && died.contains("panic"), "{died}");
        assert!(console.section("probe").is_err() && console.section("done").is_err());
        assert_eq!(Console::parse("@begin done\n@end done 0\n").died(), None);
    }
}

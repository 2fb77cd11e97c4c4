//! What a person typed into the search field.

use regex::{Regex, RegexBuilder};

/// Longest search text in bytes.
const MAX_BYTES: usize = 1024;
/// Memory that one compiled expression may take, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// A part of a name in any case, or an expression between slashes.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// Why a search text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The text is too long.
    #[error("{0} bytes, {MAX_BYTES} are allowed")]
    Long(usize),
    /// What stands between the slashes is no expression.
    #[error("not a regular expression: {0}")]
    Syntax(String),
}

impl Pattern {
    /// Reads a search text. Plain text and expressions ignore case.
    ///
    /// # Errors
    /// The text is too long or its expression is not one.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_BYTES {
            return Err(PatternError::Long(text.len()));
        }
        let expression = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        match expression {
            Some(expression) if !expression.is_empty() => build(expression, true),
            _ => build(&regex::escape(text), true),
        }
        .map(Self)
    }

    /// Whether `name` matches.
    #[must_use]
    pub fn is_match(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// Compiles an expression that must match a whole value, as selectors want it.
///
/// # Errors
/// As [`Pattern::parse`].
pub(super) fn whole(expression: &str) -> Result<Regex, PatternError> {
    if expression.len() > MAX_BYTES {
        return Err(PatternError::Long(expression.len()));
    }
    // Alone first: `a)|(b` must not become valid by the brackets around it.
    build(expression, false)?;
    build(&format!("^(?:{expression})$"), false)
}

fn build(expression: &str, ignore_case: bool) -> Result<Regex, PatternError> {
    RegexBuilder::new(expression)
        .case_insensitive(ignore_case)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .nest_limit(64)
        .build()
        .map_err(|error| PatternError::Syntax(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(text: &str, name: &str) -> bool {
        Pattern::parse(text).expect("a good pattern").is_match(name)
    }

    #[test]
    fn plain_text_is_found_anywhere_in_any_case() {
        assert!(matches("JSON", "serde_json::ser"));
        assert!(matches("a.b", "xa.by") && !matches("a.b", "axb"));
        assert!(matches("/", "a/b"), "one slash is text");
    }

    #[test]
    fn slashes_make_an_expression() {
        assert!(matches("/^serde.*ser$/", "serde_json::ser"));
        assert!(!matches("/^ser$/", "serde_json::ser"));
        assert!(matches!(Pattern::parse("/(/"), Err(PatternError::Syntax(_))));
    }

    #[test]
    fn an_expression_that_would_take_much_memory_is_refused() {
        assert!(matches!(Pattern::parse("/(\\w{200}){200}/"), Err(PatternError::Syntax(_))));
        assert!(matches!(Pattern::parse(&"x".repeat(2000)), Err(PatternError::Long(2000))));
    }

    #[test]
    fn whole_expressions_are_anchored_and_cannot_break_out() {
        let expression = whole("a|b").expect("a good expression");
        assert!(expression.is_match("a") && !expression.is_match("ab"));
        assert!(whole("a)|(b").is_err());
    }
}

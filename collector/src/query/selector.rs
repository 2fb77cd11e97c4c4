//! Label selectors, `{service_name="checkout",pod=~"a|b"}`, and profile types from text.

use std::sync::Arc;

use super::pattern::{self, PatternError};
use crate::profile::ProfileType;
use crate::store::{Matcher, Test};

const MAX_BYTES: usize = 16 << 10;
const MAX_MATCHERS: usize = 32;

/// Why a selector cannot be read. `at` counts bytes from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The text ends or goes on where it should not.
    #[error("expected {expected} at byte {at}; write it like {{service_name=\"checkout\"}}")]
    Expected {
        /// What should stand there.
        expected: &'static str,
        /// Where.
        at: usize,
    },
    /// An expression is refused.
    #[error("label `{label}`: {source}")]
    Expression {
        /// Which label's.
        label: Arc<str>,
        /// Why.
        source: PatternError,
    },
    /// It is too long.
    #[error("longer than {MAX_BYTES} bytes or {MAX_MATCHERS} conditions")]
    Long,
    /// A profile type does not have five parts.
    #[error(
        "`{0}` is no profile type: give name:sample_type:sample_unit:period_type:period_unit, \
         as /api/v1/profile/types lists them"
    )]
    Type(String),
}

/// Reads a selector; empty text and `{}` select everything.
///
/// # Errors
/// The text is no selector; the error says where.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, SelectorError> {
    if text.len() > MAX_BYTES {
        return Err(SelectorError::Long);
    }
    let mut cursor = Cursor { text, at: 0 };
    cursor.skip_space();
    if cursor.rest().is_empty() {
        return Ok(Vec::new());
    }
    cursor.expect("{", "`{`")?;
    let matchers = cursor.matchers()?;
    cursor.skip_space();
    if cursor.rest().is_empty() { Ok(matchers) } else { Err(cursor.expected("the end")) }
}

/// Reads a profile type in its five-part spelling.
///
/// # Errors
/// There are not five parts, or the first three are not all given.
pub fn parse_type(text: &str) -> Result<ProfileType, SelectorError> {
    let parts: Vec<Arc<str>> = text.split(':').map(Arc::from).collect();
    let refused = || SelectorError::Type(text.chars().take(128).collect());
    let [name, sample_type, sample_unit, period_type, period_unit]: [Arc<str>; 5] =
        parts.try_into().map_err(|_| refused())?;
    if name.is_empty() || sample_type.is_empty() {
        return Err(refused());
    }
    Ok(ProfileType { name, sample_type, sample_unit, period_type, period_unit })
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl Cursor<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn expected(&self, expected: &'static str) -> SelectorError {
        SelectorError::Expected { expected, at: self.at }
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn expect(&mut self, token: &str, named: &'static str) -> Result<(), SelectorError> {
        if self.take(token) { Ok(()) } else { Err(self.expected(named)) }
    }

    fn matchers(&mut self) -> Result<Vec<Matcher>, SelectorError> {
        let mut matchers = Vec::new();
        while !self.take("}") {
            if !matchers.is_empty() {
                self.expect(",", "`,` or `}`")?;
                if self.take("}") {
                    break;
                }
            }
            matchers.push(self.matcher()?);
            if matchers.len() > MAX_MATCHERS {
                return Err(SelectorError::Long);
            }
        }
        Ok(matchers)
    }

    fn matcher(&mut self) -> Result<Matcher, SelectorError> {
        let label = self.label()?;
        let operator = ["=~", "!~", "!=", "="].into_iter().find(|operator| self.take(operator));
        let operator = operator.ok_or_else(|| self.expected("`=`, `!=`, `=~` or `!~`"))?;
        let value = self.quoted()?;
        let expression = |value: &str| {
            pattern::whole(value)
                .map_err(|source| SelectorError::Expression { label: Arc::clone(&label), source })
        };
        let test = match operator {
            "=" => Test::Equals(value.into()),
            "!=" => Test::NotEquals(value.into()),
            "=~" => Test::Matches(expression(&value)?),
            _ => Test::NotMatches(expression(&value)?),
        };
        Ok(Matcher { label, test })
    }

    fn label(&mut self) -> Result<Arc<str>, SelectorError> {
        self.skip_space();
        let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.');
        let length = self.rest().find(ends).unwrap_or(self.rest().len());
        let label = Arc::from(&self.rest()[..length]);
        if length == 0 || self.rest().starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return Err(self.expected("a label name"));
        }
        self.at += length;
        Ok(label)
    }

    fn quoted(&mut self) -> Result<String, SelectorError> {
        self.expect("\"", "a value in double quotes")?;
        let mut value = String::new();
        while let Some(next) = self.rest().chars().next() {
            self.at += next.len_utf8();
            match next {
                '"' => return Ok(value),
                '\\' => value.push(self.escaped()?),
                other => value.push(other),
            }
        }
        Err(self.expected("a closing quote"))
    }

    fn escaped(&mut self) -> Result<char, SelectorError> {
        let escaped = match self.rest().chars().next() {
            Some('n') => '\n',
            Some(same @ ('"' | '\\')) => same,
            _ => return Err(self.expected("`\\\"`, `\\\\` or `\\n`")),
        };
        self.at += 1;
        Ok(escaped)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Vec<String> {
        let matchers = parse_selector(text).expect("a good selector");
        matchers.iter().map(|matcher| format!("{} {:?}", matcher.label, matcher.test)).collect()
    }

    fn refused(text: &str) -> String {
        parse_selector(text).expect_err("a bad selector").to_string()
    }

    #[test]
    fn all_operators_and_spaces_are_read() {
        assert_eq!(parsed(""), Vec::<String>::new());
        assert_eq!(parsed(" { } "), Vec::<String>::new());
        let matchers = parsed(r#"{a="1", b != "2",k8s.pod=~"x|y" , d!~"z",}"#);
        assert_eq!(matchers.len(), 4);
        assert_eq!(matchers[0], r#"a Equals("1")"#);
        assert!(matchers[2].contains("^(?:x|y)$"), "{}", matchers[2]);
    }

    #[test]
    fn escapes_stand_for_quote_backslash_and_newline() {
        assert_eq!(parsed(r#"{a="x\"y\\z\n}"}"#), [r#"a Equals("x\"y\\z\n}")"#]);
    }

    #[test]
    fn a_refusal_says_where_and_what_was_expected() {
        assert!(refused("{a=\"b\"").contains("`,` or `}` at byte 6"));
        assert!(refused("{a=b}").contains("double quotes at byte 3"));
        assert!(refused("{1a=\"b\"}").contains("a label name at byte 1"));
        assert!(refused("a=\"b\"").contains("`{` at byte 0"));
        assert!(refused("{a=\"b\"}x").contains("the end at byte 7"));
        assert!(refused("{a=\"\\q\"}").contains("at byte 5"));
        assert!(refused("{pod=~\"(\"}").contains("label `pod`"));
    }

    #[test]
    fn a_type_has_five_parts() {
        let text = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
        assert_eq!(parse_type(text).expect("five parts").to_string(), text);
        assert!(parse_type("process_cpu:cpu").is_err());
        assert!(parse_type("a:b:c:d:e:f").is_err());
        assert!(parse_type("::::").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[{}=~!\",a-c\\\\ \u{e9}]{0,40}") {
            let _ = parse_selector(&text);
        }
    }
}

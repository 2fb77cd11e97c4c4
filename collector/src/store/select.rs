//! Questions to the store and the shapes of its answers. Text forms of a selector are `query`'s.

use std::sync::Arc;

use super::symbols::{Series, StackId};
use crate::profile::ProfileType;

/// Which samples a question is about. All conditions hold at once.
#[derive(Clone, Debug)]
pub struct Select {
    /// Only this type; `None` takes all, whose values should then not be added up.
    pub profile_type: Option<ProfileType>,
    /// Conditions on labels.
    pub matchers: Vec<Matcher>,
    /// Start of the range, inclusive, in milliseconds since 1970.
    pub from_unix_ms: i64,
    /// End of the range, exclusive, in milliseconds since 1970.
    pub until_unix_ms: i64,
}

/// One condition on one label. A label that is missing counts as the empty string.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Name of the label.
    pub label: Arc<str>,
    /// What its value must be.
    pub test: Test,
}

/// A condition on a label's value. Expressions must come anchored (`^(?:…)$`) where they should
/// match whole values.
#[derive(Clone, Debug)]
pub enum Test {
    /// The value is this.
    Equals(Arc<str>),
    /// The value is anything else.
    NotEquals(Arc<str>),
    /// The expression finds a match.
    Matches(regex::Regex),
    /// The expression finds none.
    NotMatches(regex::Regex),
}

impl Test {
    /// Whether `value` passes.
    #[must_use]
    pub fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Equals(wanted) => value == wanted.as_ref(),
            Self::NotEquals(unwanted) => value != unwanted.as_ref(),
            Self::Matches(expression) => expression.is_match(value),
            Self::NotMatches(expression) => !expression.is_match(value),
        }
    }
}

impl Select {
    /// Whether a series passes the type and label conditions; time is not looked at.
    #[must_use]
    pub fn accepts(&self, series: &Series) -> bool {
        self.profile_type.as_ref().is_none_or(|wanted| *wanted == series.profile_type)
            && self.matchers.iter().all(|matcher| {
                matcher.test.accepts(series.labels.get(&matcher.label).map_or("", |value| value))
            })
    }
}

/// How finely samples of a range are kept; see [`super::Snapshot::kept`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Start of the first window that has a part of the range, in milliseconds since 1970.
    pub from_unix_ms: i64,
    /// End of the last one.
    pub until_unix_ms: i64,
    /// Length of the longest window in the range, in milliseconds; 1 where nothing was added up.
    pub window_ms: i64,
}

/// A stored file that could not be read, so that answers lack its samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its name below the data directory.
    pub file: String,
    /// How many samples it had, of all services.
    pub samples: u64,
}

/// Values added up by stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    /// Each stack once with its sum, in no particular order.
    pub stacks: Vec<(StackId, i64)>,
    /// How many events (timer ticks, allocations) the values stand for: the sum of value divided by
    /// period, over the series that know their period.
    pub events: f64,
    /// Sum of the values whose series do not know their period, so that `events` says nothing
    /// about them.
    pub value_without_period: i64,
    /// Series that passed the conditions (with samples in the range or not).
    pub series: usize,
}

/// Values added up by stack, service by service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MergedServices {
    /// The services, in the order of their names.
    pub services: Vec<ServiceStacks>,
    /// As [`Merged::events`].
    pub events: f64,
    /// As [`Merged::value_without_period`].
    pub value_without_period: i64,
}

/// Values of one service added up by stack.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceStacks {
    /// The service's name.
    pub service: Arc<str>,
    /// Each stack once with its sum, in no particular order.
    pub stacks: Vec<(StackId, i64)>,
}

/// How [`Timeline`] splits each step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimelineBy {
    /// One total per step.
    Nothing,
    /// One total per step and stack.
    Stack,
    /// One total per step and value of this label; series without it count as the empty string.
    Label(Arc<str>),
}

/// Sums over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Start of the first step: `Select::from_unix_ms`.
    pub from_unix_ms: i64,
    /// Length of a step in milliseconds.
    pub step_ms: i64,
    /// Number of steps that cover the range.
    pub steps: usize,
    /// The sums that are not zero, ordered by step.
    pub points: Vec<TimelinePoint>,
}

/// The sum of one group in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelinePoint {
    /// Which step, from 0.
    pub step: u32,
    /// Which group of the step.
    pub group: TimelineGroup,
    /// Sum of the values.
    pub value: i64,
}

/// One group of a step, as [`TimelineBy`] asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimelineGroup {
    /// Everything.
    All,
    /// One stack.
    Stack(StackId),
    /// One value of the label.
    Label(Arc<str>),
}

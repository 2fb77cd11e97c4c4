//! How fine samples are kept: as they came, and with age in one sum per minute, then per hour.

use serde::{Deserialize, Serialize};

pub(super) const MINUTE_MS: i64 = 60_000;
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Length of the windows that a file's samples are added up over, finest first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub(super) enum Grain {
    /// As the sender's profiles have it.
    #[default]
    AsSent,
    Minute,
    Hour,
}

impl Grain {
    /// Length of a window in milliseconds; 1 where times are kept as they are.
    pub(super) fn window_ms(self) -> i64 {
        match self {
            Self::AsSent => 1,
            Self::Minute => MINUTE_MS,
            Self::Hour => HOUR_MS,
        }
    }

    /// Time that one file covers, in milliseconds. Hourly sums are few, so a file has a day of them.
    pub(super) fn file_ms(self) -> i64 {
        match self {
            Self::AsSent | Self::Minute => HOUR_MS,
            Self::Hour => DAY_MS,
        }
    }

    /// Start of the window that a time lies in.
    pub(super) fn floor(self, unix_ms: i64) -> i64 {
        floor(unix_ms, self.window_ms())
    }

    /// End of the window that a time lies in; the time itself where a window begins.
    pub(super) fn ceil(self, unix_ms: i64) -> i64 {
        self.floor(unix_ms.saturating_add(self.window_ms() - 1))
    }
}

/// The largest multiple of `step_ms` that is not above `unix_ms`.
pub(super) fn floor(unix_ms: i64, step_ms: i64) -> i64 {
    unix_ms.saturating_sub(unix_ms.rem_euclid(step_ms))
}

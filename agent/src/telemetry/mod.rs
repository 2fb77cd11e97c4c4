//! What the agent says about itself: metrics, health, its own profile, its log.
#![forbid(unsafe_code)]

mod health;
mod limiter;
mod log;
mod losses;
mod metrics;
mod own_profile;
mod own_usage;
mod server;
mod unwind;

pub use health::Health;
pub use limiter::Limiter;
pub use log::{LogError, start_log};
pub use losses::Losses;
pub use metrics::{
    BurstLabels, FrameLabels, Metrics, ProgramLabels, ReasonLabels, SecondsCounter, StackEndLabels,
};
pub use own_profile::{OwnProfile, OwnProfileError};
pub use own_usage::OwnUsage;
pub use server::{bind, serve};
pub use unwind::UnwindMetrics;

//! What the agent says about itself: metrics, health, its own profile, its log.
#![forbid(unsafe_code)]

mod limiter;

pub use limiter::Limiter;

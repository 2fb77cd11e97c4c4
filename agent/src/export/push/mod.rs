//! Profiles to a collector or a Pyroscope server, over `push.v1.PusherService/Push`.
//!
//! ```text
//! window ─ requests() ─▶ Pusher::push ─▶ queue (bytes and count bounded, oldest dropped)
//!                                          └─▶ Sender::run ─▶ HTTP, retried with the same bytes
//! ```

mod backoff;
mod batch;
mod client;
mod metrics;
mod proto;
mod queue;
mod sender;
mod settings;

pub use batch::{Identity, Request, requests};
pub use client::SetupError;
pub use metrics::{Outcome, OutcomeLabels, PushMetrics};
pub use sender::{Pusher, Sender, channel};
pub use settings::{Credentials, PushSettings};

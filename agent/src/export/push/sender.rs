//! Takes requests from the queue, one at a time, until each has had its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::backoff::Backoff;
use super::batch::Request;
use super::client::{Answer, PushClient, SetupError};
use super::metrics::{Outcome, PushMetrics};
use super::queue::Queue;
use super::settings::PushSettings;
use crate::telemetry::{Limiter, Losses};

/// Attempts on which a server may break before the request is taken to be the cause.
const BROKEN_ATTEMPTS: u32 = 10;

/// The pipeline's end of the queue. Clones push into the same queue.
#[derive(Clone)]
pub struct Pusher(Arc<Queue>);

impl Pusher {
    /// Queues a request. Never waits for the network: when there is no room, the oldest are dropped
    /// and counted.
    pub fn push(&self, request: Request) {
        self.0.push(request);
    }
}

/// The network's end of the queue.
pub struct Sender {
    queue: Arc<Queue>,
    client: PushClient,
    settings: PushSettings,
    metrics: PushMetrics,
    warnings: Limiter,
}

/// A queue and its two ends.
///
/// # Errors
/// When the address or a header cannot be used, or the system has no usable certificates.
pub fn channel(
    settings: PushSettings,
    metrics: PushMetrics,
    losses: Losses,
) -> Result<(Pusher, Sender), SetupError> {
    let client = PushClient::new(&settings)?;
    let queue = Queue::new(settings.queue_bytes, settings.queue_requests, metrics.clone(), losses);
    let queue = Arc::new(queue);
    let warnings = Limiter::new(Duration::from_secs(60));
    Ok((Pusher(Arc::clone(&queue)), Sender { queue, client, settings, metrics, warnings }))
}

impl Sender {
    /// Sends until `stop` is ready, then sends what is left for at most `flush_timeout`; what could
    /// not be delivered is counted. Returns how many requests that were.
    pub async fn run(self, stop: impl Future<Output = ()>) -> usize {
        let (closing, closes) = watch::channel(false);
        let mut work = Box::pin(self.work(closes));
        tokio::select! {
            () = &mut work => {}
            () = stop => {
                closing.send_replace(true);
                // Either way `close` counts what is left.
                let _ = timeout(self.settings.flush_timeout, &mut work).await;
            }
        }
        drop(work);
        self.close()
    }

    fn close(&self) -> usize {
        let left = self.queue.close();
        if left > 0 {
            let (url, after) = (&self.settings.url, self.settings.flush_timeout);
            tracing::error!(left, url, ?after, "ended before all profiles were delivered");
        }
        left
    }

    /// Ends when the queue is empty and `closing` is true.
    async fn work(&self, mut closing: watch::Receiver<bool>) {
        loop {
            match self.queue.take() {
                Some(request) => {
                    let outcome = self.deliver(&request, &mut closing).await;
                    self.queue.done(outcome);
                }
                None if *closing.borrow() => return,
                None => tokio::select! {
                    () = self.queue.arrived() => {}
                    _ = closing.changed() => {}
                },
            }
        }
    }

    /// Repeats attempts until the request has an end.
    async fn deliver(&self, request: &Request, closing: &mut watch::Receiver<bool>) -> Outcome {
        let mut backoff = Backoff::new(self.settings.first_pause, self.settings.longest_pause);
        let mut broken_attempts = 0;
        loop {
            match self.client.post(request).await {
                Answer::Delivered => {
                    self.metrics.delivered_bytes.inc_by(request.len() as u64);
                    return self.delivered();
                }
                Answer::Refused { why } => return self.lost(Outcome::Refused, &why),
                Answer::Retry { why, after, broken } => {
                    broken_attempts += u32::from(broken);
                    if broken_attempts >= BROKEN_ATTEMPTS {
                        return self.lost(Outcome::GivenUp, &why);
                    }
                    self.retried(request, &why);
                    pause(backoff.next_pause(after), closing).await;
                }
            }
        }
    }

    fn delivered(&self) -> Outcome {
        if let Some(failed) = self.warnings.reset() {
            info!(url = self.settings.url, failed, "profiles are delivered again");
        }
        Outcome::Delivered
    }

    fn lost(&self, outcome: Outcome, why: &str) -> Outcome {
        if let Some(suppressed) = self.warnings.permit() {
            let url = &self.settings.url;
            tracing::error!(url, why, suppressed, outcome = outcome.label(), "a push was lost");
        }
        outcome
    }

    fn retried(&self, request: &Request, why: &str) {
        self.metrics.count(Outcome::Retried, 1, request.profiles);
        if let Some(suppressed) = self.warnings.permit() {
            warn!(url = self.settings.url, why, suppressed, "a push failed and is tried again");
        }
    }
}

/// Ends early when the agent is about to end: one more attempt is better than a pause.
async fn pause(time: Duration, closing: &mut watch::Receiver<bool>) {
    if *closing.borrow() {
        sleep(time).await;
    } else {
        tokio::select! {
            () = sleep(time) => {}
            _ = closing.changed() => {}
        }
    }
}

#[cfg(test)]
#[path = "sender_tests.rs"]
mod tests;

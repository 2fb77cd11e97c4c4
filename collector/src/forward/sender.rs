//! Takes requests from the queue, a few at a time, until each has had its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::client::{Answer, ForwardClient, SetupError};
use super::metrics::{ForwardMetrics, Outcome};
use super::queue::Queue;
use super::{ForwardSettings, Forwarded};

/// Attempts on which a server may break before the request is taken to be the cause.
const BROKEN_ATTEMPTS: u32 = 5;

/// The ingest's end of the queue; clones push into the same one.
#[derive(Clone)]
pub struct Forwarder(Arc<Queue>);

impl Forwarder {
    /// Queues a request. Never waits: without room the oldest are dropped and counted.
    pub fn push(&self, request: Forwarded) {
        self.0.push(request);
    }
}

/// The network's end of the queue.
pub struct Sender {
    queue: Arc<Queue>,
    settings: ForwardSettings,
    work: Arc<Work>,
}

struct Work {
    client: ForwardClient,
    settings: ForwardSettings,
    metrics: ForwardMetrics,
    /// Whether the backend's absence has been said.
    said: AtomicBool,
}

/// A queue and its two ends.
///
/// # Errors
/// The address or the system's certificates cannot be used.
pub fn channel(
    settings: ForwardSettings,
    metrics: ForwardMetrics,
) -> Result<(Forwarder, Sender), SetupError> {
    let client = ForwardClient::new(&settings)?;
    let queue = Arc::new(Queue::new(&settings, metrics.clone()));
    let said = AtomicBool::new(false);
    let work = Arc::new(Work { client, settings: settings.clone(), metrics, said });
    Ok((Forwarder(Arc::clone(&queue)), Sender { queue, settings, work }))
}

impl Sender {
    /// Sends until `stop` resolves, then what is left for a while; the rest is counted.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut workers = JoinSet::new();
        for _ in 0..self.settings.connections.max(1) {
            let (queue, work) = (Arc::clone(&self.queue), Arc::clone(&self.work));
            workers.spawn(async move {
                while let Some(request) = queue.take().await {
                    let mut under_way = UnderWay { work: &work, request: Some(request) };
                    under_way.send().await;
                }
            });
        }
        stop.await;
        self.queue.close();
        let all = async { while workers.join_next().await.is_some() {} };
        if timeout(self.settings.grace, all).await.is_err() {
            workers.shutdown().await;
        }
        self.queue.drop_rest();
    }
}

/// A request that has left the queue; if its worker is ended, it is counted as lost.
struct UnderWay<'a> {
    work: &'a Work,
    request: Option<Forwarded>,
}

impl UnderWay<'_> {
    async fn send(&mut self) {
        let Some(request) = &self.request else { return };
        let outcome = self.work.deliver(request).await;
        self.work.metrics.ended(request.signal, outcome);
        self.request = None;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(request) = &self.request {
            self.work.metrics.ended(request.signal, Outcome::Shutdown);
        }
    }
}

impl Work {
    async fn deliver(&self, request: &Forwarded) -> Outcome {
        let mut backoff = Backoff::new(self.settings.longest_pause);
        let mut broken_attempts = 0;
        loop {
            let (why, after) = match self.client.post(request).await {
                Answer::Delivered => {
                    if self.said.swap(false, Ordering::Relaxed) {
                        tracing::info!(url = self.settings.url, "forwarding works again");
                    }
                    return Outcome::Delivered;
                }
                Answer::Refused(why) => {
                    self.say(&why);
                    return Outcome::Refused;
                }
                Answer::Retry { why, after, broken } => {
                    broken_attempts += u32::from(broken);
                    if broken_attempts >= BROKEN_ATTEMPTS {
                        self.say(&why);
                        return Outcome::Broken;
                    }
                    (why, after)
                }
            };
            self.metrics.failed();
            self.say(&why);
            sleep(backoff.next(after)).await;
        }
    }

    /// Once, until something is delivered again.
    fn say(&self, why: &str) {
        if !self.said.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                url = self.settings.url,
                why,
                "forwarding fails; see /metrics for how much"
            );
        }
    }
}

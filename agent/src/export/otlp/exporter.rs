//! The task that sends, and the queue before it.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::SpanExporter as _;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc::{self, Receiver, Sender, error::TrySendError};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::client::{MetricsClient, connect};
use super::metrics::{Around, request};
use super::own_metrics::{OtlpMetrics, SpanOutcome};
use super::spans::{data, resource, scope};
use super::{OtlpSettings, OtlpSetupError};
use crate::kernel::{boot_ns, unix_ns};
use crate::requests::{Process, RequestMetrics, Span};
use crate::telemetry::Limiter;

/// Spans that may wait.
const WAITING: usize = 8192;
/// How often they go out.
const PAUSE: Duration = Duration::from_secs(1);
/// Spans in one request at most.
const BATCH: usize = 512;
/// Longest time to deliver what is left when the agent ends.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The pipeline's end of the queue. Clones push into the same queue.
#[derive(Clone)]
pub struct SpanQueue {
    sender: Sender<Span>,
    metrics: OtlpMetrics,
}

impl SpanQueue {
    /// Queues spans. Never waits: what has no room is dropped and counted.
    pub fn push(&self, spans: Vec<Span>) {
        let full = |span| matches!(self.sender.try_send(span), Err(TrySendError::Full(_)));
        let dropped = spans.into_iter().filter_map(|span| full(span).then_some(())).count();
        self.metrics.count_spans(SpanOutcome::QueueFull, dropped);
    }
}

/// The network's end of the queue.
pub struct Exporter {
    settings: OtlpSettings,
    host: String,
    spans_in: Receiver<Span>,
    spans_out: SpanExporter,
    metrics_out: MetricsClient,
    requests: RequestMetrics,
    metrics: OtlpMetrics,
    scope: InstrumentationScope,
    first_clock_ns: u64,
    /// Spans out of the queue that have no outcome yet.
    under_way: usize,
    warnings: Limiter,
}

/// A queue and its two ends.
///
/// # Errors
/// When an address or a header cannot be used, or the system has no usable certificates.
pub fn channel(
    settings: OtlpSettings,
    host: String,
    requests: RequestMetrics,
    metrics: OtlpMetrics,
) -> Result<(SpanQueue, Exporter), OtlpSetupError> {
    let (spans_out, metrics_out) = connect(&settings)?;
    let (sender, spans_in) = mpsc::channel(WAITING);
    let queue = SpanQueue { sender, metrics: metrics.clone() };
    let warnings = Limiter::new(Duration::from_secs(60));
    let scope = scope();
    let exporter = Exporter {
        settings,
        host,
        spans_in,
        spans_out,
        metrics_out,
        requests,
        metrics,
        scope,
        first_clock_ns: unix_ns(0),
        under_way: 0,
        warnings,
    };
    Ok((queue, exporter))
}

impl Exporter {
    /// Sends until `stop` is ready, then what is left, for a bounded time.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut pause = interval(PAUSE);
        pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = Instant::now() + self.settings.interval;
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = pause.tick() => self.send_spans().await,
                () = sleep_until(next) => {
                    next = Instant::now() + self.settings.interval;
                    self.send_metrics().await;
                }
            }
        }
        let rest = async {
            self.send_spans().await;
            self.send_metrics().await;
        };
        if timeout(LAST_WORDS, rest).await.is_err() {
            tracing::error!(url = self.settings.traces, "ended before all spans were delivered");
            self.metrics.count_spans(SpanOutcome::Failed, self.under_way + self.spans_in.len());
        }
    }

    async fn send_spans(&mut self) {
        loop {
            let mut batch: FxHashMap<Arc<Process>, Vec<Span>> = FxHashMap::default();
            let mut count = 0;
            while count < BATCH
                && let Ok(span) = self.spans_in.try_recv()
            {
                batch.entry(Arc::clone(&span.process)).or_default().push(span);
                count += 1;
            }
            self.under_way = count;
            for (process, spans) in batch {
                self.send_batch(&process, spans).await;
            }
            if count < BATCH {
                return;
            }
        }
    }

    async fn send_batch(&mut self, process: &Process, spans: Vec<Span>) {
        let (count, clock_ns) = (spans.len(), unix_ns(0));
        let batch = spans.into_iter().map(|span| data(span, &self.scope, clock_ns)).collect();
        self.spans_out.set_resource(&resource(process, &self.host));
        let outcome = match self.spans_out.export(batch).await {
            Ok(()) => SpanOutcome::Delivered,
            Err(error) => {
                if let Some(silenced) = self.warnings.permit() {
                    let url = &self.settings.traces;
                    tracing::warn!(%error, url, silenced, "spans are not delivered");
                }
                SpanOutcome::Failed
            }
        };
        self.metrics.count_spans(outcome, count);
        self.under_way -= count;
    }

    async fn send_metrics(&mut self) {
        let metrics = self.requests.export();
        if metrics.is_empty() {
            return;
        }
        let (host, histograms) = (&*self.host, self.settings.histograms);
        let around = Around {
            host,
            histograms,
            clock_ns: unix_ns(0),
            first_clock_ns: self.first_clock_ns,
            now_ns: boot_ns(),
        };
        let sent = self.metrics_out.send(request(metrics, &around)).await;
        let outcome = match sent {
            Ok(()) => SpanOutcome::Delivered,
            Err(error) => {
                if let Some(silenced) = self.warnings.permit() {
                    let url = &self.settings.metrics;
                    tracing::warn!(error, url, silenced, "metrics are not delivered");
                }
                SpanOutcome::Failed
            }
        };
        self.metrics.count_metrics(outcome, 1);
    }
}

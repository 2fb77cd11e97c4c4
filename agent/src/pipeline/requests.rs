//! The threads that measure HTTP requests: one empties the socket ring, the other makes exchanges of
//! what it finds. Where the kernel refuses, profiling goes on without them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use sonde_ebpf::DropReason;

use super::{Counters, thread};
use crate::{
    export::otlp::SpanQueue,
    kernel::{KernelError, Programs, SocketBatch, SocketDrain, boot_ns},
    record::SocketCall,
    requests::{Connections, RequestMetrics, SamplingSettings, Span},
};

/// Batches that may wait: of 1 MiB each at most.
const WAITING: usize = 32;
/// How often what waits too long is ended, and losses are counted.
const TICK: Duration = Duration::from_secs(1);

/// How requests are measured, and where their spans go.
#[derive(Clone)]
pub struct RequestSettings {
    /// Which spans are kept.
    pub sampling: SamplingSettings,
    /// Who takes them; `None` if nobody does.
    pub spans: Option<SpanQueue>,
}

impl RequestSettings {
    fn hand_on(&self, spans: Vec<Span>) {
        if let Some(queue) = &self.spans {
            queue.push(spans);
        }
    }
}

/// The running threads.
pub(super) struct Requests {
    drain: SocketDrain,
    thread: JoinHandle<()>,
}

impl Requests {
    /// Starts watching; `None`, and a word in the log, where that can't be.
    pub(super) fn start(
        programs: &mut Programs,
        counters: &Counters,
        settings: RequestSettings,
    ) -> Option<Self> {
        let started = Self::try_start(programs, counters, settings);
        if let Err(error) = &started {
            tracing::warn!(%error, "HTTP requests are not measured; what that needs came with Linux 6.3");
        }
        started.ok()
    }

    fn try_start(
        programs: &mut Programs,
        counters: &Counters,
        settings: RequestSettings,
    ) -> Result<Self, KernelError> {
        let (batches, batches_in) = sync_channel(WAITING);
        programs.start_socket_watch()?;
        let drain = SocketDrain::start(programs, batches)?;
        let (metrics, dropped) = (counters.metrics.requests.clone(), drain.dropped());
        let thread = thread("requests", move || {
            run(&batches_in, &metrics, &settings, &dropped);
        })?;
        Ok(Self { drain, thread })
    }

    /// Lets everything that was captured be counted.
    pub(super) fn stop(self) {
        self.drain.stop();
        if self.thread.join().is_err() {
            tracing::error!("the thread that measures requests panicked");
        }
    }
}

fn run(
    batches: &Receiver<SocketBatch>,
    metrics: &RequestMetrics,
    settings: &RequestSettings,
    dropped: &Arc<AtomicU64>,
) {
    let mut connections = Connections::new("/proc".into(), metrics.clone(), settings.sampling);
    let (mut told, mut next) = (0, Instant::now() + TICK);
    loop {
        match batches.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(batch) => {
                for record in batch.records() {
                    match SocketCall::decode(record) {
                        Ok(call) => connections.take(&call),
                        Err(_) => metrics.lose(DropReason::SocketRecordInvalid, 1),
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if Instant::now() >= next {
            next = Instant::now() + TICK;
            connections.tick(boot_ns());
            settings.hand_on(connections.take_spans());
            let now = dropped.load(Ordering::Relaxed);
            let dropped = now - std::mem::replace(&mut told, now);
            metrics.lose(DropReason::SocketQueueFull, dropped);
        }
    }
    connections.end(boot_ns());
    settings.hand_on(connections.take_spans());
}

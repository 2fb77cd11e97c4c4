//! The thread that empties the kernel's rings. It never waits for a lock, a file or the network:
//! what the pipeline has no room for is dropped here, and counted.

use std::{
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsRawFd as _, RawFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, SyncSender, TrySendError, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use aya::maps::{MapData, RingBuf};

use super::{
    KernelError, Programs, boot_ns, priority,
    process_events::{ProcessEvents, RingChange},
};
use crate::record::{ProcessEvent, ProcessEventKind, Sample, decode_process_event};

/// How long records wait in the rings at most.
const INTERVAL: Duration = Duration::from_millis(100);

/// All that one round found, in order of time.
#[derive(Debug, Default)]
pub struct Batch {
    /// Samples, oldest first.
    pub samples: Vec<Sample>,
    /// Process events, oldest first. All that happened before the last sample are among these or
    /// came with an earlier batch.
    pub process_events: Vec<ProcessEvent>,
    /// All that happened to processes before this time, on `CLOCK_BOOTTIME`, is known by now.
    pub known_until_ns: u64,
    /// Samples that did not decode.
    pub invalid_samples: u64,
    /// Records of processes that did not decode.
    pub invalid_events: u64,
    /// When the round was over, on `CLOCK_BOOTTIME`.
    pub drained_boot_ns: u64,
}

/// What the outside may know of the drain thread.
#[derive(Clone, Debug, Default)]
pub struct DrainHealth(Arc<DrainState>);

#[derive(Debug, Default)]
struct DrainState {
    samples_dropped: AtomicU64,
}

impl DrainHealth {
    /// Samples dropped because the pipeline was behind.
    #[must_use]
    pub fn samples_dropped(&self) -> u64 {
        self.0.samples_dropped.load(Ordering::Relaxed)
    }
}

/// The running thread.
pub struct Drain {
    thread: JoinHandle<()>,
    stop: UnixStream,
    rings: Sender<RingChange>,
}

impl Drain {
    /// Starts the thread, which sends a batch per round to `batches`.
    ///
    /// # Errors
    /// If the rings can't be opened or the thread can't be started.
    pub fn start(
        programs: &mut Programs,
        batches: SyncSender<Batch>,
        health: DrainHealth,
    ) -> Result<Self, KernelError> {
        let failed = |error| KernelError::PerfEvent { what: "a thread to read its rings", error };
        let (stop, stopped) = UnixStream::pair().map_err(failed)?;
        stopped.set_nonblocking(true).map_err(failed)?;
        let (changes, changed) = channel();
        let rings = Rings {
            samples: programs.take_samples()?,
            process_events: programs.open_process_events()?,
            changed,
            kept: Vec::new(),
            log: programs.take_log(),
        };
        let thread = std::thread::Builder::new()
            .name("drain".into())
            .spawn(move || run(rings, &stopped, &batches, &health))
            .map_err(failed)?;
        Ok(Self { thread, stop, rings: changes })
    }

    /// Where the thread is told of CPUs that come and go.
    #[must_use]
    pub fn rings(&self) -> Sender<RingChange> {
        self.rings.clone()
    }

    /// Reads what is there, sends it, and ends the thread.
    pub fn stop(mut self) {
        if let Err(error) = self.stop.write_all(b"x") {
            tracing::warn!(%error, "the drain thread can't be told to stop");
            return;
        }
        if self.thread.join().is_err() {
            tracing::error!("the drain thread panicked");
        }
    }
}

struct Rings {
    samples: RingBuf<MapData>,
    process_events: ProcessEvents,
    changed: Receiver<RingChange>,
    /// Process events of a batch that found no room: without them later samples have no names.
    kept: Vec<ProcessEvent>,
    log: Option<aya_log::EbpfLogger<&'static dyn log::Log>>,
}

/// Time in which a record that has its time stamp is surely in its ring.
const RECORD_NS: u64 = 1_000_000;

/// Process events kept for a pipeline that is behind; more are given up, and counted.
const MAX_KEPT: usize = 1 << 16;

fn run(
    mut rings: Rings,
    mut stopped: &UnixStream,
    batches: &SyncSender<Batch>,
    health: &DrainHealth,
) {
    priority::go_first();
    loop {
        wait([rings.samples.as_raw_fd(), stopped.as_raw_fd()], INTERVAL);
        let stop = matches!(stopped.read(&mut [0]), Ok(1..));
        let batch = rings.round();
        if stop {
            // Nothing is captured any more, so this may wait for room.
            let _pipeline_gone = batches.send(batch);
            return;
        }
        match batches.try_send(batch) {
            Ok(()) => {}
            Err(TrySendError::Full(batch)) => {
                health.0.samples_dropped.fetch_add(batch.samples.len() as u64, Ordering::Relaxed);
                rings.keep(batch.process_events);
            }
            Err(TrySendError::Disconnected(_)) => return,
        }
    }
}

impl Rings {
    /// Samples first: what happened to a process before its sample is then surely in its ring.
    fn round(&mut self) -> Batch {
        let process_events = std::mem::take(&mut self.kept);
        let mut batch = Batch { process_events, ..Batch::default() };
        while let Some(record) = self.samples.next() {
            match Sample::decode(&record) {
                Ok(sample) => batch.samples.push(sample),
                Err(_) => batch.invalid_samples += 1,
            }
        }
        batch.known_until_ns = boot_ns().saturating_sub(RECORD_NS);
        let mut take = |record: &[u8]| match decode_process_event(record) {
            Ok(Some(event)) => batch.process_events.push(event),
            Ok(None) => {}
            Err(_) => batch.invalid_events += 1,
        };
        self.process_events.drain(&mut take);
        while let Ok(change) = self.changed.try_recv() {
            self.process_events.change(change, &mut take);
        }
        if let Some(log) = &mut self.log {
            log.flush();
        }
        batch.samples.sort_by_key(|sample| sample.boot_ns);
        batch.process_events.sort_by_key(|event| event.boot_ns);
        batch.drained_boot_ns = boot_ns();
        batch
    }

    fn keep(&mut self, mut events: Vec<ProcessEvent>) {
        let excess = events.len().saturating_sub(MAX_KEPT);
        if excess > 0 {
            let kind = ProcessEventKind::Lost { events: excess as u64 };
            events.drain(..excess);
            events.push(ProcessEvent { pid: 0, boot_ns: boot_ns(), kind });
        }
        self.kept = events;
    }
}

impl Batch {
    /// Process events that the kernel had no room for.
    #[must_use]
    pub fn process_events_lost(&self) -> u64 {
        let lost = self.process_events.iter().map(|event| match event.kind {
            ProcessEventKind::Lost { events } => events,
            _ => 0,
        });
        lost.sum()
    }
}

/// Waits until one of `fds` can be read, or for `time`.
pub(super) fn wait<const N: usize>(fds: [RawFd; N], time: Duration) {
    let mut polled = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    let milliseconds = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `polled` is an array of `N`, and the kernel writes only to it.
    let status = unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, milliseconds) };
    if status < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            tracing::warn!(%error, "waiting for the kernel's rings failed");
            std::thread::sleep(time);
        }
    }
}

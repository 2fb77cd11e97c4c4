//! The capture thread: whose is a sample, where in which file are its addresses, and how often was
//! that seen in this window. Names come later, on another thread.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError},
    },
    time::Duration,
};

use rustc_hash::FxHashSet;
use sonde_ebpf::DropReason;

use super::{
    CaptureSettings, Counters, Targets,
    handovers::Handovers,
    jit_names,
    naming::{Job, RawCosts},
    unwinding::Unwinding,
};
use crate::{
    aggregate::StackCounter,
    kernel::{Batch, DrainHealth, Programs, boot_ns},
    process::{Attribution, Cgroups, CodeAddress, FileIndex, ProcessTable, TableCounts},
    record::{ProcessEvent, ProcessEventKind, Sample},
    telemetry::ProgramLabels,
};

/// Files that the naming thread had to close and needs again.
pub(super) type Reopen = Arc<Mutex<Vec<FileIndex>>>;

/// The state of the thread.
pub(super) struct Capture {
    programs: Programs,
    drain: DrainHealth,
    counters: Counters,
    table: ProcessTable,
    unwinding: Unwinding,
    targets: Targets,
    counter: StackCounter,
    window_ns: Option<u64>,
    jobs: SyncSender<Job>,
    reopen: Reopen,
    handovers: Handovers,
    /// Programs (by serial) that were looked at for what they tell of code they make.
    jit_names: FxHashSet<u64>,
    seen: KernelCounts,
    seen_in_table: TableCounts,
    frames: Vec<CodeAddress>,
    /// Addresses that are new in this window, for the naming thread to have a head start.
    warm: Vec<CodeAddress>,
    /// When it is next told of them: waking it for each would cost more than naming them.
    warm_boot_ns: u64,
    /// Files that were handed over since then.
    new_files: usize,
}

/// The naming thread closes files to make room for others: before it does that for so many, it is
/// told of the addresses in them.
const MANY_FILES: usize = 128;
/// How often the naming thread is told of new addresses.
const WARM_NS: u64 = 1_000_000_000;
/// New addresses of which the naming thread is told at once.
const MAX_WARM: usize = 4096;

/// What the kernel side and the drain thread had counted when the last window was closed.
#[derive(Clone, Copy, Default)]
struct KernelCounts {
    ring_full: u64,
    queue_full: u64,
    cost_ns: u64,
    socket_ring_full: u64,
    socket_not_kept: u64,
    socket_program_busy: u64,
    socket_cost_ns: u64,
    syscall_table_full: u64,
    syscall_place_taken: u64,
}

impl Capture {
    pub(super) fn new(
        settings: CaptureSettings,
        programs: Programs,
        unwinding: Unwinding,
        drain: DrainHealth,
        counters: Counters,
        jobs: SyncSender<Job>,
        reopen: Reopen,
    ) -> Self {
        let window_ns =
            settings.window.map(|window| u64::try_from(window.as_nanos()).unwrap_or(u64::MAX));
        Self {
            programs,
            drain,
            counters,
            table: ProcessTable::new(PathBuf::from("/proc"), Cgroups::of_host()),
            unwinding,
            targets: settings.targets,
            counter: StackCounter::new(boot_ns()),
            window_ns,
            jobs,
            reopen,
            handovers: Handovers::default(),
            jit_names: FxHashSet::default(),
            seen: KernelCounts::default(),
            seen_in_table: TableCounts::default(),
            frames: Vec::new(),
            warm: Vec::new(),
            warm_boot_ns: 0,
            new_files: 0,
        }
    }

    /// Works until the drain thread has ended, then closes the last window.
    pub(super) fn run(mut self, batches: &Receiver<Batch>) {
        for batch in batches {
            self.counters.health.drained();
            self.batch(batch);
        }
        self.close_window(boot_ns());
    }

    /// Everything in its order: what happened to a process before its sample is known with it.
    fn batch(&mut self, batch: Batch) {
        self.counters.metrics.samples_received.inc_by(batch.samples.len() as u64);
        self.counters.lost(DropReason::RecordInvalid, batch.invalid_samples);
        self.counters.lost(DropReason::ProcessRecordInvalid, batch.invalid_events);
        let mut events = batch.process_events.iter().peekable();
        for mut sample in batch.samples {
            while let Some(event) = events.next_if(|event| event.boot_ns <= sample.boot_ns) {
                self.process_event(event);
            }
            self.close_windows_before(sample.boot_ns);
            self.sample(&mut sample);
        }
        for event in events {
            self.process_event(event);
        }
        self.close_windows_before(batch.drained_boot_ns);
        self.unwinding.end_batch(&self.table, batch.drained_boot_ns, batch.known_until_ns);
        self.warm(batch.drained_boot_ns);
        self.reopen_files();
    }

    fn process_event(&mut self, event: &ProcessEvent) {
        if let ProcessEventKind::Lost { events } = event.kind {
            self.counters.lost(DropReason::ProcessRingFull, events);
        }
        self.targets.follow(event);
        self.table.apply(event);
        self.unwinding.event(event);
    }

    fn sample(&mut self, sample: &mut Sample) {
        if !self.targets.include(sample.pid) {
            return;
        }
        let attribution = self.table.attribute(sample);
        self.unwinding.complete(&mut self.table, sample);
        let mut frames = std::mem::take(&mut self.frames);
        frames.clear();
        self.table.locate(sample, &mut frames);
        let new =
            self.counter.add(sample.pid, &attribution, sample.comm, sample.stack_end, &frames);
        if new {
            self.prepare(sample, &attribution, &frames);
        }
        self.frames = frames;
    }

    /// Gets hold of what naming will need while the process is still there.
    fn prepare(&mut self, sample: &Sample, attribution: &Attribution, frames: &[CodeAddress]) {
        let user = &frames[sample.kernel_stack.len()..];
        for (frame, address) in user.iter().zip(&sample.user_stack) {
            match frame {
                CodeAddress::File(file, _) => self.hand_over(sample.pid, *file, *address),
                CodeAddress::Jit(_) => self.hand_over_jit_names(sample.pid, attribution.serial),
                _ => {}
            }
        }
        if self.warm.len() + frames.len() <= MAX_WARM {
            self.warm.extend_from_slice(frames);
        }
    }

    fn warm(&mut self, now_boot_ns: u64) {
        let is_time = now_boot_ns >= self.warm_boot_ns || self.new_files >= MANY_FILES;
        if self.warm.is_empty() || !is_time {
            return;
        }
        self.new_files = 0;
        self.warm_boot_ns = now_boot_ns + WARM_NS;
        let warm = Job::Warm(std::mem::take(&mut self.warm).into());
        // Only a head start: a thread that is busy will come to it at the window's end.
        if let Err(TrySendError::Disconnected(_)) = self.jobs.try_send(warm) {
            tracing::error!("the naming thread is gone");
        }
    }

    fn hand_over(&mut self, pid: u32, file: FileIndex, address: u64) {
        if !self.handovers.is_due(file, pid) {
            return;
        }
        let Some(known) = self.table.files().get(file) else { return };
        let path = Arc::clone(&known.path);
        match self.table.open(pid, file, address) {
            Ok(opened) => {
                self.send(Job::File { index: file, path, file: opened });
                self.new_files += 1;
                self.handovers.done(file);
            }
            Err(error) => {
                tracing::debug!(%error, %path, pid, "a mapped file can't be opened");
                self.send(Job::FileGone { index: file, path });
                self.handovers.failed(file, pid);
            }
        }
    }

    fn hand_over_jit_names(&mut self, pid: u32, serial: u64) {
        if !self.jit_names.insert(serial) {
            return;
        }
        if let Some(file) = jit_names::find(&self.table, Path::new("/proc"), pid) {
            self.send(Job::JitNames { serial, file });
        }
    }

    fn reopen_files(&mut self) {
        let again =
            std::mem::take(&mut *self.reopen.lock().unwrap_or_else(PoisonError::into_inner));
        for file in again {
            self.handovers.forget(file);
        }
    }

    fn close_windows_before(&mut self, boot_ns: u64) {
        let Some(window_ns) = self.window_ns else { return };
        let start = self.counter.start_boot_ns();
        let elapsed = boot_ns.saturating_sub(start);
        if elapsed >= window_ns {
            // A machine that slept closes one long window, not many empty ones.
            self.close_window(start + elapsed / window_ns * window_ns);
        }
    }

    fn close_window(&mut self, end_boot_ns: u64) {
        let mut window = self.counter.close(end_boot_ns);
        for process in &mut window.processes {
            let (pid, serial) = (process.pid, process.attribution.serial);
            let born = self.table.born(pid, serial);
            process.lasting = self.table.is_alive(pid, serial)
                || born.is_some_and(|born| born < window.start_boot_ns);
        }
        self.counters.lost(DropReason::WindowFull, window.overflowed);
        let counts = self.table.counts();
        let before = std::mem::replace(&mut self.seen_in_table, counts);
        let new_regions = counts.regions_refused - before.regions_refused;
        self.counters.lost(DropReason::RegionTableFull, new_regions);
        self.counters.lost(DropReason::FileTableFull, counts.files_refused - before.files_refused);
        self.counters.metrics.count_looks(counts.looks, before.looks);
        let costs = self.count_kernel_side();
        self.counters.metrics.windows_closed.inc();
        self.unwinding.end_window(&self.counters.metrics.unwind);
        self.table.expire(end_boot_ns);
        self.unwinding.retain_processes(&self.table);
        // What was not there may be by the next window.
        self.jit_names.clear();
        self.handovers.end_window();
        let known = i64::try_from(self.table.len()).unwrap_or(i64::MAX);
        self.counters.metrics.processes.set(known);
        self.send(Job::Window { window, costs });
        self.forget_files();
    }

    /// After the window was sent: it may still name addresses in them.
    fn forget_files(&mut self) {
        let forgotten = self.table.forget_files();
        if !forgotten.is_empty() {
            for file in &forgotten {
                self.handovers.forget(*file);
                self.unwinding.forget_file(*file);
            }
            self.send(Job::Forget(forgotten));
        }
    }

    fn count_kernel_side(&mut self) -> RawCosts {
        let now = KernelCounts {
            ring_full: self.programs.dropped(DropReason::SampleRingFull),
            queue_full: self.drain.samples_dropped(),
            cost_ns: self.programs.cost_ns(),
            socket_ring_full: self.programs.dropped(DropReason::SocketRingFull),
            socket_not_kept: self.programs.dropped(DropReason::SocketNotKept),
            // What could not be read this time is read the next.
            socket_program_busy: self
                .programs
                .left_out_on_sockets()
                .max(self.seen.socket_program_busy),
            socket_cost_ns: self.programs.socket_cost_ns(),
            syscall_table_full: self.programs.dropped(DropReason::SyscallTableFull),
            syscall_place_taken: self.programs.dropped(DropReason::SyscallPlaceTaken),
        };
        let before = std::mem::replace(&mut self.seen, now);
        self.counters.lost(DropReason::SampleRingFull, now.ring_full - before.ring_full);
        self.counters.lost(DropReason::PipelineQueueFull, now.queue_full - before.queue_full);
        let sockets = now.socket_ring_full - before.socket_ring_full;
        self.counters.metrics.requests.lose(DropReason::SocketRingFull, sockets);
        let sockets = now.socket_not_kept - before.socket_not_kept;
        self.counters.metrics.requests.lose(DropReason::SocketNotKept, sockets);
        let sockets = now.socket_program_busy - before.socket_program_busy;
        self.counters.metrics.requests.lose(DropReason::SocketProgramBusy, sockets);
        let calls = now.syscall_table_full - before.syscall_table_full;
        self.counters.lost(DropReason::SyscallTableFull, calls);
        let calls = now.syscall_place_taken - before.syscall_place_taken;
        self.counters.lost(DropReason::SyscallPlaceTaken, calls);
        let bpf_cpu_ns = now.cost_ns - before.cost_ns;
        let seconds = Duration::from_nanos(bpf_cpu_ns).as_secs_f64();
        let labels = ProgramLabels { program: "cpu_sample" };
        self.counters.metrics.bpf_run_seconds.get_or_create(&labels).inc_by(seconds);
        let labels = ProgramLabels { program: "sockets" };
        let sockets_ns = now.socket_cost_ns - before.socket_cost_ns;
        let seconds = Duration::from_nanos(sockets_ns).as_secs_f64();
        self.counters.metrics.bpf_run_seconds.get_or_create(&labels).inc_by(seconds);
        RawCosts { bpf_cpu_ns }
    }

    /// Waits for room if there is none: the drain thread then drops batches, and counts them.
    fn send(&self, job: Job) {
        if self.jobs.send(job).is_err() {
            tracing::error!("the naming thread is gone");
        }
    }
}

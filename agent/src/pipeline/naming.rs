//! The naming thread: closed windows of addresses to windows of names.

use std::{
    collections::BTreeSet,
    fs::File,
    sync::{
        Arc, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::Duration,
};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    CaptureSettings, Counters,
    capture::Reopen,
    debug_files::{self, Unnamed},
    jit_names::{JitFile, JitNames},
    kernel_names::KernelNames,
};
use crate::{
    aggregate::{
        Binary, Location, ProfileWindow, RawProcess, RawWindow, ServiceProfile, StackCount, Trust,
        TrustTally, without_goroutine, without_program,
    },
    kernel::{give_back_freed_memory, unix_ns},
    process::{CodeAddress, FileIndex, Identity},
    symbol::{
        FileId, FileOffset, Svma, Symbol, SymbolCounts, SymbolSource, Symbolizer, UnknownReason,
        vdso,
    },
    telemetry::{FrameLabels, OwnUsage, ReasonLabels, StackEndLabels},
};

/// What the capture thread asks for.
pub(super) enum Job {
    /// A file that windows to come will name addresses of.
    File { index: FileIndex, path: Arc<str>, file: File },
    /// A file that can't be had.
    FileGone { index: FileIndex, path: Arc<str> },
    /// What a program tells of the code it makes.
    JitNames { serial: u64, file: JitFile },
    /// Files that no process maps any more: windows to come have no address in them.
    Forget(Vec<FileIndex>),
    /// Addresses of a window to come, to be named while there is time.
    Warm(Box<[CodeAddress]>),
    /// A closed window.
    Window { window: RawWindow, costs: RawCosts },
}

/// What the kernel side cost in a window.
#[derive(Clone, Copy)]
pub(super) struct RawCosts {
    pub(super) bpf_cpu_ns: u64,
}

/// The state of the thread.
pub(super) struct Naming {
    counters: Counters,
    host: Arc<str>,
    period_ns: u64,
    windows: SyncSender<ProfileWindow>,
    reopen: Reopen,
    symbolizer: Symbolizer,
    /// What the symbolizer had counted at the end of the last window.
    counted: SymbolCounts,
    kernel: KernelNames,
    vdso: Option<Option<FileId>>,
    files: FxHashMap<FileIndex, NamedFile>,
    jit_names: JitNames,
    binaries: FxHashMap<Arc<str>, Arc<Binary>>,
    /// This window's locations: an address is named once. Code made at run time also needs to know
    /// by whom.
    locations: FxHashMap<(CodeAddress, u64), Arc<Location>>,
    cpu_ns: u64,
    /// All is one window, for people to look at.
    is_recording: bool,
    /// Addresses to be named when nothing else is to be done, file by file.
    waiting: BTreeSet<(FileIndex, FileOffset)>,
    /// Files that were closed and asked for again, and have not come yet.
    wanted: FxHashSet<FileIndex>,
}

/// How long the thread is idle before it names what waits.
const IDLE: Duration = Duration::from_millis(200);
/// Addresses that wait at most.
const MAX_WAITING: usize = 4096;

/// How long a recording waits for debug files.
const RECORDING_WAITS: Duration = Duration::from_secs(60);

struct NamedFile {
    binary: Arc<Binary>,
    /// `None` where the file could not be opened.
    id: Option<FileId>,
}

impl Naming {
    pub(super) fn new(
        settings: &CaptureSettings,
        counters: Counters,
        windows: SyncSender<ProfileWindow>,
    ) -> Self {
        Self {
            host: settings.host.as_str().into(),
            period_ns: 1_000_000_000 / u64::from(settings.frequency),
            windows,
            reopen: Reopen::default(),
            symbolizer: debug_files::symbolizer(settings, &counters),
            counters,
            counted: SymbolCounts::default(),
            kernel: KernelNames::default(),
            vdso: None,
            files: FxHashMap::default(),
            jit_names: JitNames::default(),
            binaries: FxHashMap::default(),
            locations: FxHashMap::default(),
            cpu_ns: own_cpu_ns(),
            is_recording: settings.window.is_none(),
            waiting: BTreeSet::new(),
            wanted: FxHashSet::default(),
        }
    }

    /// Where this thread says which files it needs again.
    pub(super) fn reopen(&self) -> Reopen {
        Arc::clone(&self.reopen)
    }

    /// Works until the capture thread has ended.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let job = match jobs.recv_timeout(IDLE) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => {
                    self.name_waiting();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            match job {
                Job::File { index, path, file } => self.file(index, path, file),
                Job::FileGone { index, path } => self.file_gone(index, path),
                Job::JitNames { serial, file } => {
                    self.jit_names.add(serial, file);
                }
                Job::Forget(files) => {
                    for file in files {
                        self.files.remove(&file);
                    }
                }
                Job::Warm(frames) => self.warm(&frames),
                Job::Window { window, costs } => {
                    let named = self.window(&window, costs);
                    if self.windows.send(named).is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn file(&mut self, index: FileIndex, path: Arc<str>, file: File) {
        // What waits may be of the files that are closed to make room for this one.
        if self.symbolizer.is_full_of_files() {
            self.name_waiting();
        }
        self.wanted.remove(&index);
        let id = self.symbolizer.register(Arc::clone(&path), file);
        let build_id = self.symbolizer.build_id(id);
        let binary = Arc::new(Binary { path, build_id });
        self.files.insert(index, NamedFile { binary, id: Some(id) });
    }

    fn file_gone(&mut self, index: FileIndex, path: Arc<str>) {
        let binary = Arc::new(Binary { path, build_id: Arc::default() });
        self.files.entry(index).or_insert(NamedFile { binary, id: None });
    }

    /// Takes note of addresses that a window to come will need: run-time code has no names yet.
    fn warm(&mut self, frames: &[CodeAddress]) {
        for frame in frames {
            match frame {
                CodeAddress::File(file, offset) => {
                    self.waiting.insert((*file, *offset));
                }
                CodeAddress::Kernel(_) | CodeAddress::Vdso(_) => {
                    self.location(*frame, 0);
                }
                _ => {}
            }
        }
        if self.waiting.len() >= MAX_WAITING {
            self.name_waiting();
        }
    }

    /// Names what waits, all of one file before the next: each is then loaded once at most.
    fn name_waiting(&mut self) {
        for (file, offset) in std::mem::take(&mut self.waiting) {
            self.location(CodeAddress::File(file, offset), 0);
        }
    }

    fn window(&mut self, window: &RawWindow, costs: RawCosts) -> ProfileWindow {
        self.update_jit_names(window);
        for stack in &window.stacks {
            self.warm(window.frames(stack));
        }
        self.name_waiting();
        let (mut services, mut tally, unnamed) = self.profiles(window);
        if self.fetch(&unnamed) {
            self.locations.clear();
            (services, tally, _) = self.profiles(window);
        }
        let trust = self.trust(tally, costs);
        let sources = if self.is_recording { self.sources() } else { Vec::new() };
        self.end_window(window);
        ProfileWindow {
            start_unix_ns: unix_ns(window.start_boot_ns),
            duration_ns: window.end_boot_ns - window.start_boot_ns,
            period_ns: self.period_ns,
            services,
            sources,
            trust,
        }
    }

    /// The window by services, with names.
    fn profiles(&mut self, window: &RawWindow) -> (Vec<ServiceProfile>, TrustTally, Unnamed) {
        let mut services: Vec<ServiceProfile> = Vec::new();
        let mut by_identity: FxHashMap<&Identity, usize> = FxHashMap::default();
        let mut tally = TrustTally::default();
        let mut unnamed = Unnamed::default();
        for stack in &window.stacks {
            let process = &window.processes[stack.process as usize];
            let identity = &*process.attribution.identity;
            let place = *by_identity.entry(identity).or_insert_with(|| {
                services.push(ServiceProfile { labels: self.labels(identity), stacks: Vec::new() });
                services.len() - 1
            });
            let mut frames: Vec<_> = window
                .frames(stack)
                .iter()
                .map(|frame| self.location(*frame, process.attribution.serial))
                .collect();
            let end = without_program(stack.end, window.frames(stack), &mut frames);
            let end = without_goroutine(end, &mut frames);
            tally.add(&identity.service, end, &frames, stack.count);
            unnamed.add(window.frames(stack), &frames, stack.count);
            services[place].stacks.push(StackCount {
                frames,
                pid: process.lasting.then_some(process.pid),
                thread: thread_name(&stack.comm),
                end,
                count: stack.count,
            });
        }
        (services, tally, unnamed)
    }

    /// Asks for the debug files of programs that matter. A recording waits for them, because there
    /// is no window after it; says whether names are better now.
    fn fetch(&mut self, unnamed: &Unnamed) -> bool {
        for id in unnamed.that_matter().filter_map(|file| self.files.get(&file)?.id) {
            self.symbolizer.want_debug_file(id);
        }
        self.is_recording && self.symbolizer.wait_for_debug_files(RECORDING_WAITS)
    }

    fn update_jit_names(&mut self, window: &RawWindow) {
        let sampled = |serial| {
            let of = |process: &RawProcess| process.attribution.serial == serial;
            window.processes.iter().any(of)
        };
        self.jit_names.update(sampled);
    }

    fn labels(&self, identity: &Identity) -> Vec<(Arc<str>, Arc<str>)> {
        let mut labels = Vec::with_capacity(3);
        if let Some(id) = &identity.container_id {
            labels.push(("container_id".into(), Arc::clone(id)));
        }
        labels.push(("host".into(), Arc::clone(&self.host)));
        labels.push(("service_name".into(), Arc::clone(&identity.service)));
        labels
    }

    fn sources(&mut self) -> Vec<(Arc<Binary>, SymbolSource)> {
        let symbolizer = &mut self.symbolizer;
        let source = |file: &NamedFile| {
            let gone = SymbolSource::None(UnknownReason::FileGone);
            (Arc::clone(&file.binary), file.id.map_or(gone, |id| symbolizer.source(id)))
        };
        let mut sources: Vec<_> = self.files.values().map(source).collect();
        if let Some(jit) = self.binaries.get("[jit]") {
            sources.push((Arc::clone(jit), self.jit_names.source()));
        }
        sources
    }

    fn trust(&mut self, tally: TrustTally, costs: RawCosts) -> Trust {
        let mut trust = tally.finish();
        trust.lost = self.counters.metrics.losses.take_untold();
        let cpu_ns = own_cpu_ns();
        trust.agent_cpu_ns = cpu_ns.saturating_sub(self.cpu_ns);
        trust.bpf_cpu_ns = costs.bpf_cpu_ns;
        self.cpu_ns = cpu_ns;
        for stack in &trust.stacks {
            let labels = StackEndLabels { end: stack.reason };
            self.counters.metrics.stacks.get_or_create(&labels).inc_by(stack.count);
        }
        for frame in &trust.frames {
            let labels = FrameLabels { result: frame.reason };
            self.counters.metrics.frames.get_or_create(&labels).inc_by(frame.count);
        }
        trust
    }

    /// Lets go of what was only good for this window.
    fn end_window(&mut self, window: &RawWindow) {
        self.locations.clear();
        self.count_debug_info_losses();
        if self.symbolizer.end_window() > 0 {
            give_back_freed_memory();
        }
        let lasting: Vec<u64> = window
            .processes
            .iter()
            .filter(|process| process.lasting)
            .map(|process| process.attribution.serial)
            .collect();
        self.jit_names.retain(&lasting);
        let again = self.files.iter().filter_map(|(index, file)| {
            file.id.is_some_and(|id| self.symbolizer.needs_file(id)).then_some(*index)
        });
        self.wanted.clear();
        let mut reopen = self.reopen.lock().unwrap_or_else(PoisonError::into_inner);
        reopen.clear();
        reopen.extend(again);
    }

    fn count_debug_info_losses(&mut self) {
        let before = std::mem::replace(&mut self.counted, self.symbolizer.counts().clone());
        let losses = &self.counters.metrics.debug_info_losses;
        for ((loss, count), (_, before)) in self.counted.debug_info().zip(before.debug_info()) {
            if count > before {
                let labels = ReasonLabels { reason: loss.label() };
                losses.get_or_create(&labels).inc_by(count - before);
            }
        }
    }

    fn location(&mut self, address: CodeAddress, serial: u64) -> Arc<Location> {
        let whose = if matches!(address, CodeAddress::Jit(_)) { serial } else { 0 };
        if let Some(known) = self.locations.get(&(address, whose)) {
            return Arc::clone(known);
        }
        let location = Arc::new(self.name(address, serial));
        if self.comes_back(address, &location) {
            return location;
        }
        self.locations.insert((address, whose), Arc::clone(&location));
        location
    }

    /// Whether the name is missing only because the file was closed. It is asked for: the process may
    /// still be there.
    fn comes_back(&mut self, address: CodeAddress, location: &Location) -> bool {
        let (CodeAddress::File(index, _), Symbol::Unknown(UnknownReason::FileGone)) =
            (address, &location.symbol)
        else {
            return false;
        };
        let id = self.files.get(&index).and_then(|file| file.id);
        if !id.is_some_and(|id| self.symbolizer.needs_file(id)) {
            return false;
        }
        if self.wanted.insert(index) {
            self.reopen.lock().unwrap_or_else(PoisonError::into_inner).push(index);
        }
        true
    }

    fn name(&mut self, address: CodeAddress, serial: u64) -> Location {
        match address {
            CodeAddress::Kernel(address) => {
                let named = self.kernel.name(address);
                let binary = Some(self.pseudo_binary(&named.binary));
                Location { binary, address: Svma(address.0), symbol: named.symbol }
            }
            CodeAddress::File(index, offset) => self.in_file(index, offset),
            CodeAddress::Vdso(offset) => self.in_vdso(offset),
            CodeAddress::Jit(address) => {
                let binary = Some(self.pseudo_binary("[jit]"));
                let symbol = self.jit_names.symbolize(serial, address);
                Location { binary, address: Svma(address), symbol }
            }
            CodeAddress::Unmapped(address) => nowhere(address, UnknownReason::NoMapping),
            CodeAddress::Gone(address) => nowhere(address, UnknownReason::ProcessGone),
        }
    }

    fn in_file(&mut self, index: FileIndex, offset: FileOffset) -> Location {
        let Some(NamedFile { binary, id }) = self.files.get(&index) else {
            return nowhere(offset.0, UnknownReason::FileGone);
        };
        let binary = Some(Arc::clone(binary));
        let gone = (Svma(offset.0), Symbol::Unknown(UnknownReason::FileGone));
        let (address, symbol) = id.map_or(gone, |id| self.symbolizer.symbolize(id, offset));
        Location { binary, address, symbol }
    }

    fn in_vdso(&mut self, offset: FileOffset) -> Location {
        let binary = Some(self.pseudo_binary("[vdso]"));
        let symbolizer = &mut self.symbolizer;
        let id = *self.vdso.get_or_insert_with(|| {
            let image = vdso::read_own();
            let image = image.inspect_err(|error| tracing::debug!(%error, "no vDSO")).ok()?;
            Some(symbolizer.register_image("[vdso]".into(), image))
        });
        let unknown = (Svma(offset.0), Symbol::Unknown(UnknownReason::NotReadable));
        let (address, symbol) = id.map_or(unknown, |id| symbolizer.symbolize(id, offset));
        Location { binary, address, symbol }
    }

    fn pseudo_binary(&mut self, name: &str) -> Arc<Binary> {
        if let Some(binary) = self.binaries.get(name) {
            return Arc::clone(binary);
        }
        let path: Arc<str> = name.into();
        let binary = Arc::new(Binary { path: Arc::clone(&path), build_id: Arc::default() });
        self.binaries.insert(path, Arc::clone(&binary));
        binary
    }
}

fn nowhere(address: u64, reason: UnknownReason) -> Location {
    Location { binary: None, address: Svma(address), symbol: Symbol::Unknown(reason) }
}

fn thread_name(comm: &[u8]) -> Arc<str> {
    let end = comm.iter().position(|byte| *byte == 0).unwrap_or(comm.len());
    String::from_utf8_lossy(&comm[..end]).into()
}

fn own_cpu_ns() -> u64 {
    OwnUsage::read().map_or(0, |usage| usage.cpu_ns)
}

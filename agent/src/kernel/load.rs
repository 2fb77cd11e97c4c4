//! Loading the programs and the handles on what they share with us.

use std::{
    borrow::Borrow,
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{
    Btf, Ebpf, EbpfError, EbpfLoader, include_bytes_aligned,
    maps::{Map, MapData, PerCpuArray, ProgramArray, RingBuf},
    programs::{PerfEvent, Program, ProgramError, ProgramFd, ProgramType, RawTracePoint},
    sys::is_helper_supported,
};
use aya_obj::btf::BtfKind;
use aya_obj::generated::{
    bpf_func_id,
    bpf_func_id::{BPF_FUNC_loop, BPF_FUNC_task_pt_regs},
};
use sonde_ebpf::{
    DropReason,
    limits::ARENA_ELEMENT_BYTES,
    settings::{HAS_TASK_REGISTERS, SOCK_FIELDS, TASK_STACK_OFFSET, WAKE_BYTES},
};

use super::{
    Sampler, SyscallWatch, btf, cpus,
    process_events::ProcessEvents,
    syscalls::{self, Layout},
    unwind_memory::{self, SharedEpoch, UnwindMemory},
};

/// Bytes of sample ring per CPU. At 97 samples a second of at most 2 KiB each, that is two seconds'
/// worth in the worst case, for a drain thread that comes ten times a second.
const RING_BYTES_PER_CPU: usize = 1 << 18;

/// The compiled programs, put there by the build script.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sonde-ebpf.bpf.o"));

/// Why capturing can't begin here.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The kernel refused the programs or their maps.
    #[error("the kernel refused the BPF programs: {}", chain(.0))]
    Load(EbpfError),
    /// The kernel refused one program.
    #[error("the kernel refused the program {name}: {}", chain(.error))]
    Program {
        /// Name of the program.
        name: &'static str,
        /// What the kernel said.
        error: ProgramError,
    },
    /// The kernel refused a perf event.
    #[error("the kernel refused {what}: {error}")]
    PerfEvent {
        /// What the event is for.
        what: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
    /// The object lacks something this agent was built with.
    #[error("the BPF object has no {0}: agent and programs were not built together")]
    Missing(&'static str),
    /// The kernel does not tell where it keeps something.
    #[error("this kernel's BTF does not tell of {0}")]
    Unknown(&'static str),
}

impl KernelError {
    /// Whether the rights of this process are what is missing.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        let mut source: Option<&(dyn std::error::Error + 'static)> = match self {
            Self::Load(error) => Some(error),
            Self::Program { error, .. } => Some(error),
            Self::PerfEvent { error, .. } => Some(error),
            Self::Missing(_) | Self::Unknown(_) => None,
        };
        while let Some(error) = source {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES));
            }
            source = error.source();
        }
        false
    }
}

/// Whether the kernel has a helper for programs that run on perf events. When it won't say, a yes:
/// loading will tell.
fn has_helper(helper: bpf_func_id) -> bool {
    is_helper_supported(ProgramType::PerfEvent, helper).unwrap_or(true)
}

/// An error with the errors under it, which aya leaves to the caller to print.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

/// How to load.
#[derive(Clone, Copy, Debug)]
pub struct LoadSettings {
    /// Let the programs write debug messages, which end up in the agent's log.
    pub debug_messages: bool,
    /// Bytes of memory for unwind tables. Taken whole when the programs are loaded.
    pub table_bytes: usize,
    /// Whether calls on sockets are to be watched.
    pub sockets: bool,
    /// What of system calls is to be counted.
    pub syscalls: SyscallWatch,
}

/// Bytes for unwind tables if nobody says otherwise: the 64 KiB pieces of text that really run, with
/// some 4 KiB of table each, of a host with 256 MiB of busy code.
pub const DEFAULT_TABLE_BYTES: usize = 16 << 20;

impl Default for LoadSettings {
    fn default() -> Self {
        Self {
            debug_messages: false,
            table_bytes: DEFAULT_TABLE_BYTES,
            sockets: false,
            syscalls: SyscallWatch::Off,
        }
    }
}

fn arena_elements(bytes: usize) -> u32 {
    u32::try_from(bytes / ARENA_ELEMENT_BYTES).unwrap_or(1 << 16).clamp(1, 1 << 16)
}

/// A program in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedProgram {
    /// Its entry point.
    pub name: String,
    /// Instructions after the kernel's own rewriting.
    pub instructions: Option<u32>,
    /// Instructions that the verifier walked, over all paths; kernels tell since 5.16.
    pub verified: Option<u32>,
}

/// Programs that watch sockets, and what they are attached to.
const TRACEPOINTS: [(&str, &str); 3] = [
    ("socket_state", "inet_sock_set_state"),
    ("socket_sent", "sock_send_length"),
    ("socket_received", "sock_recv_length"),
];
const FUNCTIONS: [(&str, &str); 8] = [
    ("socket_state", "inet_sock_set_state"),
    ("inet_sent", "inet_sendmsg"),
    ("inet6_sent", "inet6_sendmsg"),
    ("unix_sent", "unix_stream_sendmsg"),
    ("page_sent", "inet_sendpage"),
    ("inet_received", "inet_recvmsg"),
    ("inet6_received", "inet6_recvmsg"),
    ("unix_received", "unix_stream_recvmsg"),
];

/// Bytes of a BPF instruction (`struct bpf_insn`).
const INSTRUCTION_BYTES: u32 = 8;

/// The loaded programs. They are detached when this and what was taken from it are dropped.
pub struct Programs {
    pub(super) ebpf: Ebpf,
    cpus: Vec<u32>,
    /// What the kernel does not tell of that counting system calls needs.
    pub(super) syscalls_lack: Option<&'static str>,
    /// The same of watching calls on sockets.
    sockets_lack: Option<&'static str>,
    /// [`TRACEPOINTS`] or [`FUNCTIONS`], once calls on sockets are watched.
    socket_programs: &'static [(&'static str, &'static str)],
}

impl Programs {
    /// Loads everything; nothing runs yet.
    ///
    /// # Errors
    /// If the kernel, or the rights of this process, do not allow it.
    pub fn load(settings: LoadSettings) -> Result<Self, KernelError> {
        lift_memlock_limit();
        raise_descriptor_limit();
        let cpus = cpus::online()
            .map_err(|error| KernelError::PerfEvent { what: "a look at the CPUs", error })?;
        let ring_bytes = (cpus.len() * RING_BYTES_PER_CPU).next_power_of_two();
        let ring_bytes = u32::try_from(ring_bytes).unwrap_or(1 << 31);
        let wake_bytes = u64::from(ring_bytes / 4);
        let log_level: u8 = if settings.debug_messages { aya_log::Level::Debug as u8 } else { 0 };
        let possible = cpus::possible()
            .map_err(|error| KernelError::PerfEvent { what: "a look at the CPUs", error })?;
        let has_registers = has_helper(BPF_FUNC_task_pt_regs);
        let watches_syscalls = settings.syscalls != SyscallWatch::Off;
        let reads_types = settings.sockets || watches_syscalls || !has_registers;
        let types = if reads_types { btf::Types::read() } else { None };
        let layout = watches_syscalls.then(|| Layout::find(types.as_ref())).transpose();
        let offset = |structure, field| types.as_ref()?.field_offset(structure, field);
        let stack_offset = offset("task_struct", "stack");
        let sock_fields = SOCK_FIELDS.map(|(_, structure, field)| offset(structure, field));
        let mut sockets_lack = None;
        let mut loader = EbpfLoader::new();
        for ((name, structure, field), offset) in SOCK_FIELDS.iter().zip(&sock_fields) {
            tracing::debug!(structure, field, ?offset, "a field of the kernel's");
            match offset {
                Some(offset) => {
                    loader.override_global(name, offset, true);
                }
                // Without TCP's numbers two ends do not meet; all else is told.
                None if name.starts_with("TCP") => {}
                None => sockets_lack = Some(*field),
            }
        }
        syscalls::make_small(&mut loader, settings.syscalls);
        if let Ok(Some(layout)) = &layout {
            layout.set(&mut loader, settings.syscalls);
        }
        let ebpf = loader
            .override_global(HAS_TASK_REGISTERS, &u8::from(has_registers), true)
            .override_global(TASK_STACK_OFFSET, &stack_offset.unwrap_or(0), true)
            .override_global(WAKE_BYTES, &wake_bytes, true)
            .override_global(aya_log::LEVEL, &log_level, false)
            .map_max_entries("SAMPLES", ring_bytes)
            .map_max_entries("SCRATCH", possible)
            .map_max_entries("ARENA", arena_elements(settings.table_bytes))
            .load(OBJECT)
            .map_err(KernelError::Load)?;
        Ok(Self { ebpf, cpus, syscalls_lack: layout.err(), sockets_lack, socket_programs: &[] })
    }

    /// Starts sampling every CPU at `frequency` ticks a second.
    ///
    /// # Errors
    /// If the kernel refuses the program or its events.
    pub fn start_sampler(&mut self, frequency: u32) -> Result<Sampler, KernelError> {
        let program = if has_helper(BPF_FUNC_loop) {
            self.load_sampler("cpu_sample")?
        } else {
            let more = self.load_sampler("cpu_sample_more")?;
            self.let_follow(&more)?;
            self.load_sampler("cpu_sample_steps")?
        };
        Sampler::start(program.as_fd(), &self.cpus, frequency)
            .map_err(|error| KernelError::PerfEvent { what: "the sampling clock", error })
    }

    fn load_sampler(&mut self, name: &'static str) -> Result<ProgramFd, KernelError> {
        let refused = |error| KernelError::Program { name, error };
        let program = self.ebpf.program_mut(name).ok_or(KernelError::Missing(name))?;
        let program: &mut PerfEvent = program.try_into().map_err(refused)?;
        program.load().map_err(refused)?;
        program.fd().and_then(|fd| Ok(fd.try_clone()?)).map_err(refused)
    }

    /// Where kernels have no loops, one program follows the other.
    fn let_follow(&mut self, program: &ProgramFd) -> Result<(), KernelError> {
        const MAP: &str = "MORE";
        let map = self.ebpf.map_mut(MAP).ok_or(KernelError::Missing(MAP))?;
        ProgramArray::try_from(map)
            .and_then(|mut programs| programs.set(0, program, 0))
            .map_err(|error| KernelError::Load(error.into()))
    }

    /// Watches processes become other programs, so that none is unwound by what it was.
    ///
    /// # Errors
    /// If the kernel refuses the program.
    pub fn start_exec_watch(&mut self) -> Result<(), KernelError> {
        const NAME: &str = "process_exec";
        let program = self.ebpf.program_mut(NAME).ok_or(KernelError::Missing(NAME))?;
        let refused = |error| KernelError::Program { name: NAME, error };
        let program: &mut RawTracePoint = program.try_into().map_err(refused)?;
        program.load().map_err(refused)?;
        program.attach("sched_process_exec").map(drop).map_err(refused)
    }

    /// Watches calls on sockets.
    ///
    /// # Errors
    /// If the kernel refuses a program. It has tracepoints for such calls since Linux 6.3; before,
    /// functions are followed, which takes what came with 5.15.
    pub fn start_socket_watch(&mut self) -> Result<(), KernelError> {
        if let Some(field) = self.sockets_lack {
            return Err(KernelError::Unknown(field));
        }
        let types = Btf::from_sys_fs().map_err(|error| KernelError::Load(error.into()))?;
        let has_tracepoints =
            types.id_by_type_name_kind("btf_trace_sock_send_length", BtfKind::Typedef).is_ok();
        let watched = if has_tracepoints { &TRACEPOINTS[..] } else { &FUNCTIONS[..] };
        for (name, what) in watched {
            let program = self.ebpf.program_mut(name).ok_or(KernelError::Missing(name))?;
            let loaded = match program {
                Program::BtfTracePoint(program) => program.load(what, &types),
                // Kernels lack some: sendfile has no function of its own since 6.5.
                Program::FExit(_) if types.id_by_type_name_kind(what, BtfKind::Func).is_err() => {
                    continue;
                }
                Program::FExit(program) => program.load(what, &types),
                _ => return Err(KernelError::Missing(name)),
            };
            loaded.map_err(|error| KernelError::Program { name, error })?;
        }
        for (name, _) in watched {
            let attached = match self.ebpf.program_mut(name) {
                Some(Program::BtfTracePoint(program)) => program.attach().map(drop),
                Some(Program::FExit(program)) if program.fd().is_ok() => program.attach().map(drop),
                _ => continue,
            };
            attached.map_err(|error| KernelError::Program { name, error })?;
        }
        self.socket_programs = watched;
        Ok(())
    }

    /// The ring that calls on sockets arrive in. Can be taken once.
    pub(super) fn take_sockets(&mut self) -> Result<RingBuf<MapData>, KernelError> {
        let missing = KernelError::Missing("SOCKETS");
        let map = self.ebpf.take_map("SOCKETS").ok_or(missing)?;
        map.try_into().map_err(|_| KernelError::Missing("SOCKETS ring buffer"))
    }

    /// The memory that unwinding shares with the programs. Can be taken once.
    ///
    /// # Errors
    /// If it can't be mapped.
    pub fn take_unwind_memory(&mut self) -> Result<(UnwindMemory, SharedEpoch), KernelError> {
        let ebpf = &mut self.ebpf;
        unwind_memory::map(|name| ebpf.take_map(name).ok_or_else(|| io::Error::other(name)))
            .map_err(|error| KernelError::PerfEvent { what: "memory for unwind tables", error })
    }

    /// The ring that samples arrive in. Can be taken once.
    pub(super) fn take_samples(&mut self) -> Result<RingBuf<MapData>, KernelError> {
        let missing = KernelError::Missing("SAMPLES");
        let map = self.ebpf.take_map("SAMPLES").ok_or(missing)?;
        map.try_into().map_err(|_| KernelError::Missing("SAMPLES ring buffer"))
    }

    /// The programs' log, if they may write one.
    pub(super) fn take_log(&mut self) -> Option<aya_log::EbpfLogger<&'static dyn log::Log>> {
        aya_log::EbpfLogger::init(&mut self.ebpf).ok()
    }

    /// Opens the kernel's records of processes.
    pub(super) fn open_process_events(&self) -> Result<ProcessEvents, KernelError> {
        ProcessEvents::open(&self.cpus)
            .map_err(|error| KernelError::PerfEvent { what: "its records of processes", error })
    }

    /// What the programs dropped since they were loaded, by reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.per_cpu_sum("DROPS", reason.index())
    }

    /// Calls on sockets for which the kernel did not run the programs, because one of them was in the
    /// middle of another call on that CPU. Kernels tell since 5.12.
    #[must_use]
    pub fn left_out_on_sockets(&self) -> u64 {
        self.socket_programs.iter().filter_map(|(name, _)| left_out(self.ebpf.program(name)?)).sum()
    }

    /// CPU time the programs took since they were loaded, in nanoseconds.
    #[must_use]
    pub fn cost_ns(&self) -> u64 {
        self.per_cpu_sum("COST_NS", 0)
    }

    /// The same of the programs that watch sockets, by one run in sixteen.
    #[must_use]
    pub fn socket_cost_ns(&self) -> u64 {
        self.per_cpu_sum("COST_NS", 1)
    }

    /// The programs that the kernel has accepted, and how long they are to it.
    #[must_use]
    pub fn accepted(&self) -> Vec<AcceptedProgram> {
        let accepted = self.ebpf.programs().filter_map(|(name, program)| {
            let info = program.info().ok()?;
            Some(AcceptedProgram {
                name: name.to_owned(),
                instructions: info.size_translated().map(|bytes| bytes / INSTRUCTION_BYTES),
                verified: info.verified_instruction_count(),
            })
        });
        let mut accepted: Vec<_> = accepted.collect();
        accepted.sort_by(|a, b| a.name.cmp(&b.name));
        accepted
    }

    /// CPUs that are sampled.
    #[must_use]
    pub fn cpus(&self) -> usize {
        self.cpus.len()
    }

    fn per_cpu_sum(&self, name: &str, index: u32) -> u64 {
        self.ebpf.map(name).and_then(|map| sum(map, index)).unwrap_or(0)
    }
}

fn sum(map: &Map, index: u32) -> Option<u64> {
    let array: PerCpuArray<&MapData, u64> = map.try_into().ok()?;
    let values = array.get(&index, 0).ok()?;
    Some(Borrow::<[u64]>::borrow(&*values).iter().sum())
}

fn left_out(program: &Program) -> Option<u64> {
    let program = program.fd().ok()?.as_fd().as_raw_fd();
    let told = fs::read_to_string(format!("/proc/self/fdinfo/{program}")).ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix("recursion_misses:"));
    line?.trim().parse().ok()
}

/// Descriptors that are enough: 512 files with tables, 512 with names, and those on their way from one
/// thread to another. Services get 1,024 by default, and may have more if they ask.
const DESCRIPTORS: libc::rlim_t = 4096;

fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes to the struct only.
    let told = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0;
    if !told || limit.rlim_cur >= DESCRIPTORS {
        return;
    }
    limit.rlim_cur = DESCRIPTORS.min(limit.rlim_max);
    // SAFETY: the kernel only reads the struct.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        tracing::debug!(error = %io::Error::last_os_error(), "descriptor limit stays as it is");
    }
}

/// Kernels before 5.11 charge maps to the memlock limit. Where it can't be raised (no
/// `CAP_SYS_RESOURCE`) loading is tried all the same: newer kernels don't ask.
fn lift_memlock_limit() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the kernel only reads the struct.
    let status = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) };
    if status != 0 {
        tracing::debug!(error = %io::Error::last_os_error(), "memlock limit stays as it is");
    }
}

//! The programs that count system calls: what they must know of this kernel, when they run, and the
//! counts that they keep. What the counts mean is not its business.

use std::{
    borrow::Borrow as _,
    fs, io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use aya::{
    Btf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, PerCpuArray},
    programs::{BtfTracePoint, ProgramFd},
};
use aya_obj::generated::bpf_cmd::BPF_RAW_TRACEPOINT_OPEN;
use sonde_ebpf::{
    limits::MAX_SYSCALL_KEYS,
    settings::{CALL_NUMBER, INFO_COMPAT, TASK_FIELDS, TASK_STATE, TELLS_STATE, THREAD_MASK},
    syscall::{SyscallHistogram, SyscallKey},
};

use super::{KernelError, Programs, boot_ns, btf::Types};

/// What of system calls is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyscallWatch {
    /// Nothing.
    #[default]
    Off,
    /// Sleeps in them.
    Waits,
    /// Sleeps always, and every call when asked for.
    Calls,
}

/// Threads that can be told apart at most; the table has 16 bytes for each.
const MAX_THREADS: u32 = 1 << 18;

/// Structure and field of the number of a call, and of the mark of one of the 32-bit table.
#[cfg(target_arch = "x86_64")]
const MACHINE: [(&str, &str, &str); 2] =
    [(CALL_NUMBER, "pt_regs", "orig_ax"), (INFO_COMPAT, "thread_info", "status")];
#[cfg(target_arch = "aarch64")]
const MACHINE: [(&str, &str, &str); 2] =
    [(CALL_NUMBER, "pt_regs", "syscallno"), (INFO_COMPAT, "thread_info", "flags")];

/// Where this kernel keeps what the programs read.
pub(super) struct Layout {
    offsets: Vec<(&'static str, u64)>,
    tells_state: u8,
    threads: u32,
    mask: u32,
}

impl Layout {
    /// Finds it out.
    ///
    /// # Errors
    /// The name of the field that the kernel tells nothing of.
    pub(super) fn find(types: Option<&Types>) -> Result<Self, &'static str> {
        let types = types.ok_or("its structures")?;
        let state = types
            .field_offset("task_struct", "__state")
            .or_else(|| types.field_offset("task_struct", "state"));
        let mut offsets = vec![(TASK_STATE, state.ok_or("task_struct.__state")?)];
        for (name, structure, field) in TASK_FIELDS.into_iter().chain(MACHINE) {
            offsets.push((name, types.field_offset(structure, field).ok_or(field)?));
        }
        let tells_state = types.tracepoint_tells("sched_switch", 3, "prev_state").into();
        let threads = threads(fs::read_to_string("/proc/sys/kernel/pid_max").ok().as_deref());
        Ok(Self { offsets, tells_state, threads, mask: threads - 1 })
    }

    /// Tells it to the programs, with room for what they are to count.
    pub(super) fn set<'a>(&'a self, loader: &mut EbpfLoader<'a>, watch: SyscallWatch) {
        for (name, offset) in &self.offsets {
            loader.override_global(name, offset, true);
        }
        loader.override_global(TELLS_STATE, &self.tells_state, true);
        loader.override_global(THREAD_MASK, &self.mask, true);
        loader.map_max_entries("SLEEPING", self.threads);
        if watch == SyscallWatch::Calls {
            loader.map_max_entries("CALLING", self.threads);
        }
    }
}

/// Makes maps small that nobody wants.
pub(super) fn make_small(loader: &mut EbpfLoader<'_>, watch: SyscallWatch) {
    if watch == SyscallWatch::Off {
        loader.map_max_entries("SYSCALL_WAITS", 1);
    }
    if watch != SyscallWatch::Calls {
        loader.map_max_entries("SYSCALLS", 1);
    }
}

/// Elements of the tables of threads: as many as there can be ids, which are then never shared.
fn threads(pid_max: Option<&str>) -> u32 {
    let ids = pid_max.and_then(|text| text.trim().parse::<u32>().ok()).unwrap_or(MAX_THREADS);
    ids.clamp(1, MAX_THREADS).next_power_of_two()
}

impl Programs {
    /// Begins to count sleeps in system calls.
    ///
    /// # Errors
    /// If the kernel refuses the program, or does not tell where it keeps what that reads.
    pub fn start_syscall_waits(&mut self) -> Result<(), KernelError> {
        const NAME: &str = "syscall_wait";
        let types = Btf::from_sys_fs().map_err(|error| KernelError::Load(error.into()))?;
        let refused = |error| KernelError::Program { name: NAME, error };
        let program = self.load_syscall_program(NAME, "sched_switch", &types)?;
        program.attach().map(drop).map_err(refused)
    }

    /// Loads what counts every system call; it does not run until it is told to.
    ///
    /// # Errors
    /// As above.
    pub fn load_syscall_calls(&mut self) -> Result<SyscallCalls, KernelError> {
        let types = Btf::from_sys_fs().map_err(|error| KernelError::Load(error.into()))?;
        let mut load = |name, tracepoint| {
            let refused = |error| KernelError::Program { name, error };
            let program = self.load_syscall_program(name, tracepoint, &types)?;
            program.fd().and_then(|fd| Ok(fd.try_clone()?)).map_err(refused)
        };
        // The end first: calls whose end nobody sees would keep their place for nothing.
        let programs = [load("syscall_exit", "sys_exit")?, load("syscall_enter", "sys_enter")?];
        const SINCE: &str = "CALLING_SINCE";
        let since = self.ebpf.take_map(SINCE).ok_or(KernelError::Missing(SINCE))?;
        let since = since.try_into().map_err(|_| KernelError::Missing(SINCE))?;
        Ok(SyscallCalls { programs, since })
    }

    fn load_syscall_program(
        &mut self,
        name: &'static str,
        tracepoint: &str,
        types: &Btf,
    ) -> Result<&mut BtfTracePoint, KernelError> {
        if let Some(field) = self.syscalls_lack {
            return Err(KernelError::Unknown(field));
        }
        let refused = |error| KernelError::Program { name, error };
        let program = self.ebpf.program_mut(name).ok_or(KernelError::Missing(name))?;
        let program: &mut BtfTracePoint = program.try_into().map_err(refused)?;
        program.load(tracepoint, types).map_err(refused)?;
        Ok(program)
    }

    /// The counts that the programs keep. Can be taken once.
    ///
    /// # Errors
    /// If the object has none.
    pub fn take_syscall_counts(&mut self) -> Result<SyscallCounts, KernelError> {
        let mut take = |name| self.ebpf.take_map(name).ok_or(KernelError::Missing(name));
        let counts =
            |map: Map| map.try_into().map_err(|_| KernelError::Missing("system call counts"));
        Ok(SyscallCounts {
            maps: [counts(take("SYSCALL_WAITS")?)?, counts(take("SYSCALLS")?)?],
            costs: take("SYSCALL_COST_NS")?
                .try_into()
                .map_err(|_| KernelError::Missing("system call costs"))?,
        })
    }
}

/// The programs at the beginning and at the end of every call.
pub struct SyscallCalls {
    programs: [ProgramFd; 2],
    since: Array<MapData, u64>,
}

/// While this is there, they run.
pub struct Attached(#[expect(dead_code, reason = "held to be dropped")] Vec<OwnedFd>);

impl SyscallCalls {
    /// Lets them run. It makes every call of every thread slower.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn attach(&mut self) -> io::Result<Attached> {
        self.since.set(0, boot_ns(), 0).map_err(io::Error::other)?;
        self.programs.iter().map(attach).collect::<io::Result<_>>().map(Attached)
    }
}

/// The part of `union bpf_attr` that the command reads. The program knows its tracepoint.
#[repr(C)]
struct RawTracepoint {
    name: u64,
    program: u32,
    reserved: u32,
}

fn attach(program: &ProgramFd) -> io::Result<OwnedFd> {
    use std::os::fd::AsFd as _;
    let program = u32::try_from(program.as_fd().as_raw_fd()).map_err(io::Error::other)?;
    let attribute = RawTracepoint { name: 0, program, reserved: 0 };
    // SAFETY: the kernel reads so many bytes of `attribute`, which outlives the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_RAW_TRACEPOINT_OPEN as libc::c_long,
            &raw const attribute,
            size_of::<RawTracepoint>(),
        )
    };
    match i32::try_from(answer) {
        // SAFETY: the kernel has just given it to us alone.
        Ok(link) if link >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(link) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Which of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyscallKind {
    /// Sleeps.
    Wait = 0,
    /// Whole calls.
    Call = 1,
}

/// The counts in the kernel.
pub struct SyscallCounts {
    maps: [HashMap<MapData, SyscallKey, SyscallHistogram>; 2],
    costs: PerCpuArray<MapData, u64>,
}

impl SyscallCounts {
    /// All that are there. They are read while they grow: what is added meanwhile may be in a part of
    /// them only, and is whole the next time.
    #[must_use]
    pub fn read(&self, kind: SyscallKind) -> Vec<(SyscallKey, SyscallHistogram)> {
        // A walk that meets a new key may see others twice.
        let bound = 2 * MAX_SYSCALL_KEYS as usize;
        self.maps[kind as usize].iter().take(bound).filter_map(Result::ok).collect()
    }

    /// Removes the counts of a process that is gone. Whether they are.
    pub fn remove(&mut self, kind: SyscallKind, key: &SyscallKey) -> bool {
        let removed = self.maps[kind as usize].remove(key);
        if let Err(error) = &removed {
            tracing::debug!(%error, ?key, "counts of system calls can't be removed");
        }
        removed.is_ok()
    }

    /// CPU time that counting took since the programs were loaded, in nanoseconds, by one run in
    /// sixteen.
    #[must_use]
    pub fn cost_ns(&self, kind: SyscallKind) -> u64 {
        let values = self.costs.get(&(kind as u32), 0);
        values.map_or(0, |values| values.borrow().iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_id_has_a_place_of_its_own_up_to_a_limit() {
        assert_eq!(threads(Some("32768\n")), 32768);
        assert_eq!(threads(Some("40000\n")), 65536);
        assert_eq!(threads(Some("4194304\n")), MAX_THREADS);
        assert_eq!(
            (threads(Some("x")), threads(None), threads(Some("0"))),
            (MAX_THREADS, MAX_THREADS, 1)
        );
    }
}

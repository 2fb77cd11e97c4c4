//! A thread that is stopped: its registers, its stack, and what its process maps.

use std::{fs::File, os::unix::fs::FileExt as _};

/// As much of a stack as is looked at.
const STACK_BYTES: usize = 8 << 20;
/// Bytes below the stack pointer that belong to the function.
const RED_ZONE: u64 = 128;

/// One line of `/proc/PID/maps`.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) executable: bool,
    pub(crate) offset: u64,
    pub(crate) path: String,
}

/// A stopped thread.
pub(crate) struct Recording {
    pub(crate) pid: u32,
    pub(crate) pc: u64,
    /// By DWARF number.
    pub(crate) general: [u64; 16],
    /// Where the copy of the stack begins.
    pub(crate) stack_at: u64,
    pub(crate) stack: Vec<u8>,
    pub(crate) maps: Vec<Map>,
    /// It does not go on before this is dropped: our walk asks `/proc` too.
    _stopped: Stopped,
}

impl Recording {
    pub(crate) fn sp(&self) -> u64 {
        self.general[7]
    }

    pub(crate) fn fp(&self) -> u64 {
        self.general[6]
    }

    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        let from = usize::try_from(address.checked_sub(self.stack_at)?).ok()?;
        let bytes = self.stack.get(from..from.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

fn parse(line: &str) -> Option<Map> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let executable = words.next()?.contains('x');
    let number = |word: &str| u64::from_str_radix(word, 16).ok();
    let offset = number(words.next()?)?;
    let path = words.nth(2).unwrap_or_default().trim_start().to_owned();
    Some(Map { start: number(start)?, end: number(end)?, executable, offset, path })
}

/// All threads of a process of ours, stopped one after the other. What has ended meanwhile, or may
/// not be traced, is left out.
pub(crate) fn record(pid: u32) -> Vec<Recording> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let threads = threads.filter_map(|thread| thread.ok()?.file_name().to_str()?.parse().ok());
    threads.filter_map(|tid| record_thread(pid, tid)).collect()
}

fn record_thread(pid: u32, tid: u32) -> Option<Recording> {
    let stopped = Stopped::new(tid)?;
    let registers = stopped.registers()?;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let maps: Vec<Map> = maps.lines().filter_map(parse).collect();
    let stack_at = registers.rsp.wrapping_sub(RED_ZONE) & !7;
    let map = maps.iter().find(|map| (map.start..map.end).contains(&registers.rsp))?;
    let size = usize::try_from(map.end - stack_at.max(map.start)).ok()?.min(STACK_BYTES);
    let mut stack = vec![0; size];
    let stack_at = stack_at.max(map.start);
    File::open(format!("/proc/{pid}/mem")).ok()?.read_exact_at(&mut stack, stack_at).ok()?;
    let r = registers;
    let general = [
        r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12,
        r.r13, r.r14, r.r15,
    ];
    Some(Recording { pid, pc: r.rip, general, stack_at, stack, maps, _stopped: stopped })
}

/// A thread that stands still as long as this lives.
struct Stopped {
    tid: libc::pid_t,
    /// The signal that it was to get just then.
    signal: libc::c_int,
}

impl Stopped {
    fn new(tid: u32) -> Option<Self> {
        let tid = libc::pid_t::try_from(tid).ok()?;
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: this request takes no memory; an invalid thread is an error.
        if unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, none, none) } != 0 {
            return None;
        }
        let mut stopped = Self { tid, signal: 0 };
        // SAFETY: as above.
        if unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, tid, none, none) } != 0 {
            return None;
        }
        let mut status = 0;
        // SAFETY: `status` is ours, and valid for the call.
        let waited = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL) };
        if status >> 16 == 0 && libc::WIFSTOPPED(status) {
            stopped.signal = libc::WSTOPSIG(status);
        }
        (waited == tid && libc::WIFSTOPPED(status)).then_some(stopped)
    }

    fn registers(&self) -> Option<libc::user_regs_struct> {
        let mut registers = std::mem::MaybeUninit::<libc::user_regs_struct>::zeroed();
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: the request writes a `user_regs_struct` to the address it is given.
        let read =
            unsafe { libc::ptrace(libc::PTRACE_GETREGS, self.tid, none, registers.as_mut_ptr()) };
        // SAFETY: zeros are valid too.
        (read == 0).then(|| unsafe { registers.assume_init() })
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: this request takes no memory; a thread that has ended is an error.
        unsafe {
            libc::ptrace(libc::PTRACE_DETACH, self.tid, none, libc::c_long::from(self.signal))
        };
    }
}

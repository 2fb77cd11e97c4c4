//! What this kernel and these rights allow, found out by trying, with the reason for each no.

use std::{fs, io, path::Path};

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{is_map_supported, is_program_supported},
};

use super::{
    AcceptedProgram, KernelError, LoadSettings, ProcMap, Programs, SyscallWatch, cpus, is_unknown,
    process_events::ProcessEvents, sampler,
};

/// One thing the agent would like to use.
#[derive(Clone, Debug)]
pub struct Feature {
    /// What it is.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Whether the agent can do without.
    pub need: Need,
    /// What was found, or why it can't be used and what would help.
    pub state: Result<String, String>,
}

/// Whether the agent can do without a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing is left to do without it.
    Required,
    /// Something is missing without it; the agent says what.
    Optional,
}

/// Tries every feature. Nothing stays attached or open.
#[must_use]
pub fn probe() -> Vec<Feature> {
    let feature = |name, purpose, need, state| Feature { name, purpose, need, state };
    use Need::{Optional, Required};
    vec![
        feature("rights", "load programs, see every process", Required, rights()),
        feature("BPF perf event programs", "sample stacks", Required, programs()),
        feature("BPF ring buffer", "bring samples out", Required, ring_buffer()),
        feature("perf event cpu-clock", "sampling clock", Required, sampling_clock()),
        feature("perf records of processes", "name short-lived processes", Required, processes()),
        feature("programs of this agent", "sample stacks", Required, own_programs()),
        feature("calls on sockets", "measure requests", Optional, socket_calls()),
        feature("tracepoints of system calls", "time system calls", Optional, system_calls()),
        feature("host PID namespace", "find processes in /proc", Required, pid_namespace()),
        feature("/proc/kallsyms", "name kernel functions", Optional, kernel_symbols()),
        feature("BTF", "programs that read kernel structures", Optional, btf()),
        feature("PROCMAP_QUERY", "find mappings one by one", Optional, procmap_query()),
        feature("cgroup v2", "container of short-lived processes", Optional, cgroups()),
    ]
}

/// Capabilities that sampling needs, with their bit numbers: `include/uapi/linux/capability.h`.
const CAP_SYS_ADMIN: u32 = 21;
const WANTED: [(u32, &str); 4] =
    [(38, "CAP_PERFMON"), (39, "CAP_BPF"), (19, "CAP_SYS_PTRACE"), (2, "CAP_DAC_READ_SEARCH")];

fn rights() -> Result<String, String> {
    let status = read("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = line
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .ok_or("/proc/self/status tells no effective capabilities")?;
    let has = |bit: u32| effective & (1 << bit) != 0;
    if has(CAP_SYS_ADMIN) {
        return Ok("CAP_SYS_ADMIN".into());
    }
    let missing: Vec<&str> =
        WANTED.iter().filter(|(bit, _)| !has(*bit)).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        return Ok("CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH".into());
    }
    Err(format!("missing {}: run as root, or give them to the binary or unit", missing.join(", ")))
}

fn programs() -> Result<String, String> {
    supported(
        is_program_supported(ProgramType::PerfEvent).map_err(|error| error.to_string()),
        "4.9",
    )
}

fn ring_buffer() -> Result<String, String> {
    supported(is_map_supported(MapType::RingBuf).map_err(|error| error.to_string()), "5.8")
}

fn supported(answer: Result<bool, String>, since: &str) -> Result<String, String> {
    match answer {
        Ok(true) => Ok(format!("Linux {}", kernel_release())),
        Ok(false) => Err(format!("not in Linux {}: it came with {since}", kernel_release())),
        Err(error) => Err(error),
    }
}

fn sampling_clock() -> Result<String, String> {
    let cpus = cpus::online().map_err(|error| error.to_string())?;
    sampler::try_open(&cpus).map_err(|error| refused(&error))?;
    Ok(format!("{} CPUs", cpus.len()))
}

fn processes() -> Result<String, String> {
    let cpus = cpus::online().map_err(|error| error.to_string())?;
    ProcessEvents::open(&cpus).map_err(|error| refused(&error))?;
    Ok("exec, fork, exit, mappings".into())
}

/// Loads and attaches what `record` and `run` would, for a moment.
fn own_programs() -> Result<String, String> {
    let mut programs =
        Programs::load(LoadSettings::default()).map_err(|error| error.to_string())?;
    let _attached = programs.start_sampler(97).map_err(|error| error.to_string())?;
    programs.start_exec_watch().map_err(|error| error.to_string())?;
    let told: Vec<String> = programs.accepted().iter().map(told).collect();
    Ok(told.join("; "))
}

/// Loads and attaches what `run` would to measure requests.
fn socket_calls() -> Result<String, String> {
    let settings = LoadSettings { sockets: true, ..LoadSettings::default() };
    let mut programs = Programs::load(settings).map_err(|error| error.to_string())?;
    programs.start_socket_watch().map_err(|error| {
        let (release, error) = (kernel_release(), first_line(&error));
        format!("refused by Linux {release}, needs 5.15, before 6.3 with fexit: {error}")
    })?;
    let told: Vec<String> = programs.accepted().iter().map(told).collect();
    Ok(told.join("; "))
}

/// Loads and attaches what `run` would to time system calls.
fn system_calls() -> Result<String, String> {
    let settings = LoadSettings { syscalls: SyscallWatch::Calls, ..LoadSettings::default() };
    let mut programs = Programs::load(settings).map_err(|error| error.to_string())?;
    programs.start_syscall_waits().map_err(|error| first_line(&error))?;
    let mut calls = programs.load_syscall_calls().map_err(|error| first_line(&error))?;
    calls.attach().map_err(|error| refused(&error))?;
    let told: Vec<String> = programs.accepted().iter().map(told).collect();
    Ok(told.join("; "))
}

/// What the kernel says of a program that it refuses may be a thousand lines long.
fn first_line(error: &KernelError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// `cpu_sample: 690 instructions, 2034 verified`.
fn told(program: &AcceptedProgram) -> String {
    let number = |count: Option<u32>| count.map_or_else(|| "?".into(), |count| count.to_string());
    let AcceptedProgram { name, instructions, verified } = program;
    format!("{name}: {} instructions, {} verified", number(*instructions), number(*verified))
}

/// The initial PID namespace's inode is fixed: `PROC_PID_INIT_INO` in `include/linux/proc_ns.h`.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

fn pid_namespace() -> Result<String, String> {
    let namespace = fs::read_link("/proc/self/ns/pid").map_err(|error| refused(&error))?;
    if namespace.as_os_str() == INITIAL_PID_NAMESPACE {
        return Ok("yes".into());
    }
    Err("in a container's PID namespace: start the container with hostPID (--pid=host)".into())
}

fn kernel_symbols() -> Result<String, String> {
    let symbols = fs::File::open("/proc/kallsyms").map_err(|error| refused(&error))?;
    // Where they are shown, a few are 0 all the same: the first ones of x86-64 before 6.15.
    for line in io::BufRead::lines(io::BufReader::new(symbols)) {
        if !line.map_err(|error| refused(&error))?.starts_with("0000000000000000") {
            return Ok("readable".into());
        }
    }
    Err("addresses are hidden: needs CAP_SYSLOG and kernel.kptr_restrict below 2".into())
}

fn btf() -> Result<String, String> {
    let path = "/sys/kernel/btf/vmlinux";
    fs::metadata(path).map(|_| path.into()).map_err(|error| {
        format!("{path}: {error}: the kernel was built without CONFIG_DEBUG_INFO_BTF")
    })
}

/// Asks for the region that this very function lies in.
fn procmap_query() -> Result<String, String> {
    let here = procmap_query as fn() -> Result<String, String> as usize as u64;
    let region = ProcMap::open(Path::new("/proc/self/maps")).and_then(|mut maps| maps.around(here));
    match region {
        Ok(Some(region)) if (region.start..region.end).contains(&here) => Ok("yes".into()),
        Ok(_) => Err("the answer is wrong: /proc/PID/maps is read as text".into()),
        Err(error) if is_unknown(&error) => Err(format!(
            "not in Linux {}: it came with 6.11; /proc/PID/maps is read as text",
            kernel_release()
        )),
        Err(error) => Err(error.to_string()),
    }
}

fn cgroups() -> Result<String, String> {
    let own = read("/proc/self/cgroup")?;
    if own.lines().any(|line| line.starts_with("0::")) && !own.lines().any(|l| l.contains(":cpu")) {
        return Ok("unified".into());
    }
    Err("the host uses cgroup v1: containers are found through /proc while a process lives".into())
}

fn kernel_release() -> String {
    read("/proc/sys/kernel/osrelease").map_or_else(|_| "?".into(), |text| text.trim().into())
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

fn refused(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            format!("{error}: needs CAP_PERFMON, or kernel.perf_event_paranoid below 1")
        }
        _ => error.to_string(),
    }
}

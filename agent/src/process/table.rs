//! The processes of this host, as the kernel's events tell of them, and as `/proc` does for those
//! that were there before the events.

mod missing;

use std::{fs::File, io, path::PathBuf, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};
use sonde_ebpf::StackEnd;

use super::{
    CgroupPath, Cgroups, CodeAddress, FileIndex, FileTable, Identity, Mappings, cgroup,
    environment::Environment,
    files::Whereabouts,
    identity::{Evidence, executable_of, thread_name},
    maps, stat,
};
use crate::{
    record::{MappedRegion, ProcessEvent, ProcessEventKind, Sample},
    symbol::kallsyms::KernelAddress,
};

pub use missing::LookCounts;
use missing::{Budget, Pause};

/// Whose sample it is. `serial` tells processes apart that had the same pid one after the other.
#[derive(Clone, Debug)]
pub struct Attribution {
    /// Counts processes and the programs they run, up from 0.
    pub serial: u64,
    /// Service and container.
    pub identity: Arc<Identity>,
}

/// What went wrong, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// Processes that were gone before anything was known of them.
    pub gone: u64,
    /// Times that all regions of a process were read.
    pub maps_read: u64,
    /// What came of looks for regions that no event told of.
    pub looks: LookCounts,
    /// Regions of processes that map more than is kept of one.
    pub regions_refused: u64,
    /// Regions of files for which there was no room.
    pub files_refused: u64,
}

/// The table. Nothing here is learned but from events and from a look at `/proc`.
#[derive(Debug)]
pub struct ProcessTable {
    proc_root: PathBuf,
    processes: FxHashMap<u32, Process>,
    files: FileTable,
    cgroups: Cgroups,
    next_serial: u64,
    counts: TableCounts,
    kernel: Arc<Identity>,
    last_audit_boot_ns: u64,
    looks: Budget,
}

#[derive(Debug)]
struct Process {
    serial: u64,
    born_boot_ns: u64,
    memory: Memory,
    executable: Option<Arc<str>>,
    comm: Option<String>,
    environment: Arc<Environment>,
    /// As it was when it was last looked at; its parent's or predecessor's before.
    cgroup: Option<CgroupPath>,
    identity: Option<Arc<Identity>>,
    /// Since when it has been idle or gone; it is forgotten some time after.
    last_seen_boot_ns: u64,
    exited: bool,
    /// When it may be looked at for an address that no region covers.
    pause: Pause,
}

/// What is known of a process's regions.
#[derive(Clone, Debug)]
enum Memory {
    /// All of them, as of `since`; later events change it, earlier ones are in it already.
    /// `whole` regions were there when all of them were read last.
    Known { mappings: Arc<Mappings>, since_boot_ns: u64, whole: usize },
    /// It was there before the events, and nobody has looked at it yet.
    Unseen,
    /// It is a copy of a process that nobody has looked at yet.
    CopyOf(u32),
    /// It was gone when it was looked at.
    Gone,
    /// A thread of the kernel: it has none.
    Kernel,
}

/// All regions of a process are read again when there are twice as many as the last time, and more
/// than this.
const MANY_REGIONS: usize = 1024;
/// How long a process that exited is remembered: its last samples must have been counted.
const REMEMBERED_NS: u64 = 30_000_000_000;
/// How often the table is compared with `/proc`, for exits that got lost.
const AUDIT_NS: u64 = 60_000_000_000;

impl ProcessTable {
    /// A table that knows nothing yet. `proc_root` is `/proc`.
    #[must_use]
    pub fn new(proc_root: PathBuf, cgroups: Cgroups) -> Self {
        Self {
            proc_root,
            processes: FxHashMap::default(),
            files: FileTable::default(),
            cgroups,
            next_serial: 0,
            counts: TableCounts::default(),
            kernel: Arc::new(Identity::kernel()),
            last_audit_boot_ns: 0,
            looks: Budget::default(),
        }
    }

    /// The files that processes map.
    #[must_use]
    pub const fn files(&self) -> &FileTable {
        &self.files
    }

    /// Processes that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.processes.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    /// What went wrong, since the start.
    #[must_use]
    pub const fn counts(&self) -> TableCounts {
        TableCounts { files_refused: self.files.refused(), ..self.counts }
    }

    /// Takes note of what happened to a process.
    pub fn apply(&mut self, event: &ProcessEvent) {
        let ProcessEvent { pid, boot_ns, kind } = event;
        match kind {
            ProcessEventKind::Exec { comm } => self.exec(*pid, *boot_ns, comm),
            ProcessEventKind::Mapped(region) => self.mapped(*pid, *boot_ns, region),
            ProcessEventKind::Forked { parent } => self.forked(*pid, *boot_ns, *parent),
            ProcessEventKind::Exited => {
                if let Some(process) = self.processes.get_mut(pid) {
                    process.exited = true;
                    process.last_seen_boot_ns = *boot_ns;
                }
            }
            ProcessEventKind::Lost { .. } => self.forget_regions(),
        }
    }

    fn exec(&mut self, pid: u32, boot_ns: u64, comm: &str) {
        let before = self.processes.get(&pid);
        let environment = before.map(|before| Arc::clone(&before.environment));
        let inherited = before.and_then(|before| before.cgroup.clone());
        let memory = Memory::Known { mappings: Arc::default(), since_boot_ns: boot_ns, whole: 0 };
        let mut process = self.new_process(boot_ns, memory, Environment::new(pid, environment));
        process.comm = Some(comm.to_owned());
        process.cgroup = inherited;
        if !self.cgroups.are_named_by_samples() {
            process.cgroup = cgroup::read(&self.proc_root, pid).ok().or(process.cgroup);
        }
        self.processes.insert(pid, process);
    }

    fn forked(&mut self, pid: u32, boot_ns: u64, parent: u32) {
        if !self.processes.contains_key(&parent) {
            let unseen = self.new_process(boot_ns, Memory::Unseen, Environment::new(parent, None));
            self.processes.insert(parent, unseen);
        }
        let of = &self.processes[&parent];
        // A copy of a process that is known costs a pointer; of another, nothing until it matters.
        let memory = match &of.memory {
            Memory::Unseen => Memory::CopyOf(parent),
            memory => memory.clone(),
        };
        let copy = Process {
            serial: self.next_serial,
            born_boot_ns: boot_ns,
            memory,
            executable: of.executable.clone(),
            comm: of.comm.clone(),
            environment: Arc::clone(&of.environment),
            cgroup: of.cgroup.clone(),
            identity: of.identity.clone(),
            last_seen_boot_ns: boot_ns,
            exited: false,
            pause: Pause::default(),
        };
        self.next_serial += 1;
        self.processes.insert(pid, copy);
    }

    fn mapped(&mut self, pid: u32, boot_ns: u64, region: &MappedRegion) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let Memory::Known { mappings, since_boot_ns, whole } = &mut process.memory else { return };
        if boot_ns < *since_boot_ns {
            return;
        }
        if mappings.is_empty() && process.executable.is_none() {
            process.executable = Some(region.path.as_str().into());
        }
        let mappings = Arc::make_mut(mappings);
        let kept = mappings.insert(region, &mut self.files);
        // No event tells what was unmapped: much of this may be gone.
        let is_long = mappings.len() > (2 * *whole).max(MANY_REGIONS);
        self.counts.regions_refused += u64::from(!kept);
        if is_long {
            self.read_all_again(pid, boot_ns);
        }
    }

    /// Some events are missing: what is known of regions may be wrong, so it is read again.
    fn forget_regions(&mut self) {
        self.processes.retain(|_, process| process.exited);
    }

    fn new_process(
        &mut self,
        boot_ns: u64,
        memory: Memory,
        environment: Arc<Environment>,
    ) -> Process {
        let serial = self.next_serial;
        self.next_serial += 1;
        Process {
            serial,
            born_boot_ns: boot_ns,
            memory,
            executable: None,
            comm: None,
            environment,
            cgroup: None,
            identity: None,
            last_seen_boot_ns: boot_ns,
            exited: false,
            pause: Pause::default(),
        }
    }

    /// Whose sample it is; `/proc` is asked the first time.
    pub fn attribute(&mut self, sample: &Sample) -> Attribution {
        self.look_at(sample);
        if matches!(self.processes[&sample.pid].memory, Memory::Kernel) {
            return Attribution { serial: u64::MAX, identity: Arc::clone(&self.kernel) };
        }
        let known = self.processes[&sample.pid].identity.clone();
        let identity = known.unwrap_or_else(|| Arc::new(self.identify(sample)));
        let process = self.processes.get_mut(&sample.pid).expect("looked at above");
        // While a program is being loaded its name comes from `/proc`, where it may be the next one's.
        if process.executable.is_some() || process.comm.is_none() {
            process.identity = Some(Arc::clone(&identity));
        }
        process.last_seen_boot_ns = sample.boot_ns;
        Attribution { serial: process.serial, identity }
    }

    /// Makes sure that the process is in the table and that its regions are known, if they can be.
    fn look_at(&mut self, sample: &Sample) {
        let (pid, boot_ns) = (sample.pid, sample.boot_ns);
        let memory = match self.processes.get(&pid).map(|process| &process.memory) {
            Some(Memory::Known { .. } | Memory::Gone | Memory::Kernel) => return,
            // A process that is about to end has no user stack either.
            None | Some(Memory::Unseen)
                if sample.stack_end == StackEnd::KernelThread && self.is_kernel_thread(pid) =>
            {
                Ok(Memory::Kernel)
            }
            Some(Memory::CopyOf(parent)) => {
                let parent = *parent;
                self.read_maps(pid).or_else(|_| self.read_maps(parent))
            }
            None | Some(Memory::Unseen) => self.read_maps(pid),
        };
        let memory = memory.unwrap_or_else(|_| {
            self.counts.gone += 1;
            Memory::Gone
        });
        if let Some(process) = self.processes.get_mut(&pid) {
            process.memory = memory;
        } else {
            let process = self.new_process(boot_ns, memory, Environment::new(pid, None));
            self.processes.insert(pid, process);
        }
    }

    /// By the flags in `/proc/PID/stat`, which follow the name in parentheses and six other fields.
    fn is_kernel_thread(&self, pid: u32) -> bool {
        /// `PF_KTHREAD` in `include/linux/sched.h`.
        const KERNEL_THREAD: u64 = 0x0020_0000;
        let flags = stat::field(&self.proc_root.join(pid.to_string()), 6);
        flags.is_some_and(|flags| flags & KERNEL_THREAD != 0)
    }

    fn read_maps(&mut self, pid: u32) -> io::Result<Memory> {
        let since_boot_ns = crate::kernel::boot_ns();
        let regions = maps::read(&self.maps_of(pid))?;
        self.counts.maps_read += 1;
        if regions.is_empty() {
            return Err(io::ErrorKind::NotFound.into()); // A zombie, or on its way there.
        }
        let mut mappings = Mappings::default();
        for region in &regions {
            let kept = mappings.insert(region, &mut self.files);
            self.counts.regions_refused += u64::from(!kept);
        }
        let whole = mappings.len();
        Ok(Memory::Known { mappings: Arc::new(mappings), since_boot_ns, whole })
    }

    fn maps_of(&self, pid: u32) -> PathBuf {
        self.proc_root.join(pid.to_string()).join("maps")
    }

    fn identify(&mut self, sample: &Sample) -> Identity {
        let pid = sample.pid;
        let cgroup =
            cgroup::read(&self.proc_root, pid).ok().or_else(|| self.cgroups.path(sample.cgroup_id));
        let process = self.processes.get_mut(&pid).expect("looked at before");
        process.cgroup = cgroup.or_else(|| process.cgroup.take());
        let process = &self.processes[&pid];
        let has = |pid: u32, environment: &Arc<Environment>| {
            let process = self.processes.get(&pid);
            process.is_some_and(|process| Arc::ptr_eq(&process.environment, environment))
        };
        let configured = process.environment.service(pid, &self.proc_root, has);
        let known = process.executable.as_deref().map(str::to_owned);
        let executable = known.or_else(|| executable_of(&self.proc_root, pid));
        let comm = process.comm.clone().unwrap_or_else(|| thread_name(sample.comm));
        Identity::from_evidence(&Evidence {
            configured: configured.as_deref(),
            cgroup: process.cgroup.as_ref(),
            executable: executable.as_deref(),
            comm: &comm,
        })
    }

    /// What the sample's addresses mean, leaf first, kernel before user. Return addresses are moved
    /// back into the call: the call is what ran. The process must have been attributed before.
    pub fn locate(&mut self, sample: &Sample, frames: &mut Vec<CodeAddress>) {
        let calls = |stack: &[u64]| -> Vec<u64> {
            let moved = stack.iter().enumerate();
            moved.map(|(depth, address)| address.wrapping_sub(u64::from(depth > 0))).collect()
        };
        let kernel = calls(&sample.kernel_stack).into_iter();
        frames.extend(kernel.map(|address| CodeAddress::Kernel(KernelAddress(address))));
        for (depth, address) in calls(&sample.user_stack).into_iter().enumerate() {
            let frame = self.locate_user(sample, address);
            // Code without frame pointers leaves other things where the chain looks for them: past
            // an address that is no code, nothing is a caller any more.
            if depth > 0 && matches!(frame, CodeAddress::Unmapped(_)) {
                break;
            }
            frames.push(frame);
        }
    }

    fn locate_user(&mut self, sample: &Sample, address: u64) -> CodeAddress {
        let find = |memory: &Memory| match memory {
            Memory::Known { mappings, .. } => mappings.find(address),
            Memory::Unseen | Memory::CopyOf(_) | Memory::Gone | Memory::Kernel => {
                Some(CodeAddress::Gone(address))
            }
        };
        let known = |table: &Self| match table.processes.get(&sample.pid) {
            Some(process) => find(&process.memory),
            None => Some(CodeAddress::Gone(address)),
        };
        if let Some(found) = known(self) {
            return found;
        }
        self.look_for(sample.pid, address, sample.boot_ns);
        known(self).unwrap_or(CodeAddress::Unmapped(address))
    }

    /// The regions of a process, where they are known.
    #[must_use]
    pub fn mappings(&self, pid: u32) -> Option<Arc<Mappings>> {
        match &self.processes.get(&pid)?.memory {
            Memory::Known { mappings, .. } => Some(Arc::clone(mappings)),
            _ => None,
        }
    }

    /// Opens a file that a process maps around `address`.
    ///
    /// # Errors
    /// If no way leads to the file that was mapped.
    pub fn open(&self, pid: u32, file: FileIndex, address: u64) -> io::Result<File> {
        let memory = self.processes.get(&pid).map(|process| &process.memory);
        let range = match memory {
            Some(Memory::Known { mappings, .. }) => mappings.range_of(address),
            _ => None,
        };
        let file = self.files.get(file).ok_or(io::ErrorKind::NotFound)?;
        Whereabouts { proc_root: &self.proc_root, pid, range }.open(file)
    }

    /// When the process with this pid began to run the program that it runs, if it is known.
    #[must_use]
    pub fn born(&self, pid: u32, serial: u64) -> Option<u64> {
        let process = self.processes.get(&pid)?;
        (process.serial == serial).then_some(process.born_boot_ns)
    }

    /// Whether the process still runs, as far as is known.
    #[must_use]
    pub fn is_alive(&self, pid: u32, serial: u64) -> bool {
        self.processes.get(&pid).is_some_and(|process| process.serial == serial && !process.exited)
    }

    /// Forgets files that no process maps any more, and says which; their indexes are never given
    /// out again. To be called when no address is in use but those of processes. Does nothing while
    /// there are few more files than the last time.
    pub fn forget_files(&mut self) -> Vec<FileIndex> {
        if !self.files.may_hold_forgettable() {
            return Vec::new();
        }
        let (mut seen, mut used) = (FxHashSet::default(), FxHashSet::default());
        for process in self.processes.values() {
            // Copies of a process share their regions.
            if let Memory::Known { mappings, .. } = &process.memory
                && seen.insert(Arc::as_ptr(mappings))
            {
                used.extend(mappings.files());
            }
        }
        self.files.retain(&used)
    }

    /// Forgets processes that are long gone.
    pub fn expire(&mut self, now_boot_ns: u64) {
        if now_boot_ns.saturating_sub(self.last_audit_boot_ns) > AUDIT_NS {
            self.last_audit_boot_ns = now_boot_ns;
            let proc_root = &self.proc_root;
            for (pid, process) in &mut self.processes {
                process.exited |= !proc_root.join(pid.to_string()).exists();
            }
        }
        self.processes.retain(|_, process| {
            !process.exited || now_boot_ns.saturating_sub(process.last_seen_boot_ns) < REMEMBERED_NS
        });
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;

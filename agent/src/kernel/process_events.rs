//! The kernel's own account of processes (exec, fork, exit, executable mappings), in one perf ring
//! per CPU. It comes with paths and inodes and before a process's first sample, so a program that
//! lives 10 ms is known when its samples are named; a tracepoint would tell of the exec only, and
//! `/proc` would be gone.

use std::{collections::BTreeMap, io};

use aya_obj::generated::{
    perf_event_attr,
    perf_event_sample_format::{PERF_SAMPLE_TID, PERF_SAMPLE_TIME},
    perf_sw_ids::PERF_COUNT_SW_DUMMY,
    perf_type_id::PERF_TYPE_SOFTWARE,
};

use super::perf_event::{PerfEvent, PerfRing};

/// Pages of data per ring. An exec with ten libraries is about 2 KiB, so this holds some 120 execs
/// per CPU between two rounds of the drain thread.
const RING_PAGES: usize = 64;

/// The open rings by CPU.
pub(super) struct ProcessEvents(BTreeMap<u32, PerfRing>);

/// What happened to a CPU and its ring.
pub enum RingChange {
    /// It came online, and this is its ring.
    Online(u32, ProcessRing),
    /// It went offline.
    Offline(u32),
}

/// The ring of one CPU.
pub struct ProcessRing(PerfRing);

/// Opens the ring of a CPU and starts it.
pub(super) fn open_ring(cpu: u32) -> io::Result<ProcessRing> {
    let ring = PerfRing::map(PerfEvent::open(attributes(), cpu)?, RING_PAGES)?;
    ring.event().enable()?;
    Ok(ProcessRing(ring))
}

impl ProcessEvents {
    /// Opens the rings on `cpus` and starts them.
    pub(super) fn open(cpus: &[u32]) -> io::Result<Self> {
        let rings = cpus.iter().map(|cpu| Ok((*cpu, open_ring(*cpu)?.0)));
        rings.collect::<io::Result<_>>().map(Self)
    }

    /// Gives every record that is there to `each`, CPU by CPU.
    pub(super) fn drain(&mut self, mut each: impl FnMut(&[u8])) {
        for ring in self.0.values_mut() {
            ring.drain(&mut each);
        }
    }

    /// Follows a CPU. The last records of one that goes are read first.
    pub(super) fn change(&mut self, change: RingChange, each: impl FnMut(&[u8])) {
        let gone = match change {
            RingChange::Online(cpu, ProcessRing(ring)) => self.0.insert(cpu, ring),
            RingChange::Offline(cpu) => self.0.remove(&cpu),
        };
        if let Some(mut ring) = gone {
            ring.drain(each);
        }
    }
}

fn attributes() -> perf_event_attr {
    // SAFETY: the C struct is all integers, for which zero means "not asked for".
    let mut attr: perf_event_attr = unsafe { std::mem::zeroed() };
    attr.type_ = PERF_TYPE_SOFTWARE as u32;
    attr.config = PERF_COUNT_SW_DUMMY as u64;
    attr.sample_type = PERF_SAMPLE_TID as u64 | PERF_SAMPLE_TIME as u64;
    attr.clockid = libc::CLOCK_BOOTTIME;
    attr.set_use_clockid(1);
    attr.set_sample_id_all(1);
    attr.set_disabled(1);
    attr.set_mmap(1);
    attr.set_mmap2(1);
    attr.set_comm(1);
    attr.set_comm_exec(1);
    attr.set_task(1);
    // Nobody waits for this ring: it is read by the drain thread's timer.
    attr.set_watermark(1);
    attr.__bindgen_anon_2.wakeup_watermark = u32::MAX;
    attr
}

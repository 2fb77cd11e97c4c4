//! The sampling clock: one perf event per CPU, each running the sampler's program at every tick.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use aya_obj::generated::{
    perf_event_attr, perf_sw_ids::PERF_COUNT_SW_CPU_CLOCK, perf_type_id::PERF_TYPE_SOFTWARE,
};

use super::perf_event::PerfEvent;

/// The running clocks by CPU. They stop when this is dropped.
pub struct Sampler {
    clocks: BTreeMap<u32, PerfEvent>,
    program: OwnedFd,
    frequency: u32,
}

impl Sampler {
    /// Starts `program` at `frequency` ticks a second on each of `cpus`.
    ///
    /// # Errors
    /// If the kernel refuses an event or the program.
    pub(super) fn start(program: BorrowedFd<'_>, cpus: &[u32], frequency: u32) -> io::Result<Self> {
        let program = program.try_clone_to_owned()?;
        let mut sampler = Self { clocks: BTreeMap::new(), program, frequency };
        for cpu in cpus {
            sampler.clocks.insert(*cpu, sampler.open(*cpu)?);
        }
        // All at once, so that no CPU's first ticks are missing because another's event was slow.
        sampler.clocks.values().try_for_each(PerfEvent::enable)?;
        Ok(sampler)
    }

    fn open(&self, cpu: u32) -> io::Result<PerfEvent> {
        let event = PerfEvent::open(attributes(self.frequency), cpu)?;
        event.attach(self.program.as_fd())?;
        Ok(event)
    }

    /// The CPUs that have a clock.
    pub(super) fn cpus(&self) -> BTreeSet<u32> {
        self.clocks.keys().copied().collect()
    }

    /// Starts a clock on a CPU that came online.
    ///
    /// # Errors
    /// If the kernel refuses it, as when the CPU is gone again.
    pub(super) fn add(&mut self, cpu: u32) -> io::Result<()> {
        let event = self.open(cpu)?;
        event.enable()?;
        self.clocks.insert(cpu, event);
        Ok(())
    }

    /// Lets go of the clock of a CPU that went offline: the kernel stopped it for good.
    pub(super) fn remove(&mut self, cpu: u32) {
        self.clocks.remove(&cpu);
    }

    /// Stops the clocks: no sample is written after this returns.
    pub fn stop(&self) {
        for event in self.clocks.values() {
            if let Err(error) = event.disable() {
                tracing::warn!(%error, "a sampling clock would not stop");
            }
        }
    }
}

/// Opens a clock on each of `cpus` and closes it again, for the probe.
pub(super) fn try_open(cpus: &[u32]) -> io::Result<()> {
    cpus.iter().try_for_each(|cpu| PerfEvent::open(attributes(97), *cpu).map(drop))
}

fn attributes(frequency: u32) -> perf_event_attr {
    // SAFETY: the C struct is all integers, for which zero means "not asked for".
    let mut attr: perf_event_attr = unsafe { std::mem::zeroed() };
    attr.type_ = PERF_TYPE_SOFTWARE as u32;
    attr.config = PERF_COUNT_SW_CPU_CLOCK as u64;
    // A period, not a frequency: the kernel adapts a frequency to what it observed, and a sample
    // would not stand for the same time as the next.
    attr.__bindgen_anon_1.sample_period = 1_000_000_000 / u64::from(frequency);
    attr.set_exclude_idle(1);
    attr.set_disabled(1);
    attr
}

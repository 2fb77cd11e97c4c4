//! CPUs that come and go while the agent runs: each that is online is sampled and has its record of
//! processes; one that went offline is no error.

use std::{
    collections::BTreeSet,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

use super::{
    KernelError, Sampler, cpus,
    process_events::{self, RingChange},
};

/// How often it is looked which CPUs are online. A look costs one read of a small file.
const INTERVAL: Duration = Duration::from_secs(1);

/// The running sampler, kept to the CPUs that are online by a thread of its own.
pub struct Hotplug {
    thread: JoinHandle<()>,
    stop: Sender<()>,
}

impl Hotplug {
    /// Starts to watch. `rings` leads to the thread that reads the records of processes.
    ///
    /// # Errors
    /// If the thread can't be started.
    pub fn start(sampler: Sampler, rings: Sender<RingChange>) -> Result<Self, KernelError> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("hotplug".into())
            .spawn(move || run(sampler, &rings, &stopped))
            .map_err(|error| KernelError::PerfEvent { what: "a thread to watch CPUs", error })?;
        Ok(Self { thread, stop })
    }

    /// Stops the clocks: no sample is written after this returns.
    pub fn stop(self) {
        // An error means that the thread is gone, and its clocks with it.
        let _gone = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the thread that watches CPUs panicked");
        }
    }
}

fn run(mut sampler: Sampler, rings: &Sender<RingChange>, stopped: &Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(INTERVAL) {
        match cpus::online() {
            Ok(online) => follow(&mut sampler, rings, &online.into_iter().collect()),
            Err(error) => tracing::debug!(%error, "which CPUs are online can't be read"),
        }
    }
    sampler.stop();
}

/// The record of processes first, so that who is sampled there is known.
fn follow(sampler: &mut Sampler, rings: &Sender<RingChange>, online: &BTreeSet<u32>) {
    let sampled = sampler.cpus();
    for &cpu in online.difference(&sampled) {
        let started = process_events::open_ring(cpu).and_then(|ring| {
            sampler.add(cpu)?;
            Ok(ring)
        });
        match started {
            Ok(ring) => {
                tracing::info!(cpu, "a CPU came online and is sampled");
                let _ending = rings.send(RingChange::Online(cpu, ring));
            }
            // It may have gone again, or not be up yet: the next look will tell.
            Err(error) => tracing::debug!(cpu, %error, "a CPU that came online is not sampled yet"),
        }
    }
    for &cpu in sampled.difference(online) {
        tracing::info!(cpu, "a CPU went offline");
        sampler.remove(cpu);
        let _ending = rings.send(RingChange::Offline(cpu));
    }
}

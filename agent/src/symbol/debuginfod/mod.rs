//! Debug files from debuginfod servers, for programs that were stripped. Off unless servers are
//! configured: asking tells them which programs run here.
//!
//! ```text
//!  naming thread: want(build id) ─▶ bounded queue ─▶ worker thread: cache on disk, then HTTP
//!                 arrivals()     ◀───────────────── what became of it
//! ```
//!
//! Nobody waits for the network. The cache is laid out as a directory of debug files, so what was
//! fetched is found there as any other debug file is, also by the next agent.

mod cache;
mod client;
mod metrics;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::UnknownReason;
use cache::Cache;
use client::Client;
pub use client::SetupError;
pub use metrics::{DebuginfodMetrics, Outcome, OutcomeLabels};

/// Which servers to ask, and what may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebuginfodSettings {
    /// Base addresses, asked in this order.
    pub urls: Vec<String>,
    /// Folder of the cache. Made when it is not there.
    pub cache: PathBuf,
    /// What the cache may take on disk, in bytes. One file may take half of it.
    pub cache_bytes: u64,
    /// Longest time to reach a server, and longest silence of one that was reached.
    pub silence_timeout: Duration,
    /// Longest time for one file.
    pub file_timeout: Duration,
}

impl DebuginfodSettings {
    /// What the cache may take unless something else is said: 1 GiB.
    pub const CACHE_BYTES: usize = 1 << 30;
    /// Where the cache is unless something else is said.
    pub const CACHE: &str = "/var/cache/sonde-agent/debuginfod";

    /// Times as they suit servers that unpack a package first.
    #[must_use]
    pub fn new(urls: Vec<String>, cache: PathBuf, cache_bytes: u64) -> Self {
        let (silence_timeout, file_timeout) = (Duration::from_secs(20), Duration::from_secs(600));
        Self { urls, cache, cache_bytes, silence_timeout, file_timeout }
    }
}

/// The naming side.
pub struct Debuginfod {
    wanted: SyncSender<Arc<str>>,
    outcomes: Receiver<(Arc<str>, Outcome)>,
    /// By build id.
    states: FxHashMap<Arc<str>, State>,
    metrics: DebuginfodMetrics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    OnItsWay,
    /// `windows` must end before it may be asked for again.
    Settled {
        outcome: Outcome,
        windows: u16,
    },
}

/// Files that may wait for the worker; more are asked for in a later window.
const MAX_WAITING: usize = 16;
/// Build ids that are remembered.
const MAX_STATES: usize = 4096;
/// Windows before a server is asked again: ten minutes at the default length.
const RETRY_WINDOWS: u16 = 60;

impl Debuginfod {
    /// Starts the worker, which ends when this is dropped; what it is doing then is given up when the
    /// process ends.
    ///
    /// # Errors
    /// When an address or the cache's folder cannot be used.
    pub fn start(
        settings: &DebuginfodSettings,
        metrics: DebuginfodMetrics,
    ) -> Result<Self, SetupError> {
        let cache = Cache::open(&settings.cache, settings.cache_bytes)
            .map_err(|error| SetupError::Cache { path: settings.cache.clone(), error })?;
        let client = Client::new(settings, cache, metrics.clone())?;
        let (wanted, wanted_here) = sync_channel(MAX_WAITING);
        let (done, outcomes) = channel();
        std::thread::Builder::new()
            .name("debuginfod".into())
            .spawn(move || work(client, &wanted_here, &done))
            .map_err(SetupError::Thread)?;
        Ok(Self { wanted, outcomes, states: FxHashMap::default(), metrics })
    }

    /// Asks for the debug file of a program, unless that was done lately. Never waits.
    pub fn want(&mut self, build_id: &Arc<str>) {
        let may = match self.states.get(build_id) {
            None => !build_id.is_empty(),
            Some(State::OnItsWay) => false,
            Some(State::Settled { windows, .. }) => *windows == 0,
        };
        if !may {
            return;
        }
        match self.wanted.try_send(Arc::clone(build_id)) {
            Ok(()) => {
                self.make_room();
                self.states.insert(Arc::clone(build_id), State::OnItsWay);
            }
            Err(TrySendError::Full(_)) => self.metrics.count(Outcome::Deferred),
            Err(TrySendError::Disconnected(_)) => {
                self.metrics.count(Outcome::Failed);
                self.settle(Arc::clone(build_id), Outcome::Failed);
            }
        }
    }

    /// To be called once for each window. Returns the build ids of files that came since the last one.
    pub fn end_window(&mut self) -> Vec<Arc<str>> {
        for state in self.states.values_mut() {
            if let State::Settled { windows, .. } = state {
                *windows = windows.saturating_sub(1);
            }
        }
        self.wait(Duration::ZERO)
    }

    /// Waits until everything that is wanted was answered, but not longer. Returns the build ids of
    /// files that came.
    pub fn wait(&mut self, longest: Duration) -> Vec<Arc<str>> {
        let start = Instant::now();
        let mut arrived = Vec::new();
        while self.states.values().any(|state| *state == State::OnItsWay) {
            let left = longest.saturating_sub(start.elapsed());
            let Ok((build_id, outcome)) = self.outcomes.recv_timeout(left) else { break };
            if outcome == Outcome::Fetched {
                arrived.push(Arc::clone(&build_id));
            }
            self.settle(build_id, outcome);
        }
        arrived
    }

    /// Why a program has no names yet; `None` if it was not asked for, or is there.
    #[must_use]
    pub fn reason(&self, build_id: &str) -> Option<UnknownReason> {
        Some(match self.states.get(build_id)? {
            State::OnItsWay => UnknownReason::DebugFileOnItsWay,
            State::Settled { outcome, .. } => match outcome {
                Outcome::Fetched | Outcome::Deferred => return None,
                Outcome::Absent | Outcome::AbsentRemembered => UnknownReason::NotOnDebuginfod,
                Outcome::TooLarge => UnknownReason::DebugFileTooLarge,
                Outcome::Failed | Outcome::WrongFile | Outcome::CacheFailed => {
                    UnknownReason::DebuginfodFailed
                }
            },
        })
    }

    fn settle(&mut self, build_id: Arc<str>, outcome: Outcome) {
        self.states.insert(build_id, State::Settled { outcome, windows: RETRY_WINDOWS });
    }

    fn make_room(&mut self) {
        if self.states.len() >= MAX_STATES {
            self.states.retain(|_, state| *state == State::OnItsWay);
        }
    }
}

fn work(mut client: Client, wanted: &Receiver<Arc<str>>, done: &Sender<(Arc<str>, Outcome)>) {
    for build_id in wanted {
        let outcome = client.fetch(&build_id);
        if done.send((build_id, outcome)).is_err() {
            return;
        }
    }
}

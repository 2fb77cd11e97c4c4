//! A CPU profile of this very process, taken by the `pprof` crate and written by our own encoder.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use pprof::{Frames, ProfilerGuardBuilder, Report, Symbol as Frame};
use sonde_ebpf::StackEnd;
use tokio::sync::Mutex;

use crate::aggregate::{Location, ServiceProfile, StackCount};
use crate::encode::pprof::{Timing, service};
use crate::symbol::{Function, Svma, Symbol, UnknownReason};

/// Samples per second of CPU time; another prime than the one the host is sampled at.
const FREQUENCY: i32 = 101;

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum OwnProfileError {
    /// The process has one profiling timer.
    #[error("a profile is being taken; try again when it is done")]
    Busy,
    /// The profiler gave up.
    #[error("profile this process")]
    Profiler(#[from] pprof::Error),
}

/// Takes one profile at a time; clones share the turn.
#[derive(Clone, Debug, Default)]
pub struct OwnProfile(Arc<Mutex<()>>);

impl OwnProfile {
    /// Profiles this process for a while: gzipped pprof.
    ///
    /// # Errors
    /// [`OwnProfileError::Busy`] while another profile is being taken.
    pub async fn take(&self, time: Duration) -> Result<Vec<u8>, OwnProfileError> {
        let _turn = self.0.try_lock().map_err(|_| OwnProfileError::Busy)?;
        // The signal handler must not unwind through code whose unwinding takes locks.
        let guard = ProfilerGuardBuilder::default()
            .frequency(FREQUENCY)
            .blocklist(&["libc", "libgcc", "pthread", "vdso"])
            .build()?;
        tokio::time::sleep(time).await;
        let report = guard.report().build()?;
        Ok(encoded(&report))
    }
}

fn encoded(report: &Report) -> Vec<u8> {
    let start = report.timing.start_time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let timing = Timing {
        start_unix_ns: nanoseconds(start),
        duration_ns: nanoseconds(report.timing.duration),
        period_ns: 1_000_000_000 / u64::from(report.timing.frequency.unsigned_abs().max(1)),
    };
    service(&profile(&report.data), timing)
}

fn profile(counts: &HashMap<Frames, isize>) -> ServiceProfile {
    let stack = |(frames, count): (&Frames, &isize)| StackCount {
        frames: frames.frames.iter().map(|at| Arc::new(location(at))).collect(),
        pid: Some(std::process::id()),
        thread: frames.thread_name.as_str().into(),
        end: StackEnd::Complete,
        count: u64::try_from(*count).unwrap_or(0),
    };
    ServiceProfile { labels: Vec::new(), stacks: counts.iter().map(stack).collect() }
}

/// The functions at one address, innermost first, as the profiler orders them too. The address is
/// left out: without the file's mapping it would mean nothing to a reader.
fn location(at: &[Frame]) -> Location {
    let functions: Arc<[Function]> = at.iter().map(function).collect();
    let symbol = match functions.is_empty() {
        true => Symbol::Unknown(UnknownReason::Stripped),
        false => Symbol::Known(functions),
    };
    Location { binary: None, address: Svma(0), symbol }
}

fn function(frame: &Frame) -> Function {
    Function {
        name: frame.name().into(),
        system_name: frame.sys_name().into(),
        file: frame.filename.as_ref().map(|path| path.to_string_lossy().into()),
        line: frame.lineno.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::encode::pprof::testing::decoded;

    #[tokio::test]
    async fn one_profile_is_taken_at_a_time_and_is_pprof() {
        let own = OwnProfile::default();
        let first = tokio::spawn({
            let own = own.clone();
            async move { own.take(Duration::from_millis(200)).await }
        });
        while own.0.try_lock().is_ok() {
            tokio::task::yield_now().await;
        }
        let second = own.take(Duration::from_millis(1)).await;
        assert!(matches!(second, Err(OwnProfileError::Busy)));
        let profile = decoded(&first.await.unwrap().unwrap());
        assert_eq!(profile.sample_type.len(), 1);
        assert_eq!(profile.period, 9_900_990);
    }
}

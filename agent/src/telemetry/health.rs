//! Whether samples still arrive: the pipeline says when it has drained a batch, `/healthz` asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time without a drained batch after which something is wrong: batches are drained several times a
/// second even when they are empty.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shared between the thread that drains and the server; clones are the same handle. Telling it costs
/// one atomic store.
#[derive(Clone, Debug)]
pub struct Health {
    start: Instant,
    drained_after_ms: Arc<AtomicU64>,
}

impl Default for Health {
    fn default() -> Self {
        Self { start: Instant::now(), drained_after_ms: Arc::default() }
    }
}

impl Health {
    /// A batch was drained, be it empty.
    pub fn drained(&self) {
        self.drained_at(Instant::now());
    }

    /// `Err` says what is wrong.
    ///
    /// # Errors
    /// When nothing was drained for more than five seconds.
    pub fn check(&self) -> Result<(), String> {
        self.check_at(Instant::now())
    }

    fn drained_at(&self, now: Instant) {
        self.drained_after_ms.store(self.milliseconds(now), Ordering::Relaxed);
    }

    fn check_at(&self, now: Instant) -> Result<(), String> {
        let drained = Duration::from_millis(self.drained_after_ms.load(Ordering::Relaxed));
        let silence = now.duration_since(self.start).saturating_sub(drained);
        if silence <= PATIENCE {
            return Ok(());
        }
        Err(format!("no batch of samples was drained for {} s", silence.as_secs()))
    }

    fn milliseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_of_more_than_five_seconds_is_unhealthy_until_a_batch_comes() {
        let health = Health::default();
        let at = |seconds| health.start + Duration::from_secs(seconds);
        assert_eq!(health.check_at(at(5)), Ok(()));
        let said = health.check_at(at(7));
        assert_eq!(said, Err("no batch of samples was drained for 7 s".to_owned()));
        health.clone().drained_at(at(7));
        assert_eq!(health.check_at(at(12)), Ok(()));
    }
}

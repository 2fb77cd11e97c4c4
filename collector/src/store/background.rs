//! Work beside requests: writes sealed segments, and now and then looks after the files.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use super::commit::Command;
use super::flush;
use super::live::{Sealed, Shared};

const RETRY: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_secs(1);

/// Writes segments as they are sealed, oldest first, until `stop` says so and none waits.
pub(super) async fn flush_sealed(
    shared: Arc<Shared>,
    wanted: Arc<Notify>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        while let Some(sealed) = next_sealed(&shared) {
            if !flush_one(&shared, sealed).await {
                tokio::time::sleep(RETRY).await;
                if stopped(&stop) {
                    return;
                }
            }
        }
        if stopped(&stop) {
            return;
        }
        tokio::select! {
            () = wanted.notified() => {}
            _ = stop.changed() => {}
        }
    }
}

fn next_sealed(shared: &Shared) -> Option<Arc<Sealed>> {
    shared.live().sealed.first().cloned()
}

/// True once the store is closed or its last handle is gone.
fn stopped(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow() || stop.has_changed().is_err()
}

async fn flush_one(shared: &Arc<Shared>, sealed: Arc<Sealed>) -> bool {
    let shared = Arc::clone(shared);
    let segment = sealed.segment;
    let task = tokio::task::spawn_blocking(move || {
        let flushed = flush::flush(&shared, &sealed, |_| {});
        if flushed.is_err() {
            shared.metrics.flush_failures.inc();
        }
        flushed
    });
    match task.await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(segment, %error, "a segment could not be written; it stays in the log");
            false
        }
        Err(error) => {
            tracing::error!(segment, %error, "writing a segment failed; it stays in the log");
            false
        }
    }
}

/// Lets the committing thread look at its clock.
pub(super) async fn tick(commands: mpsc::WeakSender<Command>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            _ = stop.changed() => return,
        }
        let Some(commands) = commands.upgrade() else { return };
        // A full queue means that pushes make it look at the clock anyway.
        drop(commands.try_send(Command::Tick));
    }
}

//! The thread that empties the ring of socket records. Like the one for samples it never waits: it
//! copies bytes, and drops, and counts, what nobody has room for.

use std::{
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError},
    },
    thread::JoinHandle,
    time::Duration,
};

use aya::maps::{MapData, RingBuf};

use super::{KernelError, Programs, drain::wait, priority};
use crate::record::used_bytes;

/// How long records wait while there are many, and while there are none.
const BUSY: Duration = Duration::from_millis(10);
const IDLE: Duration = Duration::from_millis(50);
/// Bytes of one batch.
const BATCH_BYTES: usize = 1 << 20;

/// Records as the kernel wrote them, one behind the other.
#[derive(Debug, Default)]
pub struct SocketBatch {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<u32>,
}

impl SocketBatch {
    fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(&record[..used_bytes(record)]);
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
    }

    /// The records, in the order in which calls ended on each CPU.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let record = &self.bytes[start..*end as usize];
            start = *end as usize;
            record
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES
    }
}

/// The running thread.
pub struct SocketDrain {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
}

impl SocketDrain {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the ring can't be opened or the thread can't be started.
    pub fn start(
        programs: &mut Programs,
        batches: SyncSender<SocketBatch>,
    ) -> Result<Self, KernelError> {
        let ring = programs.take_sockets()?;
        let (stop, dropped) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&dropped));
        let thread = std::thread::Builder::new()
            .name("sockets".into())
            .spawn(move || run(ring, &batches, &stopped, &counter))
            .map_err(|error| KernelError::PerfEvent { what: "a thread", error })?;
        Ok(Self { thread, stop, dropped })
    }

    /// Records dropped because the next stage was behind.
    #[must_use]
    pub fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// Reads what is there, sends it, and ends the thread.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!("the thread that reads the socket ring panicked");
        }
    }
}

fn run(
    mut ring: RingBuf<MapData>,
    batches: &SyncSender<SocketBatch>,
    stop: &AtomicBool,
    dropped: &AtomicU64,
) {
    priority::go_first();
    loop {
        let last = stop.load(Ordering::Relaxed);
        let mut found = false;
        loop {
            let mut batch = SocketBatch::default();
            while !batch.is_full()
                && let Some(record) = ring.next()
            {
                batch.push(&record);
            }
            if batch.is_empty() {
                break;
            }
            found = true;
            match batches.try_send(batch) {
                Ok(()) => {}
                Err(TrySendError::Full(batch)) => {
                    dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
                }
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
        if last {
            return;
        }
        wait([ring.as_raw_fd()], if found { BUSY } else { IDLE });
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use sonde_ebpf::socket::SocketHeader;

    use super::*;

    #[test]
    fn records_are_kept_without_the_room_that_they_do_not_use() {
        let mut record = vec![7; size_of::<SocketHeader>() + 128];
        let captured = offset_of!(SocketHeader, captured);
        record[captured..captured + 2].copy_from_slice(&5_u16.to_ne_bytes());
        let mut batch = SocketBatch::default();
        batch.push(&record);
        batch.push(&[1, 2, 3]);
        let lengths: Vec<usize> = batch.records().map(<[u8]>::len).collect();
        assert_eq!(lengths, [size_of::<SocketHeader>() + 5, 3]);
    }
}

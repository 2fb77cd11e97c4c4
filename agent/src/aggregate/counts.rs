//! Counting raw stacks over one window: addresses, not names. Each distinct stack is kept once.

use std::{
    hash::{BuildHasher as _, BuildHasherDefault},
    sync::Arc,
};

use hashbrown::{HashTable, hash_table::Entry};
use rustc_hash::{FxHashMap, FxHasher};
use sonde_ebpf::{StackEnd, limits::COMM_BYTES};

use crate::process::{Attribution, CodeAddress};

/// Distinct stacks of one window, counted.
#[derive(Debug)]
pub struct RawWindow {
    /// Start on `CLOCK_BOOTTIME`, in nanoseconds.
    pub start_boot_ns: u64,
    /// End on `CLOCK_BOOTTIME`, in nanoseconds.
    pub end_boot_ns: u64,
    /// The processes that were sampled.
    pub processes: Vec<RawProcess>,
    /// The stacks.
    pub stacks: Vec<RawStack>,
    /// Samples that found the window full.
    pub overflowed: u64,
    frames: Vec<CodeAddress>,
}

/// A process that was sampled.
#[derive(Debug)]
pub struct RawProcess {
    /// Process id.
    pub pid: u32,
    /// Whose it is, and which of the processes that had this pid.
    pub attribution: Attribution,
    /// Whether it lives longer than a window, so that its pid is worth a label.
    pub lasting: bool,
}

/// One distinct stack. Its frames are [`RawWindow::frames`].
#[derive(Clone, Copy, Debug)]
pub struct RawStack {
    /// Index into [`RawWindow::processes`].
    pub process: u32,
    /// Name of the thread, padded with zeros.
    pub comm: [u8; COMM_BYTES],
    /// Why the user part ends where it does.
    pub end: StackEnd,
    /// How often it was seen.
    pub count: u64,
    first_frame: u32,
    frame_count: u32,
}

impl RawWindow {
    /// The addresses of a stack of this window, leaf first, kernel before user.
    #[must_use]
    pub fn frames(&self, stack: &RawStack) -> &[CodeAddress] {
        &self.frames[stack.first_frame as usize..][..stack.frame_count as usize]
    }

    /// Samples in the window.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.stacks.iter().map(|stack| stack.count).sum()
    }
}

/// The window that is being filled.
pub struct StackCounter {
    window: RawWindow,
    by_stack: HashTable<u32>,
    by_serial: FxHashMap<u64, u32>,
    max_frames: usize,
}

/// Frames of all distinct stacks of a window together. At 16 bytes each this is 32 MiB, some 30,000
/// distinct stacks; a host at 97 Hz makes about 1,000 samples per CPU in 10 s, most of them alike.
const MAX_FRAMES: usize = 2 << 20;

impl StackCounter {
    /// An empty window that starts at `start_boot_ns`.
    #[must_use]
    pub fn new(start_boot_ns: u64) -> Self {
        Self::with_limit(start_boot_ns, MAX_FRAMES)
    }

    fn with_limit(start_boot_ns: u64, max_frames: usize) -> Self {
        let window = RawWindow {
            start_boot_ns,
            end_boot_ns: start_boot_ns,
            processes: Vec::new(),
            stacks: Vec::new(),
            overflowed: 0,
            frames: Vec::new(),
        };
        let (by_stack, by_serial) = (HashTable::new(), FxHashMap::default());
        Self { window, by_stack, by_serial, max_frames }
    }

    /// Counts one sample. Says whether its stack is new in this window.
    pub fn add(
        &mut self,
        pid: u32,
        attribution: &Attribution,
        comm: [u8; COMM_BYTES],
        end: StackEnd,
        frames: &[CodeAddress],
    ) -> bool {
        let process = self.process(pid, attribution);
        let RawWindow { stacks, frames: arena, .. } = &mut self.window;
        let of = |stack: &RawStack, arena: &[CodeAddress]| {
            let frames = &arena[stack.first_frame as usize..][..stack.frame_count as usize];
            hash(stack.process, stack.comm, frames)
        };
        let same = |at: &u32| {
            let stack = &stacks[*at as usize];
            let known = &arena[stack.first_frame as usize..][..stack.frame_count as usize];
            stack.process == process && stack.comm == comm && stack.end == end && known == frames
        };
        let rehash = |at: &u32| of(&stacks[*at as usize], arena);
        match self.by_stack.entry(hash(process, comm, frames), same, rehash) {
            Entry::Occupied(at) => {
                stacks[*at.get() as usize].count += 1;
                false
            }
            Entry::Vacant(_) if arena.len() + frames.len() > self.max_frames => {
                self.window.overflowed += 1;
                false
            }
            Entry::Vacant(place) => {
                let index = |length: usize| u32::try_from(length).expect("bounded by max_frames");
                let (first_frame, frame_count) = (index(arena.len()), index(frames.len()));
                place.insert(index(stacks.len()));
                stacks.push(RawStack { process, comm, end, count: 1, first_frame, frame_count });
                arena.extend_from_slice(frames);
                true
            }
        }
    }

    fn process(&mut self, pid: u32, attribution: &Attribution) -> u32 {
        let processes = &mut self.window.processes;
        let index = *self.by_serial.entry(attribution.serial).or_insert_with(|| {
            processes.push(RawProcess { pid, attribution: attribution.clone(), lasting: false });
            u32::try_from(processes.len() - 1).expect("fewer processes than pids")
        });
        // More may be known of it than when it was first seen.
        let identity = &mut processes[index as usize].attribution.identity;
        if !Arc::ptr_eq(identity, &attribution.identity) {
            *identity = Arc::clone(&attribution.identity);
        }
        index
    }

    /// When the window began.
    #[must_use]
    pub const fn start_boot_ns(&self) -> u64 {
        self.window.start_boot_ns
    }

    /// Closes the window and begins the next.
    pub fn close(&mut self, end_boot_ns: u64) -> RawWindow {
        let next = Self::with_limit(end_boot_ns, self.max_frames);
        let mut closed = std::mem::replace(self, next).window;
        closed.end_boot_ns = end_boot_ns;
        closed
    }
}

fn hash(process: u32, comm: [u8; COMM_BYTES], frames: &[CodeAddress]) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one((process, comm, frames))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::process::Identity;

    fn attribution(serial: u64) -> Attribution {
        let identity = Arc::new(Identity { service: "shop".into(), container_id: None });
        Attribution { serial, identity }
    }

    fn add(counter: &mut StackCounter, serial: u64, comm: u8, frames: &[u64]) -> bool {
        let frames: Vec<_> = frames.iter().map(|address| CodeAddress::Jit(*address)).collect();
        counter.add(1, &attribution(serial), [comm; 16], StackEnd::Complete, &frames)
    }

    #[test]
    fn stacks_of_two_programs_under_one_pid_are_two() {
        let mut counter = StackCounter::new(0);
        assert!(add(&mut counter, 1, b'a', &[1, 2]));
        assert!(!add(&mut counter, 1, b'a', &[1, 2]));
        assert!(add(&mut counter, 2, b'a', &[1, 2]), "after an exec");
        assert!(add(&mut counter, 1, b'b', &[1, 2]), "another thread");
        let window = counter.close(10);
        assert_eq!(window.stacks.iter().map(|stack| stack.count).collect::<Vec<_>>(), [2, 1, 1]);
        assert_eq!(
            (window.start_boot_ns, window.end_boot_ns, counter.start_boot_ns()),
            (0, 10, 10)
        );
    }

    #[test]
    fn a_process_is_whose_it_was_last_said_to_be() {
        let mut counter = StackCounter::new(0);
        add(&mut counter, 1, b'a', &[1]);
        let identity = Arc::new(Identity { service: "cart".into(), container_id: None });
        let known = Attribution { serial: 1, identity };
        counter.add(1, &known, [b'a'; 16], StackEnd::Complete, &[CodeAddress::Jit(1)]);
        let window = counter.close(1);
        assert_eq!((window.processes.len(), window.samples()), (1, 2));
        assert_eq!(&*window.processes[0].attribution.identity.service, "cart");
    }

    #[test]
    fn a_full_window_goes_on_counting_what_it_knows_and_counts_the_rest() {
        let mut counter = StackCounter::with_limit(0, 3);
        add(&mut counter, 1, b'a', &[1, 2]);
        add(&mut counter, 1, b'a', &[3, 4]);
        add(&mut counter, 1, b'a', &[1, 2]);
        let window = counter.close(1);
        assert_eq!((window.samples(), window.overflowed, window.stacks.len()), (2, 1, 1));
    }

    proptest! {
        #[test]
        fn counts_are_those_of_a_naive_count(
            samples in prop::collection::vec((0_u64..3, 0_u8..2, prop::collection::vec(0_u64..3, 0..4)), 0..200),
        ) {
            let (mut counter, mut naive) = (StackCounter::new(0), std::collections::HashMap::new());
            for (serial, comm, frames) in samples {
                add(&mut counter, serial, comm, &frames);
                *naive.entry((serial, comm, frames)).or_insert(0_u64) += 1;
            }
            let window = counter.close(1);
            prop_assert_eq!(window.stacks.len(), naive.len());
            for stack in &window.stacks {
                let serial = window.processes[stack.process as usize].attribution.serial;
                let frames = window.frames(stack).iter().map(|frame| match frame {
                    CodeAddress::Jit(address) => *address,
                    other => panic!("{other:?}"),
                });
                let key = (serial, stack.comm[0], frames.collect::<Vec<_>>());
                prop_assert_eq!(naive.get(&key), Some(&stack.count));
            }
        }
    }
}

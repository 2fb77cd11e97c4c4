//! The stack of the thread that runs on this CPU, read piece by piece: a frame needs one or two words,
//! and a call of the helper costs more than the hundreds of bytes that it can copy at once.

use aya_ebpf::helpers::{bpf_probe_read_user, generated};
use sonde_ebpf::unwind::Memory;

const WORD: usize = size_of::<u64>();
/// What can be read is known page by page, so a piece never has more.
const PAGE_WORDS: usize = 4096 / WORD;
/// The first piece of a walk: most stacks are shallow.
const FIRST_WORDS: u32 = 64;
/// How far below its return address a function saves registers, nearly always.
const WORDS_BELOW: usize = 16;

/// A copy of a piece of a stack. Lives in a map: the BPF stack is too small for it.
#[repr(C)]
pub(crate) struct Stack {
    /// Where it was copied from.
    start: u64,
    /// How many words it has.
    count: u32,
    /// How many to copy next.
    next: u32,
    /// One more than a page has: two words are read at a time.
    words: [u64; PAGE_WORDS + 1],
}

impl Stack {
    /// Forgets what was copied before.
    #[inline(always)]
    pub(crate) fn begin(&mut self) {
        self.count = 0;
        self.next = FIRST_WORDS;
    }

    /// The word of the copy that an address is at, with `need` words from there on.
    #[inline(always)]
    fn find(&mut self, address: u64, need: u64) -> Option<*const u64> {
        // Words since the start; what is not at a word's distance becomes a large number.
        let (at, count) = (self.distance(address), u64::from(self.count));
        if (at >= count || count - at < need) && copy(self, address, need) != 0 {
            return None;
        }
        Some(self.words.as_ptr().wrapping_add(self.distance(address) as usize & (PAGE_WORDS - 1)))
    }

    #[inline(always)]
    const fn distance(&self, address: u64) -> u64 {
        address.wrapping_sub(self.start).rotate_right(WORD.trailing_zeros())
    }
}

/// Copies what is around `address`: from a little below it, for a frame's registers are saved below
/// its return address, to the end of the page or less. 0 if that went well. A function of its own for
/// the programs' size: each read has a call of it.
#[inline(never)]
fn copy(stack: &mut Stack, address: u64, need: u64) -> i64 {
    let in_page = (address as usize / WORD) & (PAGE_WORDS - 1);
    let below = in_page.min(WORDS_BELOW);
    let start = address.wrapping_sub((below * WORD) as u64);
    // Stacks that are deep are read in larger pieces.
    let next = stack.next;
    stack.next = (2 * next).min(PAGE_WORDS as u32);
    // More only for words that cross the end of the page, as on a stack that is not aligned.
    let needed = below + (need as usize & 3);
    let count = (PAGE_WORDS - in_page + below).min(next as usize).max(needed);
    stack.count = count.min(PAGE_WORDS - 1) as u32;
    // The verifiers of 6.1 and older know the bound only by a mask, which the compiler would leave out.
    // SAFETY: a field that is ours.
    let count = unsafe { (&raw const stack.count).read_volatile() } as usize & (PAGE_WORDS - 1);
    let (room, bytes) = (stack.words.as_mut_ptr(), (count * WORD) as u32);
    // SAFETY: `room` has more words than a page, and so many are asked for at most; the helper
    // checks the address.
    let failed = unsafe { generated::bpf_probe_read_user(room.cast(), bytes, start as *const _) };
    stack.start = start;
    if failed != 0 {
        stack.count = 0;
    }
    failed
}

impl Memory for Stack {
    #[inline(always)]
    fn word(&mut self, address: u64) -> Option<u64> {
        // SAFETY: every place that is found is in the copy.
        self.find(address, 1).map(|at| unsafe { at.read() })
    }

    #[inline(always)]
    fn two_words(&mut self, address: u64) -> Option<[u64; 2]> {
        // SAFETY: as above, and behind the last place there is a word more.
        self.find(address, 2).map(|at| unsafe { at.cast::<[u64; 2]>().read() })
    }

    #[inline(always)]
    fn code_before(&mut self, address: u64) -> Option<u64> {
        // SAFETY: the helper checks the address itself.
        unsafe { bpf_probe_read_user(address.wrapping_sub(8) as *const u64) }.ok()
    }
}

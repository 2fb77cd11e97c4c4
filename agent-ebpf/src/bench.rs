//! Programs that are measured and never shipped: looking up rows as the unwinder does, and as a binary
//! search in an array map would.
#![no_std]
#![no_main]
#![expect(
    missing_docs,
    unreachable_pub,
    reason = "what the entry points' macro exports is the bench's"
)]

#[path = "programs/tables.rs"]
#[expect(dead_code, reason = "the sampler uses the rest")]
mod tables;

use core::ffi::c_void;

use aya_ebpf::{
    Global,
    helpers::generated,
    macros::{classifier, map},
    maps::Array,
    programs::TcContext,
};
use sonde_ebpf::unwind::MappedCode;

/// Lookups of a run.
const LOOKUPS: u32 = 1000;
/// Halvings that find one of a million rows and some more.
const HALVINGS: u32 = 21;

/// First byte of the text that is asked for, and how many there are. Set before loading.
#[unsafe(no_mangle)]
static TEXT_START: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static TEXT_BYTES: Global<u64> = Global::new(1);

/// A row of a table as other profilers have it: the address and its rule.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SortedRow {
    pub svma: u32,
    pub rule: u32,
}

/// The whole file's rows, sorted by address.
#[map]
static SORTED: Array<SortedRow> = Array::with_max_entries(1, 0);

/// Where the addresses of a run begin, and then the sum of all rules that were found, so that both ways
/// can be compared; behind it the rows of [`SORTED`]. Numbers that the verifier must not know: it would
/// go through every round, and every way through the rows.
#[map]
static NUMBERS: Array<u64> = Array::with_max_entries(2, 0);

struct Run {
    random: u64,
    found: u64,
}

impl Run {
    /// An address of the text.
    #[inline(always)]
    fn next(&mut self) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
        TEXT_START.load() + ((self.random >> 32) * TEXT_BYTES.load() >> 32)
    }
}

#[inline(always)]
fn repeat(round: extern "C" fn(u32, *mut c_void) -> i64) -> i32 {
    let Some(seed_and_found) = NUMBERS.get_ptr_mut(0) else { return 1 };
    // SAFETY: an element of the map; the bench runs one program at a time.
    let seed = unsafe { *seed_and_found };
    let mut run = Run { random: seed, found: seed };
    let context = (&raw mut run).cast::<c_void>();
    // SAFETY: `round` has the signature that the helper wants, and `run` outlives the call.
    unsafe { generated::bpf_loop(LOOKUPS, round as *mut c_void, context, 0) };
    // SAFETY: as above.
    unsafe { *seed_and_found = run.found };
    0
}

/// What a round costs without a lookup.
#[classifier]
pub fn bench_nothing(_ctx: TcContext) -> i32 {
    repeat(nothing)
}

extern "C" fn nothing(_index: u32, context: *mut c_void) -> i64 {
    // SAFETY: the context is `repeat`'s, and nobody else uses it meanwhile.
    let run = unsafe { &mut *context.cast::<Run>() };
    run.found += run.next();
    0
}

/// As the unwinder looks rows up.
#[classifier]
pub fn bench_pages(_ctx: TcContext) -> i32 {
    repeat(in_pages)
}

extern "C" fn in_pages(_index: u32, context: *mut c_void) -> i64 {
    // SAFETY: as above.
    let run = unsafe { &mut *context.cast::<Run>() };
    let svma = run.next();
    let mapping = MappedCode::default();
    run.found += tables::rule(&mapping, svma, 1).map_or(0, |rule| u64::from(rule.0));
    0
}

/// As a binary search in an array map does.
#[classifier]
pub fn bench_sorted(_ctx: TcContext) -> i32 {
    repeat(in_sorted)
}

extern "C" fn in_sorted(_index: u32, context: *mut c_void) -> i64 {
    // SAFETY: as above.
    let run = unsafe { &mut *context.cast::<Run>() };
    let svma = run.next() as u32;
    // Fixed rounds and masks instead of branches, which the verifier would follow both ways of.
    let Some(rows) = NUMBERS.get(1) else { return 1 };
    let (mut low, mut high) = (0_u32, *rows as u32);
    for _ in 0..HALVINGS {
        let middle = low.wrapping_add(high.wrapping_sub(low) >> 1);
        let Some(row) = SORTED.get(middle) else { return 1 };
        let above = ((i64::from(svma) - i64::from(row.svma)) >> 63) as u32;
        let searching = ((i64::from(low) - i64::from(high)) >> 63) as u32;
        low = low.wrapping_add(middle.wrapping_add(1).wrapping_sub(low) & !above & searching);
        high = middle & above | high & !above;
    }
    let Some(row) = SORTED.get(low.wrapping_sub(1)) else { return 0 };
    run.found += u64::from(row.rule);
    0
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

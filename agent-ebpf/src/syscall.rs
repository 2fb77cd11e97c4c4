//! System calls as the kernel programs count them: who called what, how it ended, and a histogram of
//! how long it took. No event leaves the kernel; the agent reads the counts now and then.

use crate::limits::COMM_BYTES;

/// What tells counts apart.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SyscallKey {
    /// Process id as userspace says it: what the kernel calls `tgid`.
    pub pid: u32,
    /// Number of the call, or [`UNKNOWN`]; with [`COMPAT`] where it is of the 32-bit table.
    pub number: u16,
    /// The error that the call ended with, as a positive number; 0 of one that succeeded.
    pub error: u16,
}

const _: () = assert!(size_of::<SyscallKey>() == 8, "no padding: the kernel hashes these bytes");

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers only, no padding: any bytes are a valid value.
unsafe impl aya::Pod for SyscallKey {}

/// Set in the number of a call that was made by the 32-bit table of a 64-bit kernel.
pub const COMPAT: u16 = 1 << 15;
/// Stands for every number that no kernel has a call for: processes may ask for any.
pub const UNKNOWN: u16 = COMPAT - 1;
/// One more than the highest number that is told apart.
const NUMBERS: u16 = 1024;
/// The highest error: `MAX_ERRNO` of the kernel.
const MAX_ERROR: i64 = 4095;

/// The number as keys have it. `None` where the registers are not those of a call: the kernel puts a
/// negative number there.
#[inline(always)]
#[must_use]
pub fn number(told: i64, is_compat: bool) -> Option<u16> {
    if told < 0 {
        return None;
    }
    let number = u16::try_from(told).ok().filter(|number| *number < NUMBERS).unwrap_or(UNKNOWN);
    Some(if is_compat { number | COMPAT } else { number })
}

/// The error that a call's result is; 0 if it is none.
#[inline(always)]
#[must_use]
pub fn error(result: i64) -> u16 {
    if (-MAX_ERROR..0).contains(&result) { u16::try_from(-result).unwrap_or(0) } else { 0 }
}

/// Counts of one key. They only grow; of a bucket's count the last 32 bits are kept. How many there are
/// in all is the sum of the buckets.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyscallHistogram {
    /// Time of all.
    pub sum_ns: u64,
    /// The cgroup (version 2 hierarchy) that the thread which was first counted was in.
    pub cgroup_id: u64,
    /// Name of that thread, padded with zeros.
    pub comm: [u8; COMM_BYTES],
    /// By [`bucket`].
    pub buckets: [u32; BUCKETS],
}

const _: () =
    assert!(size_of::<SyscallHistogram>() == 160, "no padding: the agent reads these bytes");

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers and arrays of them only, no padding: any bytes are a valid value.
unsafe impl aya::Pod for SyscallHistogram {}

/// Buckets of a histogram. A power of two, for the verifier's sake.
pub const BUCKETS: usize = 32;
/// The first bucket ends at two to this power, in nanoseconds.
const FIRST_BITS: usize = 10;

/// The bucket of a time: each ends at twice the time of the one before it, and includes its end.
#[inline(always)]
#[must_use]
pub fn bucket(ns: u64) -> usize {
    let mut rest = ns.saturating_sub(1) >> FIRST_BITS;
    let mut bucket = 0;
    // Halving by hand: the instruction set has nothing that counts bits.
    for step in [32, 16, 8, 4, 2, 1] {
        if rest >> step != 0 {
            rest >>= step;
            bucket += step;
        }
    }
    if rest != 0 {
        bucket += 1;
    }
    bucket.min(BUCKETS - 1)
}

/// Where a bucket ends, in nanoseconds; `None` for the last, which has no end.
#[must_use]
pub fn bucket_end_ns(bucket: usize) -> Option<u64> {
    (bucket < BUCKETS - 1).then(|| 1 << (FIRST_BITS + bucket))
}

/// A thread that sleeps in a call, or is in one, by its id's lowest bits.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct InSyscall {
    /// Since when, on `CLOCK_BOOTTIME`, in nanoseconds.
    pub since_ns: u64,
    /// Thread id as userspace says it; 0 of nobody.
    pub tid: u32,
    /// Number of the call, as in [`SyscallKey`].
    pub number: u16,
    /// Zero.
    pub reserved: u16,
}

const _: () = assert!(size_of::<InSyscall>() == 16, "a power of two: elements share no cache line");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_the_bucket_whose_end_is_the_next_above() {
        for exponent in 0..42 {
            for ns in [(1_u64 << exponent) - 1, 1 << exponent, (1 << exponent) + 1] {
                let bucket = bucket(ns);
                assert!(bucket_end_ns(bucket).is_none_or(|end| ns <= end), "{ns} in {bucket}");
                let before = bucket.checked_sub(1).and_then(bucket_end_ns);
                assert!(before.is_none_or(|end| ns > end), "{ns} in {bucket}");
            }
        }
        assert_eq!((bucket(0), bucket(1024), bucket(1025)), (0, 0, 1));
        assert_eq!((bucket(20_000_000), bucket_end_ns(15)), (15, Some(33_554_432)));
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_negative_number_is_no_call_and_a_large_one_has_no_name() {
        assert_eq!((number(-1, false), number(0, false)), (None, Some(0)));
        assert_eq!(number(3, true), Some(3 | COMPAT));
        assert_eq!((number(5000, false), number(i64::MAX, true)), (Some(UNKNOWN), Some(u16::MAX)));
    }

    #[test]
    fn only_the_last_page_of_addresses_are_errors() {
        assert_eq!((error(-2), error(-4095), error(-512)), (2, 4095, 512));
        assert_eq!((error(0), error(7), error(-4096), error(i64::MIN)), (0, 0, 0, 0));
    }
}

//! The one place where kernel time becomes wall time.

/// Nanoseconds on `CLOCK_BOOTTIME`, the clock of every record.
#[must_use]
pub fn boot_ns() -> u64 {
    now(libc::CLOCK_BOOTTIME)
}

/// Wall time, in nanoseconds since 1970, of the moment that `CLOCK_BOOTTIME` called `boot_ns`. Both
/// clocks are read at the call, so a wall clock that was set right in between stays right.
#[must_use]
pub fn unix_ns(boot_ns: u64) -> u64 {
    let (wall, boot) = (now(libc::CLOCK_REALTIME), now(libc::CLOCK_BOOTTIME));
    wall.saturating_sub(boot).saturating_add(boot_ns)
}

fn now(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the kernel to write to.
    let status = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(status, 0, "both clocks exist on every kernel that runs BPF");
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::{boot_ns, unix_ns};

    #[test]
    fn kernel_time_now_is_wall_time_now() {
        let wall = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970")
            .as_nanos();
        let converted = u128::from(unix_ns(boot_ns()));
        assert!(converted.abs_diff(wall) < 1_000_000_000, "{converted} {wall}");
    }
}

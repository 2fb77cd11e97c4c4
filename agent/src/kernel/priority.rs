//! How much of the CPU a thread may claim beside others.

/// The calling thread goes before those of programs: what it does is short, and what waits for it is
/// lost when it comes late. Where we have no right to that (`CAP_SYS_NICE`) it stays as it is.
pub(super) fn go_first() {
    set(-10);
}

/// The calling thread leaves the CPU to programs: nothing waits for it.
pub fn go_last() {
    set(10);
}

fn set(nice: i32) {
    // SAFETY: takes numbers only; on Linux 0 is the calling thread, not its process.
    let status = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if status != 0 {
        tracing::debug!(nice, error = %std::io::Error::last_os_error(), "priority stays as it is");
    }
}

//! Memory of this process.

/// Gives memory that was freed back to the system: the allocator keeps it otherwise, and the debug
/// information of one big binary is tens of megabytes.
pub fn give_back_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: only looks at free memory of the allocator, under its own lock.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Makes all threads share one heap. The allocator would give each its own, and what one thread
/// makes and another frees (batches, windows) would be kept in each of them.
pub fn use_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number in the allocator; called before other threads are started.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

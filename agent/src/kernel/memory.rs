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

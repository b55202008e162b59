//! Large pages: fewer of them to look up while a search goes through hundreds of megabytes.

/// Asks the system to back `memory` with large pages where it has them. A hint: nothing depends on it.
///
/// Most distributions give large pages only where they are asked for (`transparent_hugepage` is `madvise`).
#[cfg(target_os = "linux")]
pub(super) fn prefer_large<T>(memory: &mut [std::mem::MaybeUninit<T>]) {
    use std::ffi::{c_int, c_void};

    const MADV_HUGEPAGE: c_int = 14;
    /// The system wants whole pages; the largest of the small ones there are.
    const PAGE_BYTES: usize = 1 << 16;
    /// Below the size of a large page there is nothing to gain.
    const LEAST_BYTES: usize = 2 << 20;

    unsafe extern "C" {
        fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    }

    let range = memory.as_mut_ptr_range();
    let first = range.start.addr().next_multiple_of(PAGE_BYTES);
    let length = (range.end.addr() / PAGE_BYTES * PAGE_BYTES).saturating_sub(first);
    if length >= LEAST_BYTES {
        // SAFETY: the pages lie within `memory`, which is borrowed exclusively; MADV_HUGEPAGE changes no byte of it. A refusal
        // leaves all as it was.
        unsafe { madvise(range.start.with_addr(first).cast(), length, MADV_HUGEPAGE) };
    }
}

/// Asks for nothing: other systems choose the size of pages themselves.
#[cfg(not(target_os = "linux"))]
pub(super) fn prefer_large<T>(_memory: &mut [std::mem::MaybeUninit<T>]) {}

//! What needs the system: counting what is asked of its allocator, and the processor's time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

/// How often memory was asked for, or asked to grow.
static ASKED: AtomicU64 = AtomicU64::new(0);

/// How often memory was asked for, or asked to grow, by now.
pub(crate) fn asked() -> u64 {
    ASKED.load(Ordering::Relaxed)
}

/// The system's allocator, counted.
pub(crate) struct Counted;

#[expect(unsafe_code, reason = "an allocator cannot be written otherwise")]
// SAFETY: all is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps to what `alloc` asks of him.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

//! The memory of a guest: taken from the front, given back only by the last taker.
//!
//! A guest lives for one call and its memory is dropped with it, so keeping track of free blocks is work for nothing;
//! it is also most of the work that a small plugin does. Memory that is freed out of order stays taken until the call
//! ends. A plugin that churns through much memory in one call switches the default feature `call-arena` off and gets the
//! allocator of the standard library.

#![expect(unsafe_code, reason = "an allocator is unsafe by its interface")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::ptr::null_mut;

const PAGE: usize = 65_536;
/// Memory grows by at least this many pages, so that a batch of a thousand lines grows a few times only.
const STEP: usize = 8;

/// The arena of a call.
struct Arena {
    /// First free byte; zero before the first allocation.
    next: Cell<usize>,
    /// End of the memory.
    end: Cell<usize>,
}

// SAFETY: a component of this contract has one thread.
unsafe impl Sync for Arena {}

#[global_allocator]
static ARENA: Arena = Arena { next: Cell::new(0), end: Cell::new(0) };

unsafe extern "C" {
    /// Where the linker ends static data; only its address means something.
    static __heap_base: u8;
}

impl Arena {
    /// Makes room up to `end`; false when the host gives no more memory.
    #[cold]
    fn grow(&self, end: usize) -> bool {
        let pages = core::arch::wasm32::memory_size::<0>();
        self.end.set(pages * PAGE);
        if end <= self.end.get() {
            return true;
        }
        let missing = (end - self.end.get()).div_ceil(PAGE);
        // A large step may be refused where a small one is not.
        for step in [missing.max(STEP), missing] {
            if core::arch::wasm32::memory_grow::<0>(step) != usize::MAX {
                self.end.set((pages + step) * PAGE);
                return true;
            }
        }
        false
    }
}

// SAFETY: blocks are disjoint, because `next` only moves back over the block that ends at it; they are aligned, and
// they lie in memory that exists. Nothing here panics or allocates.
unsafe impl GlobalAlloc for Arena {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut next = self.next.get();
        if next == 0 {
            next = (&raw const __heap_base).addr();
        }
        let start = next.wrapping_add(layout.align() - 1) & !(layout.align() - 1);
        let Some(end) = start.checked_add(layout.size()) else { return null_mut() };
        if end > self.end.get() && !self.grow(end) {
            return null_mut();
        }
        self.next.set(end);
        start as *mut u8
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if block.addr() + layout.size() == self.next.get() {
            self.next.set(block.addr());
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (start, end) = (block.addr(), block.addr() + layout.size());
        if end == self.next.get() {
            let Some(end) = start.checked_add(size) else { return null_mut() };
            if end > self.end.get() && !self.grow(end) {
                return null_mut();
            }
            self.next.set(end);
            return block;
        }
        if size <= layout.size() {
            return block;
        }
        // SAFETY: the alignment is that of a layout, and the caller promises a size that does not overflow with it.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                core::ptr::copy_nonoverlapping(block, moved, layout.size());
            }
            moved
        }
    }
}

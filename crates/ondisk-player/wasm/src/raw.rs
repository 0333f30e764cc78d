//! The module's own boundary: bytes in, bytes out. All `unsafe` of the crate is here.
//!
//! Invariant: a buffer is made by `alloc` or is an answer, and belongs to the host until it gives it
//! back: to `ask`, or to `free`. The present run lives in one cell, and one request at a time
//! touches it.
#![expect(unsafe_code, reason = "a host passes memory as an address and a length")]

use std::alloc::Layout;
use std::cell::RefCell;

use crate::Desk;

/// The longest request; a script is much shorter.
const LONGEST: usize = 64 << 20;

thread_local! {
    static DESK: RefCell<Desk> = RefCell::new(Desk::default());
}

/// The layout of a buffer; `None` for one that nobody gets.
fn layout(len: usize) -> Option<Layout> {
    (1..=usize::MAX / 4).contains(&len).then(|| Layout::array::<u8>(len).ok()).flatten()
}

/// A buffer for a request of so many bytes; 0 where that is none, or too long.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn alloc(len: usize) -> *mut u8 {
    match layout(len).filter(|_| len <= LONGEST) {
        // SAFETY: the layout is not of size 0.
        Some(layout) => unsafe { std::alloc::alloc_zeroed(layout) },
        None => std::ptr::null_mut(),
    }
}

/// Gives a buffer back.
///
/// # Safety
/// It is one of `alloc`, or an answer, of this length, and was not given back.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub unsafe extern "C" fn free(ptr: *mut u8, len: usize) {
    if let Some(layout) = layout(len).filter(|_| !ptr.is_null()) {
        // SAFETY: the caller says that the buffer is ours and of this length; all of ours are made
        // with this layout.
        unsafe { std::alloc::dealloc(ptr, layout) }
    }
}

/// Answers a request, whose buffer is given back by this. The answer is 4 bytes that say its length,
/// the lowest first, and then a text; it is given back by `free` with 4 more than that length.
/// 0 where there is no memory for it.
///
/// # Safety
/// The buffer is one of `alloc`, of this length, and was not given back.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub unsafe extern "C" fn ask(ptr: *mut u8, len: usize) -> *mut u8 {
    let request = match ptr.is_null() {
        true => &[][..],
        // SAFETY: the caller says that so many bytes are ours; `alloc` has set each of them.
        false => unsafe { std::slice::from_raw_parts(ptr, len) },
    };
    let answer = DESK.with(|desk| match desk.try_borrow_mut() {
        Ok(mut desk) => desk.ask(request),
        Err(_) => String::new(),
    });
    // SAFETY: as the caller says; nothing borrows it any more.
    unsafe { free(ptr, len) };
    give(answer.as_bytes())
}

/// A buffer with an answer.
fn give(answer: &[u8]) -> *mut u8 {
    let Ok(len) = u32::try_from(answer.len()) else { return std::ptr::null_mut() };
    let Some(layout) = answer.len().checked_add(4).and_then(layout) else {
        return std::ptr::null_mut();
    };
    // SAFETY: the layout is not of size 0.
    let ptr = unsafe { std::alloc::alloc_zeroed(layout) };
    if !ptr.is_null() {
        // SAFETY: it was just made, of this length, and every byte of it is set.
        let whole = unsafe { std::slice::from_raw_parts_mut(ptr, layout.size()) };
        let (head, tail) = whole.split_at_mut(4);
        head.copy_from_slice(&len.to_le_bytes());
        tail.copy_from_slice(answer);
    }
    ptr
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a host does.
    fn asked(request: &[u8]) -> String {
        let ptr = alloc(request.len());
        assert!(!ptr.is_null());
        // SAFETY: the buffer was just made, of this length; the answer says its own.
        unsafe {
            std::slice::from_raw_parts_mut(ptr, request.len()).copy_from_slice(request);
            let answer = ask(ptr, request.len());
            let mut len = [0; 4];
            len.copy_from_slice(std::slice::from_raw_parts(answer, 4));
            let len = u32::from_le_bytes(len) as usize;
            let whole = std::slice::from_raw_parts(answer, 4 + len);
            let text = String::from_utf8_lossy(&whole[4..]).into_owned();
            free(answer, 4 + len);
            text
        }
    }

    #[test]
    fn a_request_goes_through_memory_and_back() {
        let told = asked(b"run\nwrite f \"A\"; fsync f");
        assert!(told.starts_with(r#"{"ok":true,"#), "{told}");
        let told = asked(b"digest at=3");
        assert!(told.starts_with(r#"{"ok":true,"state":""#), "the run is kept: {told}");
    }

    #[test]
    fn what_is_no_buffer_is_refused() {
        assert!(alloc(0).is_null() && alloc(LONGEST + 1).is_null() && alloc(usize::MAX).is_null());
        // SAFETY: nothing is at no address, and that is said.
        unsafe {
            free(std::ptr::null_mut(), 8);
            let answer = ask(std::ptr::null_mut(), 8);
            assert!(!answer.is_null());
            let mut len = [0; 4];
            len.copy_from_slice(std::slice::from_raw_parts(answer, 4));
            free(answer, 4 + u32::from_le_bytes(len) as usize);
        }
    }
}

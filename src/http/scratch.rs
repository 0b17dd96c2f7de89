//! Memory of requests, reused: a small stack of it on every thread.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::evaluation::Scratch;
use crate::wire::scratch::DecodeScratch;

/// Kept on a thread when idle; a burst of waiting requests does not leave more behind.
const KEPT_PER_THREAD: usize = 64;

/// Everything that one evaluation request writes to.
#[derive(Default)]
pub(super) struct RequestScratch {
    pub decode: DecodeScratch,
    pub evaluation: Scratch,
    /// Size of the last answer.
    pub answer_bytes: usize,
}

thread_local! {
    // Boxed: a loan moves a pointer through the future, not several hundred bytes.
    #[expect(clippy::vec_box, reason = "what is lent is the box")]
    static IDLE: RefCell<Vec<Box<RequestScratch>>> = const { RefCell::new(Vec::new()) };
}

/// Scratch on loan; goes back to whichever thread drops it.
pub(super) struct Loan(Option<Box<RequestScratch>>);

impl Loan {
    pub fn take() -> Self {
        let idle = IDLE.with_borrow_mut(Vec::pop);
        Self(Some(idle.unwrap_or_default()))
    }
}

impl Deref for Loan {
    type Target = RequestScratch;

    fn deref(&self) -> &RequestScratch {
        self.0.as_deref().expect("taken only by drop")
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut RequestScratch {
        self.0.as_deref_mut().expect("taken only by drop")
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(mut scratch) = self.0.take() else { return };
        scratch.decode.shrink_to_cap();
        scratch.evaluation.shrink_to_cap();
        // Not at the end of the thread, when its storage is gone.
        let _ = IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() < KEPT_PER_THREAD {
                idle.push(scratch);
            }
        });
    }
}

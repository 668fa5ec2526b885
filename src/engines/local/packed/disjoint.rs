//! A slice that several threads write, each other parts of it.
#![allow(unsafe_code)]

use std::marker::PhantomData;

/// Floats that are borrowed as a whole and written in pieces.
pub struct Disjoint<'a> {
    start: *mut f32,
    len: usize,
    whole: PhantomData<&'a mut [f32]>,
}

// SAFETY: `write` asks its callers not to write the same place at the same time, and there is no reading.
unsafe impl Sync for Disjoint<'_> {}
// SAFETY: it is a borrowed slice of floats in disguise.
unsafe impl Send for Disjoint<'_> {}

impl<'a> Disjoint<'a> {
    /// Over a slice that nobody else touches meanwhile.
    pub fn new(whole: &'a mut [f32]) -> Self {
        Self { start: whole.as_mut_ptr(), len: whole.len(), whole: PhantomData }
    }

    /// Writes `values` from `at` on.
    ///
    /// # Safety
    /// No other thread may be writing to the same place.
    ///
    /// # Panics
    /// If they do not fit.
    #[inline(always)]
    pub unsafe fn write(&self, at: usize, values: &[f32]) {
        assert!(at <= self.len && values.len() <= self.len - at, "what is written fits");
        // SAFETY: the place is inside the slice, which this borrows exclusively; the caller keeps other
        // threads away from it; `values` cannot overlap what is borrowed exclusively.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.start.add(at), values.len()) };
    }
}

//! Keeps a vector's memory while the lifetime of its elements changes.

/// Empties `vec` and hands its allocation to a vector of another lifetime of the same type.
///
/// Collecting an emptied vector in place keeps the allocation when both types have one layout, which
/// types that differ in a lifetime alone do; the allocation test holds the standard library to it.
#[must_use]
pub fn recycle<A, B>(mut vec: Vec<A>) -> Vec<B> {
    const { assert!(size_of::<A>() == size_of::<B>() && align_of::<A>() == align_of::<B>()) };
    vec.clear();
    vec.into_iter().filter_map(|_| None).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_allocation_stays() {
        let text = String::from("x");
        let mut vec: Vec<&str> = Vec::with_capacity(100);
        vec.push(&text);
        let at = vec.as_ptr() as usize;
        let again: Vec<&'static str> = super::recycle(vec);
        assert_eq!((again.as_ptr() as usize, again.len()), (at, 0));
        assert!(again.capacity() >= 100);
    }
}

//! Concurrency and request limits.

mod concurrency;

pub use concurrency::ConcurrencyLimit;

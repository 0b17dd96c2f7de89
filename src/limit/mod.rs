//! Concurrency and request limits.

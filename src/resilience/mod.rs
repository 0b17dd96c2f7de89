//! What keeps one failing source from taking everything with it: a breaker for each, and one budget for retries.

mod breaker;
mod budget;

pub use breaker::{Breaker, BreakerOpen, BreakerState, Permit};
pub use budget::RetryBudget;

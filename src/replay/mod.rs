//! Two servers, the same requests: are their answers the same, and how long did each take?
//!
//! Pure: what is sent and when is the command's. `request.rs` makes a request of a line, `answer.rs` reads any shape of answer
//! (`http.md` 10), `compare.rs` names what differs, `findings.rs` keeps it by flag with the smallest example, `shrink.rs` makes examples smaller,
//! `latency.rs` has the histograms, `shown.rs` what may stand on a terminal, `report.rs` what is said in the end.

mod answer;
mod compare;
mod findings;
mod latency;
mod report;
mod request;
mod shown;
mod shrink;
mod tokens;

pub use answer::{Answer, FlagAnswer, Parsed};
pub use compare::{Bytes, Difference, Field, Subject, compare};
pub use findings::{Example, Finding, Findings};
pub use latency::Latencies;
pub use report::{Report, Side, SideReport, Skipped};
pub use request::{Request, RequestError};
pub use shrink::Shrinker;
pub use tokens::{TokenError, Tokens};

#[cfg(test)]
mod tests;

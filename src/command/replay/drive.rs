//! When requests are sent, and what comes of them.
//!
//! A thread of its own keeps the pace: at each request's moment it hands the request to one server's queue, half an interval later to the
//! other's, the servers taking turns in being first. A server that is slow fills its own queue; the other's requests leave in time.
//! Latencies count from the moment at which a request was to be sent, so that waiting in the queue is part of them.

mod pace;
mod progress;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use feature_flags::replay::{
    Answer, Bytes, Difference, Field, Report, Request, Side, SideReport, Subject, compare,
};
use tokio::runtime::Runtime;

use super::Failure;
use super::feed::{Fed, Feed};
use super::target::{SendError, Target};

pub use self::pace::Pace;

/// Bytes of answers that wait for the other server's; beyond it they are not compared.
const HELD_BYTES_MAX: usize = 256 * 1024 * 1024;

type Outcome = Result<Answer, SendError>;

/// Two servers and what was found so far. Cheap to clone.
#[derive(Clone)]
pub struct Drive(Arc<Shared>);

struct Shared {
    targets: [Target; 2],
    bytes: Bytes,
    report: Mutex<Report>,
    held_bytes: AtomicUsize,
    stopped: AtomicBool,
}

/// One request under way to both.
struct Pair {
    fed: Fed,
    /// Of the server that answered first.
    first: Mutex<Option<(Side, Option<Outcome>)>>,
}

impl Drive {
    /// Nothing is sent yet.
    pub fn new(targets: [Target; 2], bytes: Bytes) -> Self {
        let side = |target: &Target| SideReport {
            url: target.url.clone(),
            ..SideReport::default()
        };
        let [a, b] = &targets;
        let report = Report {
            a: side(a),
            b: side(b),
            ..Report::default()
        };
        Self(Arc::new(Shared {
            targets,
            bytes,
            report: Mutex::new(report),
            held_bytes: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        }))
    }

    /// Sends everything, and says what came of it.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub fn run(&self, runtime: &Runtime, feed: Feed, pace: Pace) -> Result<Report, Failure> {
        let began = Instant::now();
        runtime.spawn({
            let drive = self.clone();
            async move {
                // An error would mean that there are no signals.
                if tokio::signal::ctrl_c().await.is_ok() {
                    drive.0.stopped.store(true, Ordering::Relaxed);
                }
            }
        });
        let progress = pace
            .progress
            .then(|| runtime.spawn(progress::show(self.clone(), began)));
        let kept = pace::keep(self, runtime, feed, &pace, began);
        if let Some(progress) = progress {
            progress.abort();
        }
        let skipped = kept?;
        let mut report = std::mem::take(&mut *self.report());
        report.skipped = skipped;
        report.rate = pace.rate;
        report.took = began.elapsed();
        Ok(report)
    }

    /// Whether whoever runs this has had enough.
    fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Relaxed)
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.0.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn target(&self, side: Side) -> &Target {
        let [a, b] = &self.0.targets;
        match side {
            Side::A => a,
            Side::B => b,
        }
    }

    /// Sends a request to both and compares, outside the measurement.
    pub async fn compare_now(&self, ready: &Request) -> Vec<Difference> {
        let a = self.target(Side::A).send(ready).await;
        let b = self.target(Side::B).send(ready).await;
        self.differences(&a, &b).unwrap_or_default()
    }

    /// Sends to one server; `intended` is when it should have been sent.
    async fn send(&self, side: Side, pair: &Pair, intended: Instant) {
        let late = intended.elapsed();
        let outcome = self.target(side).send(&pair.fed.ready).await;
        let took = intended.elapsed();
        {
            let mut report = self.report();
            report.lateness.record(late);
            let of_side = report.side_mut(side);
            match &outcome {
                Ok(answer) => of_side.answered(answer.status, took),
                Err(error) => {
                    *of_side.errors.entry(error.name()).or_default() += 1;
                    // What cannot be sent is no fault of the server's.
                    if *error != SendError::Request {
                        of_side.failures.record(took);
                    }
                }
            }
        }
        self.meet(side, pair, outcome);
    }

    /// One of the two will never be asked, so that the other's answer has nothing to be compared with.
    fn give_up(&self, side: Side, pair: &Pair) {
        let mut first = pair.first.lock().unwrap_or_else(PoisonError::into_inner);
        match first.take() {
            Some((_, Some(Ok(answer)))) => {
                self.0.held_bytes.fetch_sub(answer.body.len(), Ordering::Relaxed);
            }
            Some(_) => {}
            None => *first = Some((side, None)),
        }
    }

    /// The first answer waits for the second.
    fn meet(&self, side: Side, pair: &Pair, outcome: Outcome) {
        let held = outcome.as_ref().map_or(0, |answer| answer.body.len());
        let mut first = pair.first.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((first_side, first_outcome)) = first.take() else {
            let fits = self.0.held_bytes.fetch_add(held, Ordering::Relaxed) + held <= HELD_BYTES_MAX;
            if !fits {
                self.0.held_bytes.fetch_sub(held, Ordering::Relaxed);
            }
            *first = Some((side, fits.then_some(outcome)));
            return;
        };
        drop(first);
        let Some(first_outcome) = first_outcome else {
            return;
        };
        let was_held = first_outcome.as_ref().map_or(0, |answer| answer.body.len());
        self.0.held_bytes.fetch_sub(was_held, Ordering::Relaxed);
        let (a, b) = match first_side {
            Side::A => (first_outcome, outcome),
            Side::B => (outcome, first_outcome),
        };
        let differences = self.differences(&a, &b);
        let mut report = self.report();
        if let (Ok(a), Ok(b)) = (&a, &b) {
            report.compared += 1;
            report.succeeded += u64::from(a.is_success() && b.is_success());
        }
        if let Some(differences) = differences
            && !differences.is_empty()
        {
            report.different += 1;
            report.findings.add(&pair.fed.shown, differences);
        }
    }

    /// `None`: neither answered.
    fn differences(&self, a: &Outcome, b: &Outcome) -> Option<Vec<Difference>> {
        let said = |outcome: &Outcome| match outcome {
            Ok(answer) => format!("status {}", answer.status),
            Err(error) => error.name().to_owned(),
        };
        match (a, b) {
            (Ok(a), Ok(b)) => Some(compare(a, b, self.0.bytes)),
            (Err(_), Err(_)) => None,
            _ => Some(vec![Difference::new(
                Subject::Answer,
                Field::Transport,
                &said(a),
                &said(b),
            )]),
        }
    }
}

//! The thread that keeps the pace, and the queues behind it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use feature_flags::replay::{Side, Skipped};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::super::Failure;
use super::super::feed::{Fed, Feed};
use super::{Drive, Pair};

/// How fast, how long, how many.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Requests a second to each server; `None`: as fast as answers come.
    pub rate: Option<f64>,
    /// Most requests.
    pub requests: Option<u64>,
    /// How long.
    pub time: Option<Duration>,
    /// Under way to one server.
    pub concurrency: usize,
    /// Requests that wait to be sent to a server that does not keep up; more are not sent to it, and counted.
    pub waiting_max: usize,
    /// Whether progress is shown.
    pub progress: bool,
}

struct Job {
    pair: Arc<Pair>,
    intended: Instant,
}

impl Pace {
    fn is_over(&self, index: u64, at: Instant, began: Instant) -> bool {
        self.requests.is_some_and(|most| index >= most)
            || self
                .time
                .is_some_and(|time| at.max(Instant::now()) >= began + time)
    }
}

/// Feeds until there is nothing to feed, then waits for the last answers. The calling thread keeps the pace.
pub(super) fn keep(
    drive: &Drive,
    runtime: &Runtime,
    mut feed: Feed,
    pace: &Pace,
    began: Instant,
) -> Result<Skipped, Failure> {
    match pace.rate {
        Some(rate) => keep_rate(drive, runtime, &mut feed, pace, rate, began),
        None => as_fast_as_answers_come(drive, runtime, &mut feed, pace, began),
    }?;
    Ok(feed.skipped())
}

fn pair(fed: Fed) -> Arc<Pair> {
    Arc::new(Pair {
        fed,
        first: Mutex::new(None),
    })
}

/// Who is first takes turns.
fn order(index: u64) -> (Side, Side) {
    let first = if index.is_multiple_of(2) { Side::A } else { Side::B };
    (first, first.other())
}

fn keep_rate(
    drive: &Drive,
    runtime: &Runtime,
    feed: &mut Feed,
    pace: &Pace,
    rate: f64,
    began: Instant,
) -> Result<(), Failure> {
    let start = |side| {
        let (jobs, waiting) = channel(pace.waiting_max);
        let task = runtime.spawn(send_all(drive.clone(), side, waiting, pace.concurrency));
        (jobs, task)
    };
    let ((jobs_a, task_a), (jobs_b, task_b)) = (start(Side::A), start(Side::B));
    let queue = |side| match side {
        Side::A => &jobs_a,
        Side::B => &jobs_b,
    };
    let mut fed = Ok(());
    for index in 0.. {
        let at = began + Duration::from_secs_f64(index as f64 / rate);
        if drive.is_stopped() || pace.is_over(index, at, began) {
            break;
        }
        // Read before its moment, so that reading takes nothing from it.
        let pair = match feed.next() {
            Ok(Some(fed)) => pair(fed),
            Ok(None) => break,
            Err(error) => {
                fed = Err(error);
                break;
            }
        };
        let (first, second) = order(index);
        let half = began + Duration::from_secs_f64((index as f64 + 0.5) / rate);
        drive.report().requests += 1;
        // One server's full queue is not the other's trouble.
        for (side, intended) in [(first, at), (second, half)] {
            sleep_until(intended);
            if !hand_over(queue(side), &pair, intended) {
                drive.report().side_mut(side).overrun += 1;
                drive.give_up(side, &pair);
            }
        }
    }
    drop((jobs_a, jobs_b));
    runtime.block_on(async {
        for task in [task_a, task_b] {
            // A panic in it has been reported.
            let _ = task.await;
        }
    });
    fed
}

fn hand_over(queue: &Sender<Job>, pair: &Arc<Pair>, intended: Instant) -> bool {
    let job = Job {
        pair: Arc::clone(pair),
        intended,
    };
    queue.try_send(job).is_ok()
}

/// The system's sleep is exact to some 60 us, the runtime's to a millisecond.
fn sleep_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}

/// Sends what waits, so many at once, and ends with the last answer.
async fn send_all(drive: Drive, side: Side, mut waiting: Receiver<Job>, concurrency: usize) {
    let places = Arc::new(Semaphore::new(concurrency));
    while let Some(job) = waiting.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let drive = drive.clone();
        tokio::spawn(async move {
            drive.send(side, &job.pair, job.intended).await;
            drop(place);
        });
    }
    let all = u32::try_from(concurrency).unwrap_or(u32::MAX);
    // Closed by nobody.
    let _ = places.acquire_many(all).await;
}

fn as_fast_as_answers_come(
    drive: &Drive,
    runtime: &Runtime,
    feed: &mut Feed,
    pace: &Pace,
    began: Instant,
) -> Result<(), Failure> {
    let places = Arc::new(Semaphore::new(pace.concurrency));
    let mut fed = Ok(());
    for index in 0.. {
        if drive.is_stopped() || pace.is_over(index, Instant::now(), began) {
            break;
        }
        let pair = match feed.next() {
            Ok(Some(fed)) => pair(fed),
            Ok(None) => break,
            Err(error) => {
                fed = Err(error);
                break;
            }
        };
        let Ok(place) = runtime.block_on(Arc::clone(&places).acquire_owned()) else {
            break;
        };
        drive.report().requests += 1;
        let drive = drive.clone();
        let (first, second) = order(index);
        runtime.spawn(async move {
            drive.send(first, &pair, Instant::now()).await;
            drive.send(second, &pair, Instant::now()).await;
            drop(place);
        });
    }
    let all = u32::try_from(pace.concurrency).unwrap_or(u32::MAX);
    // Closed by nobody.
    let _ = runtime.block_on(places.acquire_many(all));
    fed
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use feature_flags::replay::Side;

    use super::{Pace, order};

    #[test]
    fn the_servers_take_turns_in_being_first() {
        let firsts: Vec<Side> = (0..4).map(|index| order(index).0).collect();
        assert_eq!(firsts, [Side::A, Side::B, Side::A, Side::B]);
        assert!((0..4).map(order).all(|(first, second)| first != second));
    }

    #[test]
    fn a_run_ends_at_its_requests_or_its_time() {
        let mut pace = Pace {
            rate: Some(10.0),
            requests: Some(5),
            time: None,
            concurrency: 1,
            waiting_max: 1,
            progress: false,
        };
        let began = Instant::now();
        let later = began + Duration::from_secs(60);
        assert!(!pace.is_over(4, later, began));
        assert!(pace.is_over(5, began, began));
        pace.requests = None;
        assert!(!pace.is_over(u64::MAX, later, began));
        pace.time = Some(Duration::from_secs(60));
        assert!(!pace.is_over(0, began, began));
        assert!(pace.is_over(0, later, began));
    }
}

//! Threads that own a connection each, so that SQLite never blocks an async worker.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::span;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A fixed number of threads behind one bounded queue. Dropping the pool ends the threads after the
/// work that is queued.
pub(super) struct Pool {
    queue: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

/// Why a pool gave no answer.
#[derive(Debug)]
pub(super) enum PoolError {
    /// The queue is full, or the job panicked.
    Unavailable(&'static str),
    /// The statement failed.
    Sqlite(rusqlite::Error),
}

impl Pool {
    /// One thread for each connection.
    pub(super) fn start(name: &str, connections: Vec<Connection>, queue_max: usize) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel::<Job>(queue_max);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut pool = Self {
            queue: Some(sender),
            threads: Vec::new(),
        };
        for connection in connections {
            let receiver = Arc::clone(&receiver);
            let thread = std::thread::Builder::new().name(name.to_owned());
            pool.threads
                .push(thread.spawn(move || work(connection, &receiver))?);
        }
        Ok(pool)
    }

    /// The same as [`Pool::run`], told to a traced request under a name of ours.
    pub(super) async fn query<T, F>(&self, name: &'static str, job: F) -> Result<T, PoolError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let span = span::call(|| name).map(|span| span.with("db.system.name", "sqlite"));
        let answer = self.run(job).await;
        span::settle(span, &answer, |error| match error {
            PoolError::Unavailable(_) => "unavailable",
            PoolError::Sqlite(_) => "statement",
        });
        answer
    }

    /// Runs `job` on one of the connections. Dropping the future leaves the job to run and drops its result.
    pub(super) async fn run<T, F>(&self, job: F) -> Result<T, PoolError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, waiter) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // The caller may have gone; then the result has no use.
            let _ = answer.send(job(connection));
        });
        let queue = self
            .queue
            .as_ref()
            .ok_or(PoolError::Unavailable("store is closing"))?;
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => PoolError::Unavailable("queue is full"),
            TrySendError::Disconnected(_) => PoolError::Unavailable("store is closing"),
        })?;
        match waiter.await {
            Ok(result) => result.map_err(PoolError::Sqlite),
            Err(_) => Err(PoolError::Unavailable("statement ended without an answer")),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // A panic inside a job was caught; there is nothing to report here.
            let _ = thread.join();
        }
    }
}

fn work(mut connection: Connection, queue: &Mutex<Receiver<Job>>) {
    loop {
        // Held while waiting: one thread waits for work, the others wait for the lock.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A panic must cost one answer, not a thread. An open transaction rolls back as it unwinds.
        let _ = catch_unwind(AssertUnwindSafe(|| job(&mut connection)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(queue_max: usize) -> Pool {
        let connection = Connection::open_in_memory().expect("memory database");
        Pool::start("test", vec![connection], queue_max).expect("threads")
    }

    #[tokio::test]
    async fn a_panic_costs_one_answer() {
        let pool = pool(4);
        let failed = pool
            .run(|_| -> rusqlite::Result<()> { panic!("expected by the test") })
            .await;
        assert!(matches!(failed, Err(PoolError::Unavailable(_))));
        let answer = pool
            .run(|connection| connection.query_row("SELECT 7", [], |row| row.get::<_, i64>(0)))
            .await;
        assert_eq!(answer.expect("the thread lives"), 7);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let pool = pool(1);
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let (started, running) = oneshot::channel::<()>();
        let mut first = std::pin::pin!(pool.run(move |_| {
            let _ = started.send(());
            let _ = blocked.recv();
            Ok(())
        }));
        assert!(poll_once(first.as_mut()).await.is_pending());
        running.await.expect("the first job runs");
        let mut second = std::pin::pin!(pool.run(|_| Ok(())));
        assert!(poll_once(second.as_mut()).await.is_pending());
        assert!(matches!(
            pool.run(|_| Ok(())).await,
            Err(PoolError::Unavailable("queue is full"))
        ));
        release.send(()).expect("the first job waits");
        first.await.expect("first");
        second.await.expect("second");
    }

    async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
        std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await
    }
}

//! Where transactions run. SQLite blocks, so production gives it a thread of its own; a simulation
//! runs it in place, since a second thread would make the order of things a matter of chance.

use std::fmt;
use std::sync::mpsc;
use std::thread;

/// One transaction.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs transactions, one after the other, in the order in which they came.
pub trait Executor: Send + Sync {
    /// Takes charge of `job`; it may run later.
    fn execute(&self, job: Job);
}

/// Runs each transaction at once, in place.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline;

impl Executor for Inline {
    fn execute(&self, job: Job) {
        job();
    }
}

/// Runs transactions on one thread of their own. It ends with this value.
pub struct Thread {
    jobs: mpsc::Sender<Job>,
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Thread")
    }
}

impl Thread {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn start() -> std::io::Result<Thread> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        thread::Builder::new().name("backend-sql".to_owned()).spawn(move || {
            for job in waiting {
                // One transaction that panics must not end all others; its asker is told, since the
                // answer's channel closes.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            }
        })?;
        Ok(Thread { jobs })
    }
}

impl Executor for Thread {
    fn execute(&self, job: Job) {
        // A thread that is gone drops the job, and with it the channel its asker waits on.
        let _ = self.jobs.send(job);
    }
}

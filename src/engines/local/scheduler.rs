//! The thread that computes, for all sessions.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::batch::{Batch, Job, Progress};
use crate::engines::EngineError;

/// Tokens of a prompt in one step, at least and at most, however fast the machine is.
const FEWEST_ROWS: usize = 8;
const MOST_ROWS: usize = 512;

/// Runs a [`Batch`] on a thread of its own; that ends when this is dropped.
pub struct Scheduler {
    inbox: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

enum Message {
    Job(Box<Job>),
    /// A reply that was blocked has a reader again.
    Wake,
}

impl Scheduler {
    /// Starts the thread. It computes in `pool`; its steps are to last `step` if a prompt is long.
    pub fn start(batch: Batch, pool: rayon::ThreadPool, step: Duration) -> std::io::Result<Scheduler> {
        let (inbox, messages) = bounded(1024);
        let body = move || run(batch, &pool, &messages, Pace::new(step));
        let thread = std::thread::Builder::new().name("llm-model".into()).spawn(body)?;
        Ok(Scheduler { inbox: Some(inbox), thread: Some(thread) })
    }

    /// Gives it a job. A thread that is gone drops it, which its reader sees.
    pub fn submit(&self, job: Job) {
        if let Some(inbox) = &self.inbox {
            let _ = inbox.send(Message::Job(Box::new(job)));
        }
    }

    /// Tells it to look again. Not needed when messages wait: those wake it as well.
    pub fn wake(&self) {
        if let Some(inbox) = &self.inbox {
            let _ = inbox.try_send(Message::Wake);
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(mut batch: Batch, pool: &rayon::ThreadPool, messages: &Receiver<Message>, mut pace: Pace) {
    let mut progress = Progress::Idle;
    loop {
        if !matches!(progress, Progress::Worked { .. }) {
            match messages.recv() {
                Ok(message) => take_in(&mut batch, message),
                Err(_) => return,
            }
        }
        messages.try_iter().for_each(|message| take_in(&mut batch, message));
        let began = Instant::now();
        let step = || pool.install(|| batch.step(pace.rows));
        progress = catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| {
            tracing::error!("the language model panicked; all replies at work fail");
            let message = "the model panicked; the server's standard error has the place".to_owned();
            batch.fail_all(&EngineError::Failed { engine: "local", code: "engine_panicked", message });
            Progress::Worked { read: 0, decoded: 0 }
        });
        if let Progress::Worked { read, .. } = progress {
            pace.observe(read, began.elapsed());
        }
    }
}

fn take_in(batch: &mut Batch, message: Message) {
    match message {
        Message::Job(job) => batch.push(*job),
        Message::Wake => {}
    }
}

/// How many tokens of a prompt make a step of the wanted length, as measured so far.
#[derive(Debug)]
struct Pace {
    step: Duration,
    rows: usize,
}

impl Pace {
    fn new(step: Duration) -> Pace {
        Pace { step, rows: 32 }
    }

    /// A step that read so many tokens took so long. Only full steps tell; a change is at most twofold,
    /// since one step may have been held up by something else.
    fn observe(&mut self, read: usize, took: Duration) {
        if read < self.rows {
            return;
        }
        let wanted = self.rows as f64 * self.step.as_secs_f64() / took.as_secs_f64().max(1e-6);
        let rows = (wanted as usize).clamp(self.rows / 2, self.rows * 2);
        self.rows = rows.clamp(FEWEST_ROWS, MOST_ROWS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_to_last_as_long_as_wanted() {
        let mut pace = Pace::new(Duration::from_millis(100));
        // A machine that reads a token in 2 ms.
        for _ in 0..10 {
            pace.observe(pace.rows, Duration::from_millis(2) * pace.rows as u32);
        }
        assert_eq!(pace.rows, 50);
        // One that was held up once.
        pace.observe(50, Duration::from_secs(10));
        assert_eq!(pace.rows, 25);
        // A short rest of a prompt tells nothing.
        pace.observe(3, Duration::from_secs(10));
        assert_eq!(pace.rows, 25);
        for _ in 0..20 {
            pace.observe(pace.rows, Duration::from_nanos(1));
        }
        assert_eq!(pace.rows, MOST_ROWS);
    }
}

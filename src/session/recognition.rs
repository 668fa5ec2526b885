//! The recognition that is under way for one session, and what the engine keeps of an utterance between
//! its interim recognitions and the final one.
//!
//! What is kept travels with the work. A recognition that begins when an earlier one was just cancelled (the
//! user fell silent during an interim one) waits the few milliseconds until that gives it back; one that
//! begins beside a recognition that is still wanted goes without.

use std::collections::HashMap;

use crate::engines::workers::{AsrWork, Pool, Saturated};
use crate::engines::{AsrState, CancelToken};
use crate::turn::io::AsrJob;

/// See the module.
#[derive(Default)]
pub struct Recognition {
    /// What is wanted.
    jobs: HashMap<AsrJob, CancelToken>,
    kept: Kept,
    waiting: Option<(AsrJob, AsrWork)>,
}

/// Where the state is.
enum Kept {
    Here(AsrState),
    /// With a job. An engine that had kept nothing so far is not worth waiting for.
    Away {
        with: AsrJob,
        held_something: bool,
    },
}

impl Default for Kept {
    fn default() -> Self {
        Kept::Here(AsrState::default())
    }
}

impl Recognition {
    /// Begins a job, now or as soon as what is kept is back.
    pub fn start(&mut self, job: AsrJob, mut work: AsrWork, pool: &Pool<AsrWork>) -> Result<(), Saturated> {
        self.jobs.insert(job, work.cancel.clone());
        match &mut self.kept {
            Kept::Here(state) => {
                work.state = std::mem::take(state);
                self.kept = Kept::Away { with: job, held_something: !work.state.is_empty() };
                let submitted = pool.submit(work);
                if submitted.is_err() {
                    self.kept = Kept::default();
                    self.jobs.remove(&job);
                }
                submitted
            }
            Kept::Away { with, held_something: true } if !self.jobs.contains_key(with) => {
                if let Some((before, work)) = self.waiting.replace((job, work)) {
                    // It was cancelled too, or there would be two: let it go as it is.
                    self.jobs.remove(&before);
                    pool.submit(work)?;
                }
                Ok(())
            }
            Kept::Away { .. } => pool.submit(work),
        }
    }

    /// A job is no longer wanted.
    pub fn cancel(&mut self, job: AsrJob) {
        if let Some(cancel) = self.jobs.remove(&job) {
            cancel.cancel();
        }
        self.waiting.take_if(|(waiting, _)| *waiting == job);
    }

    /// Nothing is wanted any more.
    pub fn cancel_all(&mut self) {
        self.waiting = None;
        for (_, cancel) in self.jobs.drain() {
            cancel.cancel();
        }
    }

    /// A job has ended; begins the one that waited for its state.
    ///
    /// # Errors
    /// If that finds no room in the pool.
    pub fn ended(
        &mut self,
        job: AsrJob,
        state: AsrState,
        pool: &Pool<AsrWork>,
    ) -> Result<(), (AsrJob, Saturated)> {
        self.jobs.remove(&job);
        if !matches!(self.kept, Kept::Away { with, .. } if with == job) {
            return Ok(()); // it went without
        }
        self.kept = Kept::Here(state);
        match self.waiting.take() {
            Some((next, work)) => self.start(next, work, pool).map_err(|error| (next, error)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::engines::workers::asr_pool;
    use crate::engines::{Asr, AsrRequest, EngineError, Transcript};

    /// Counts in its state how often it was called for this utterance, and waits to be let go each time.
    struct Counting {
        gate: mpsc::Receiver<()>,
    }

    impl Asr for Counting {
        fn transcribe_on(
            &mut self,
            request: &AsrRequest<'_>,
            state: &mut AsrState,
            _cancel: &CancelToken,
        ) -> Result<Transcript, EngineError> {
            self.gate.recv().unwrap();
            let before = state.kept_of::<u32>(request.pcm).copied().unwrap_or(0);
            state.keep(request.pcm, before + 1);
            Ok(Transcript { text: (before + 1).to_string(), language: None })
        }
    }

    type Ended = (AsrJob, AsrState, Result<Transcript, EngineError>);

    struct Session {
        pool: Pool<AsrWork>,
        gate: mpsc::Sender<()>,
        ended: (mpsc::Sender<Ended>, mpsc::Receiver<Ended>),
        recognition: Recognition,
    }

    impl Session {
        fn new() -> Session {
            let (gate, receiver) = mpsc::channel();
            let pool = asr_pool(vec![Box::new(Counting { gate: receiver })], 8).unwrap();
            Session { pool, gate, ended: mpsc::channel(), recognition: Recognition::default() }
        }

        fn start(&mut self, job: u64) {
            let (job, ended) = (AsrJob(job), self.ended.0.clone());
            let work = AsrWork {
                pcm: vec![],
                language: None,
                context: None,
                state: AsrState::default(),
                cancel: CancelToken::new(),
                done: Box::new(move |(state, result)| ended.send((job, state, result)).unwrap()),
            };
            self.recognition.start(job, work, &self.pool).unwrap();
        }

        /// Lets one call go and gives the job that ended, with its words.
        fn next(&mut self) -> (u64, String) {
            self.gate.send(()).unwrap();
            let (job, state, result) = self.ended.1.recv().unwrap();
            self.recognition.ended(job, state, &self.pool).unwrap();
            (job.0, result.map_or_else(|error| error.to_string(), |transcript| transcript.text))
        }
    }

    #[test]
    fn what_is_kept_goes_from_one_recognition_to_the_next() {
        let mut session = Session::new();
        for job in 1..4 {
            session.start(job);
            assert_eq!(session.next(), (job, job.to_string()));
        }
    }

    #[test]
    fn a_recognition_waits_for_what_a_cancelled_one_has() {
        let mut session = Session::new();
        session.start(1);
        session.next();
        session.start(2);
        session.recognition.cancel(AsrJob(2));
        session.start(3);
        // Whether 2 had begun or not, what was kept came back, and went to 3.
        assert_eq!(session.next().0, 2);
        let (job, words) = session.next();
        assert!(job == 3 && words.parse::<u32>().unwrap() >= 2, "{job}: {words}");
    }

    #[test]
    fn beside_a_recognition_that_is_wanted_another_goes_without() {
        let mut session = Session::new();
        session.start(1);
        session.next();
        session.start(2);
        session.start(3);
        assert_eq!(session.next(), (2, "2".to_owned()));
        assert_eq!(session.next(), (3, "1".to_owned()));
        session.start(4);
        assert_eq!(session.next(), (4, "3".to_owned()));
    }

    #[test]
    fn who_waits_in_vain_is_forgotten() {
        let mut session = Session::new();
        session.start(1);
        session.next();
        session.start(2);
        session.recognition.cancel(AsrJob(2));
        session.start(3);
        session.recognition.cancel(AsrJob(3));
        assert_eq!(session.next().0, 2);
        session.start(4);
        assert_eq!(session.next().0, 4);
    }
}

//! How much one client may send: token buckets that are told the time.

use std::time::Duration;

use crate::config::Limits;
use crate::engines::INPUT_RATE_HZ;

/// Rates are averages over this time, so that a burst after a stalled network is no offence.
const WINDOW_S: f64 = 10.0;

/// What a client did too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// `limits.messages_per_second`.
    #[error("too many messages per second")]
    Messages,
    /// `limits.audio_speed`.
    #[error("audio comes in too much faster than real time")]
    Audio,
    /// `limits.bad_messages`.
    #[error("too many bad messages")]
    BadMessages,
}

/// One client's allowance.
#[derive(Debug)]
pub struct Allowance {
    messages: Bucket,
    samples: Bucket,
    bad_messages_left: u32,
}

#[derive(Debug)]
struct Bucket {
    per_second: f64,
    left: f64,
    filled_at: Duration,
}

impl Allowance {
    /// A full one. Times are given as time since the connection began.
    pub fn new(limits: &Limits) -> Allowance {
        Allowance {
            messages: Bucket::full(limits.messages_per_second.into()),
            samples: Bucket::full(f64::from(limits.audio_speed) * f64::from(INPUT_RATE_HZ)),
            bad_messages_left: limits.bad_messages,
        }
    }

    /// A message came.
    pub fn message(&mut self, now: Duration) -> Result<(), Excess> {
        self.messages.take(1.0, now).then_some(()).ok_or(Excess::Messages)
    }

    /// It held so many samples.
    pub fn audio(&mut self, samples: usize, now: Duration) -> Result<(), Excess> {
        self.samples.take(samples as f64, now).then_some(()).ok_or(Excess::Audio)
    }

    /// It made no sense.
    pub fn bad_message(&mut self) -> Result<(), Excess> {
        self.bad_messages_left = self.bad_messages_left.checked_sub(1).ok_or(Excess::BadMessages)?;
        Ok(())
    }
}

impl Bucket {
    fn full(per_second: f64) -> Bucket {
        Bucket { per_second, left: per_second * WINDOW_S, filled_at: Duration::ZERO }
    }

    fn take(&mut self, amount: f64, now: Duration) -> bool {
        let since = now.saturating_sub(self.filled_at).as_secs_f64();
        self.left = (self.left + since * self.per_second).min(self.per_second * WINDOW_S);
        self.filled_at = now;
        self.left -= amount;
        self.left >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(first: usize, every_ms: u64, samples: usize) -> Option<usize> {
        let mut allowance = Allowance::new(&Limits { audio_speed: 2.0, ..Limits::default() });
        allowance.audio(first, Duration::ZERO).ok()?;
        (1..2_000)
            .find(|n| allowance.audio(samples, Duration::from_millis(n * every_ms)).is_err())
            .map(|n| n as usize)
    }

    #[test]
    fn twice_real_time_is_allowed_for_ever_and_four_times_is_not() {
        assert_eq!(after(0, 20, 640), None);
        assert!(after(0, 20, 1_280).is_some_and(|n| n > 400));
    }

    #[test]
    fn a_burst_within_the_window_is_allowed() {
        assert_eq!(after(20 * 16_000, 20, 320), None);
        assert!(after(20 * 16_000 + 1, 20, 320).is_none_or(|n| n == 0));
    }

    #[test]
    fn messages_and_bad_messages_run_out() {
        let mut allowance =
            Allowance::new(&Limits { messages_per_second: 1, bad_messages: 2, ..Limits::default() });
        let allowed = (0..20).take_while(|_| allowance.message(Duration::ZERO).is_ok()).count();
        assert_eq!(allowed, 10);
        assert!(allowance.message(Duration::from_secs(60)).is_ok());
        assert!(allowance.bad_message().is_ok() && allowance.bad_message().is_ok());
        assert_eq!(allowance.bad_message(), Err(Excess::BadMessages));
    }
}

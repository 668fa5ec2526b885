//! How much one client may send over its socket.

use std::time::Duration;

use super::bucket::Bucket;
use super::quotas::AudioQuota;
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
    /// `limits.audio_seconds_per_hour`.
    #[error("more audio than you may send in an hour")]
    Quota,
    /// `limits.bad_messages`.
    #[error("too many bad messages")]
    BadMessages,
}

/// One client's allowance.
#[derive(Debug)]
pub struct Allowance {
    messages: Bucket,
    samples: Bucket,
    quota: AudioQuota,
    bad_messages_left: u32,
}

impl Allowance {
    /// A full one. Times are given as time since the connection began. `quota`: what its owner may send
    /// on all connections together.
    pub fn new(limits: &Limits, quota: AudioQuota) -> Allowance {
        let samples_per_second = f64::from(limits.audio_speed) * f64::from(INPUT_RATE_HZ);
        Allowance {
            messages: Bucket::of_window(limits.messages_per_second.into(), WINDOW_S),
            samples: Bucket::of_window(samples_per_second, WINDOW_S),
            quota,
            bad_messages_left: limits.bad_messages,
        }
    }

    /// A message came.
    pub fn message(&mut self, now: Duration) -> Result<(), Excess> {
        self.messages.take(1.0, now).map_err(|_| Excess::Messages)
    }

    /// It held so many samples.
    pub fn audio(&mut self, samples: usize, now: Duration) -> Result<(), Excess> {
        self.samples.take(samples as f64, now).map_err(|_| Excess::Audio)?;
        self.quota.take(samples as f64 / f64::from(INPUT_RATE_HZ)).map_err(|_| Excess::Quota)
    }

    /// It made no sense.
    pub fn bad_message(&mut self) -> Result<(), Excess> {
        self.bad_messages_left = self.bad_messages_left.checked_sub(1).ok_or(Excess::BadMessages)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(first: usize, every_ms: u64, samples: usize) -> Option<usize> {
        let limits = Limits { audio_speed: 2.0, ..Limits::default() };
        let mut allowance = Allowance::new(&limits, AudioQuota::none());
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
        let limits = Limits { messages_per_second: 1, bad_messages: 2, ..Limits::default() };
        let mut allowance = Allowance::new(&limits, AudioQuota::none());
        let allowed = (0..20).take_while(|_| allowance.message(Duration::ZERO).is_ok()).count();
        assert_eq!(allowed, 10);
        assert!(allowance.message(Duration::from_secs(60)).is_ok());
        assert!(allowance.bad_message().is_ok() && allowance.bad_message().is_ok());
        assert_eq!(allowance.bad_message(), Err(Excess::BadMessages));
    }
}

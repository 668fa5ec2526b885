//! How far a client has played what it was sent, as far as real time tells: a queue that plays
//! without gaps, runs dry when nothing is sent, and stands still while it is held.
//!
//! It assumes no network delay, so a real client is never ahead of it. Clients that report what
//! they played ([`Playout::report`]) are believed instead.

use super::io::Time;

/// Output samples per millisecond (24 kHz).
pub const SAMPLES_PER_MS: u64 = crate::engines::OUTPUT_RATE_HZ as u64 / 1_000;

/// Playout of one reply's audio. Positions are output samples (24 kHz) of the reply.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Playout {
    sent: u64,
    /// The queue was at this sample …
    base: u64,
    /// … at this time, and has been playing since, unless held.
    since: Time,
    held: bool,
    reported: Option<u64>,
}

impl Playout {
    /// Nothing sent yet.
    pub fn new() -> Playout {
        Playout::default()
    }

    /// Samples sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The sample that real-time playout has reached; never more than was sent.
    pub fn position(&self, now: Time) -> u64 {
        if self.held {
            return self.base;
        }
        (self.base + now.since(self.since) * SAMPLES_PER_MS / 1_000).min(self.sent)
    }

    /// `samples` more have been sent.
    pub fn send(&mut self, samples: u64, now: Time) {
        let position = self.position(now);
        if position == self.sent && !self.held {
            // The queue had run dry: it plays again from here.
            self.base = position;
            self.since = now;
        }
        self.sent += samples;
    }

    /// When `samples` more may be sent without being more than `lead_ms` ahead; `None` while held.
    pub fn may_send_at(&self, samples: u64, lead_ms: u64) -> Option<Time> {
        self.reaches_at((self.sent + samples).saturating_sub(lead_ms * SAMPLES_PER_MS))
    }

    /// When everything sent will have been played; `None` while held.
    pub fn ends_at(&self) -> Option<Time> {
        self.reaches_at(self.sent)
    }

    fn reaches_at(&self, sample: u64) -> Option<Time> {
        let ahead = sample.saturating_sub(self.base);
        let at = Time(self.since.0 + (ahead * 1_000).div_ceil(SAMPLES_PER_MS));
        (!self.held).then_some(at)
    }

    /// The client holds its queue.
    pub fn hold(&mut self, now: Time) {
        self.base = self.position(now);
        self.held = true;
    }

    /// The client goes on from where it held.
    pub fn release(&mut self, now: Time) {
        self.since = now;
        self.held = false;
    }

    /// All that was sent behind sample `to` is lost: it is sent again, from now on.
    pub fn rewind(&mut self, to: u64, now: Time) {
        self.sent = to.min(self.sent);
        self.base = self.sent;
        self.since = now;
        self.held = false;
        self.reported = self.reported.map(|reported| reported.min(self.sent));
    }

    /// The client says that it has played up to `sample`.
    pub fn report(&mut self, sample: u64) {
        self.reported = Some(sample.min(self.sent).max(self.reported.unwrap_or(0)));
    }

    /// What the client has reported, if it reports.
    pub fn reported(&self) -> Option<u64> {
        self.reported
    }

    /// Heard-through: what the client reported, else what real time tells.
    pub fn heard(&self, now: Time) -> u64 {
        self.reported.unwrap_or_else(|| self.position(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plays_in_real_time_and_never_past_what_was_sent() {
        let mut playout = Playout::new();
        playout.send(960, Time::from_ms(100));
        assert_eq!(playout.position(Time::from_ms(120)), 480);
        assert_eq!(playout.position(Time::from_ms(500)), 960);
        assert_eq!(playout.ends_at(), Some(Time::from_ms(140)));
    }

    #[test]
    fn a_dry_queue_starts_again_when_something_comes() {
        let mut playout = Playout::new();
        playout.send(960, Time::from_ms(0));
        playout.send(960, Time::from_ms(1_000));
        assert_eq!(playout.position(Time::from_ms(1_010)), 960 + 240);
    }

    #[test]
    fn holding_stops_at_the_exact_sample_and_release_goes_on_there() {
        let mut playout = Playout::new();
        playout.send(9_600, Time::from_ms(0));
        playout.hold(Time(50_417));
        let held = playout.position(Time::from_ms(9_000));
        assert_eq!(held, 50_417 * 24 / 1_000);
        assert_eq!((playout.may_send_at(960, 400), playout.ends_at()), (None, None));
        playout.release(Time::from_ms(10_000));
        assert_eq!(playout.position(Time::from_ms(10_010)), held + 240);
    }

    #[test]
    fn what_was_lost_is_sent_again_from_the_sample_that_was_heard() {
        let mut playout = Playout::new();
        playout.send(9_600, Time::from_ms(0));
        playout.report(2_400);
        playout.hold(Time::from_ms(200));
        playout.rewind(1_200, Time::from_ms(5_000));
        assert_eq!((playout.sent(), playout.heard(Time::from_ms(5_000))), (1_200, 1_200));
        assert_eq!(playout.may_send_at(960, 0), Some(Time::from_ms(5_040)));
        playout.rewind(9_600, Time::from_ms(5_000));
        assert_eq!(playout.sent(), 1_200, "nothing is heard that was not sent");
    }

    #[test]
    fn sending_is_allowed_exactly_when_the_lead_is_not_exceeded() {
        let mut playout = Playout::new();
        for _ in 0..10 {
            assert!(playout.may_send_at(960, 400).unwrap() <= Time::from_ms(7));
            playout.send(960, Time::from_ms(7));
        }
        assert_eq!(playout.may_send_at(960, 400), Some(Time::from_ms(47)));
    }
}

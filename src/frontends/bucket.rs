//! A token bucket that is told the time: so much at once, and so much a second.

use std::time::Duration;

/// What somebody may still do.
#[derive(Debug, Clone)]
pub struct Bucket {
    capacity: f64,
    per_second: f64,
    left: f64,
    filled_at: Duration,
}

impl Bucket {
    /// A full one, at time zero of the caller's clock.
    pub fn full(capacity: f64, per_second: f64) -> Bucket {
        Bucket { capacity, per_second, left: capacity, filled_at: Duration::ZERO }
    }

    /// A full one that is as large as what flows into it in `seconds`.
    pub fn of_window(per_second: f64, seconds: f64) -> Bucket {
        Bucket::full(per_second * seconds, per_second)
    }

    /// Takes `amount`, or nothing.
    ///
    /// # Errors
    /// After how long there will be enough; for more than the bucket holds: until it is full.
    pub fn take(&mut self, amount: f64, now: Duration) -> Result<(), Duration> {
        self.fill(now);
        if amount <= self.left {
            self.left -= amount;
            return Ok(());
        }
        let missing = amount.min(self.capacity) - self.left;
        Err(Duration::from_secs_f64((missing / self.per_second).clamp(0.0, 1e9)))
    }

    /// Nothing has been taken, or it has come back since.
    pub fn is_full(&mut self, now: Duration) -> bool {
        self.fill(now);
        self.left >= self.capacity
    }

    fn fill(&mut self, now: Duration) {
        let since = now.saturating_sub(self.filled_at).as_secs_f64();
        self.left = (self.left + since * self.per_second).min(self.capacity);
        self.filled_at = self.filled_at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_empties_and_fills_again() {
        let mut bucket = Bucket::of_window(2.0, 5.0);
        assert_eq!(bucket.take(10.0, s(0)), Ok(()));
        assert_eq!(bucket.take(4.0, s(0)), Err(s(2)));
        assert_eq!(bucket.take(4.0, s(2)), Ok(()));
        assert_eq!((bucket.is_full(s(6)), bucket.is_full(s(7))), (false, true));
        // It holds no more than at the beginning.
        assert_eq!(bucket.take(10.0, s(1_000)), Ok(()));
        assert!(bucket.take(1.0, s(1_000)).is_err());
    }

    #[test]
    fn more_than_it_holds_is_never_taken() {
        let mut bucket = Bucket::of_window(1.0, 10.0);
        assert_eq!(bucket.take(11.0, s(0)), Err(s(0)));
        assert_eq!(bucket.take(10.0, s(0)), Ok(()));
        assert_eq!(bucket.take(11.0, s(0)), Err(s(10)));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = Bucket::of_window(1.0, 10.0);
        assert_eq!(bucket.take(10.0, s(5)), Ok(()));
        assert!(bucket.take(1.0, s(3)).is_err());
        assert_eq!(bucket.take(1.0, s(6)), Ok(()));
        assert!(bucket.take(1.0, s(6)).is_err());
    }
}

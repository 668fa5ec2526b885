//! How much one address and one access token may ask for over time, on all of their connections together:
//! requests a minute, audio an hour.
//!
//! Counted in this process only: servers side by side count each for themselves. Deliberately absent: how
//! many sessions may be open ([`super::admission`]) and how fast one socket may send ([`super::limits`]).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::bucket::Bucket;
use crate::config::Limits;
use crate::conversation::ids::Hash;

const MINUTE_S: f64 = 60.0;
const HOUR_S: f64 = 3_600.0;
/// Addresses and tokens that are remembered at a time, about 10 MiB of them.
const MAX_COUNTED: usize = 100_000;

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Payer {
    /// A machine, or the network that its IPv6 address is one of.
    Address(IpAddr),
    /// Whoever has this token.
    Token(Hash),
}

impl Payer {
    /// The token, or the address of somebody without one.
    pub fn of(owner: Option<Hash>, address: IpAddr) -> Payer {
        owner.map_or(Payer::Address(network(address)), Payer::Token)
    }
}

/// Who has one IPv6 address has a /64 of them.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> 64))),
    }
}

/// Somebody asked for more than there is for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}; try again in {} s", wait.as_secs().max(1))]
pub struct TooMuch {
    /// What there was too much of.
    what: &'static str,
    /// Until there will be enough again.
    pub wait: Duration,
}

/// The counters of all.
#[derive(Debug)]
pub struct Quotas {
    requests: Meter,
    audio: Arc<Meter>,
}

impl Quotas {
    /// As `limits` say.
    pub fn new(limits: &Limits) -> Quotas {
        let requests = f64::from(limits.requests_per_minute);
        let audio_s = f64::from(limits.audio_seconds_per_hour);
        Quotas {
            requests: Meter::new("too many requests", requests, MINUTE_S),
            audio: Arc::new(Meter::new("more audio than you may send in an hour", audio_s, HOUR_S)),
        }
    }

    /// One more request.
    ///
    /// # Errors
    /// It is one too many.
    pub fn request(&self, payer: Payer) -> Result<(), TooMuch> {
        self.requests.take(payer, 1.0)
    }

    /// What `payer` may send.
    pub fn audio(&self, payer: Payer) -> AudioQuota {
        AudioQuota(Some((Arc::clone(&self.audio), payer)))
    }
}

/// How much audio somebody may send; shared by all of their connections.
#[derive(Debug, Clone)]
pub struct AudioQuota(Option<(Arc<Meter>, Payer)>);

impl AudioQuota {
    /// Without a limit.
    pub fn none() -> AudioQuota {
        AudioQuota(None)
    }

    /// Takes `seconds` of audio, or nothing.
    ///
    /// # Errors
    /// It is more than there is.
    pub fn take(&self, seconds: f64) -> Result<(), TooMuch> {
        self.0.as_ref().map_or(Ok(()), |(meter, payer)| meter.take(*payer, seconds))
    }
}

/// One bucket each for all who pay.
#[derive(Debug)]
struct Meter {
    what: &'static str,
    /// 0: there is no limit.
    per_window: f64,
    window_s: f64,
    began: Instant,
    buckets: Mutex<HashMap<Payer, Bucket>>,
}

impl Meter {
    fn new(what: &'static str, per_window: f64, window_s: f64) -> Meter {
        Meter { what, per_window, window_s, began: Instant::now(), buckets: Mutex::default() }
    }

    fn take(&self, payer: Payer, amount: f64) -> Result<(), TooMuch> {
        self.take_at(payer, amount, self.began.elapsed())
    }

    fn take_at(&self, payer: Payer, amount: f64, now: Duration) -> Result<(), TooMuch> {
        if self.per_window == 0.0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_COUNTED && !buckets.contains_key(&payer) {
            // A full bucket says what no bucket says.
            buckets.retain(|_, bucket| !bucket.is_full(now));
            if buckets.len() >= MAX_COUNTED {
                tracing::warn!("too many addresses to count the requests of each: counting starts anew");
                buckets.clear();
            }
        }
        let per_second = self.per_window / self.window_s;
        let bucket = buckets.entry(payer).or_insert_with(|| Bucket::full(self.per_window, per_second));
        bucket.take(amount, now).map_err(|wait| TooMuch { what: self.what, wait })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Payer {
        Payer::of(None, IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn each_has_an_allowance_of_its_own_that_comes_back() {
        let meter = Meter::new("too many", 60.0, MINUTE_S);
        let at = Duration::from_secs;
        for _ in 0..60 {
            meter.take_at(address(1), 1.0, at(0)).unwrap();
        }
        let refused = meter.take_at(address(1), 1.0, at(0)).unwrap_err();
        assert_eq!(refused.to_string(), "too many; try again in 1 s");
        assert_eq!(meter.take_at(address(2), 1.0, at(0)), Ok(()));
        assert_eq!(meter.take_at(Payer::Token(Hash::ZERO), 1.0, at(0)), Ok(()));
        assert_eq!(meter.take_at(address(1), 2.0, at(2)), Ok(()));
        assert!(meter.take_at(address(1), 1.0, at(2)).is_err());
    }

    #[test]
    fn no_limit_is_no_limit_and_counts_nobody() {
        let meter = Meter::new("too many", 0.0, MINUTE_S);
        for last in 0..=255 {
            meter.take_at(address(last), 1e12, Duration::ZERO).unwrap();
        }
        assert!(meter.buckets.lock().unwrap().is_empty());
    }

    #[test]
    fn a_network_counts_once_and_a_mapped_address_as_what_it_is() {
        let of = |text: &str| Payer::of(None, text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.7"), address(7));
        assert_ne!(Payer::of(Some(Hash::ZERO), IpAddr::from([192, 0, 2, 7])), address(7));
    }

    #[test]
    fn memory_has_an_end() {
        let meter = Meter::new("too many", 2.0, MINUTE_S);
        let payer = |n: usize| Payer::Address(IpAddr::V6(Ipv6Addr::from_bits((n as u128) << 64)));
        for n in 0..MAX_COUNTED {
            meter.take_at(payer(n), 1.0, Duration::ZERO).unwrap();
        }
        // All of those are full again an hour later, and forgotten.
        meter.take_at(payer(MAX_COUNTED), 1.0, Duration::from_secs(3_600)).unwrap();
        assert_eq!(meter.buckets.lock().unwrap().len(), 1);
    }
}

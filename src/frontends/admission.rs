//! How many sessions may be open: when the server is full, new ones are refused at once, instead of
//! making all of them slow.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::quotas::network;
use crate::config::Limits;
use crate::conversation::ids::Hash;
use crate::metrics;

/// Counts open sessions.
#[derive(Debug)]
pub struct Admission {
    sessions: usize,
    sessions_per_address: usize,
    sessions_per_token: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    of_address: HashMap<IpAddr, usize>,
    of_token: HashMap<Hash, usize>,
}

/// Why a session is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `limits.sessions` are open.
    #[error("the server is busy; try again later")]
    Busy,
    /// `limits.sessions_per_address` are open from there.
    #[error("too many sessions from your address; close one first")]
    TooManyFromAddress,
    /// `limits.sessions_per_token` are open with that one.
    #[error("too many sessions with your token; close one first")]
    TooManyOfToken,
}

/// The right to one open session; given back when dropped.
#[derive(Debug)]
pub struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
    owner: Option<Hash>,
    _counted: metrics::ActiveSession,
}

impl Admission {
    /// As many as `limits` allow.
    pub fn new(limits: &Limits) -> Arc<Admission> {
        Arc::new(Admission {
            sessions: limits.sessions,
            sessions_per_address: limits.sessions_per_address,
            sessions_per_token: limits.sessions_per_token,
            open: Mutex::default(),
        })
    }

    /// Lets one more session in, or says why not. `owner`: the token with which they come.
    pub fn admit(self: &Arc<Self>, address: IpAddr, owner: Option<Hash>) -> Result<Admitted, Refused> {
        let address = network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= self.sessions {
            return Err(Refused::Busy);
        }
        let full = |limit: usize, here: Option<&usize>| limit > 0 && here.is_some_and(|here| *here >= limit);
        if full(self.sessions_per_address, open.of_address.get(&address)) {
            return Err(Refused::TooManyFromAddress);
        }
        if full(self.sessions_per_token, owner.and_then(|owner| open.of_token.get(&owner))) {
            return Err(Refused::TooManyOfToken);
        }
        open.all += 1;
        *open.of_address.entry(address).or_default() += 1;
        if let Some(owner) = owner {
            *open.of_token.entry(owner).or_default() += 1;
        }
        let _counted = metrics::session_opened();
        Ok(Admitted { admission: Arc::clone(self), address, owner, _counted })
    }

    /// Sessions that are open.
    pub fn open_sessions(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).all
    }

    /// No session more would be let in.
    pub fn is_full(&self) -> bool {
        self.open_sessions() >= self.sessions
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        one_less(&mut open.of_address, &self.address);
        if let Some(owner) = &self.owner {
            one_less(&mut open.of_token, owner);
        }
    }
}

fn one_less<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_refused_and_given_back() {
        let limits =
            Limits { sessions: 4, sessions_per_address: 2, sessions_per_token: 1, ..Limits::default() };
        let admission = Admission::new(&limits);
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = admission.admit(here, None).unwrap();
        let _second = admission.admit(here, Some(Hash::ZERO)).unwrap();
        assert_eq!(admission.admit(here, None).unwrap_err(), Refused::TooManyFromAddress);
        assert_eq!(admission.admit(there, Some(Hash::ZERO)).unwrap_err(), Refused::TooManyOfToken);
        let _third = admission.admit(there, None).unwrap();
        let _fourth = admission.admit(there, None).unwrap();
        assert_eq!(admission.admit(IpAddr::from([127, 0, 0, 3]), None).unwrap_err(), Refused::Busy);
        assert!(admission.is_full());
        drop(first);
        assert!(!admission.is_full());
        assert!(admission.admit(here, None).is_ok());
    }
}

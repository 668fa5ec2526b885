//! How many sessions may be open: when the server is full, new ones are refused at once, instead of
//! making all of them slow.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Limits;
use crate::metrics;

/// Counts open sessions.
#[derive(Debug)]
pub struct Admission {
    sessions: usize,
    sessions_per_address: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
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
}

/// The right to one open session; given back when dropped.
#[derive(Debug)]
pub struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
    _counted: metrics::ActiveSession,
}

impl Admission {
    /// As many as `limits` allow.
    pub fn new(limits: &Limits) -> Arc<Admission> {
        Arc::new(Admission {
            sessions: limits.sessions,
            sessions_per_address: limits.sessions_per_address,
            open: Mutex::default(),
        })
    }

    /// Lets one more session in, or says why not.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admitted, Refused> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= self.sessions {
            return Err(Refused::Busy);
        }
        let here = open.get(&address).copied().unwrap_or(0);
        if self.sessions_per_address > 0 && here >= self.sessions_per_address {
            return Err(Refused::TooManyFromAddress);
        }
        open.insert(address, here + 1);
        Ok(Admitted { admission: Arc::clone(self), address, _counted: metrics::session_opened() })
    }

    /// Sessions that are open.
    pub fn open_sessions(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// No session more would be let in.
    pub fn is_full(&self) -> bool {
        self.open_sessions() >= self.sessions
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = open.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_refused_and_given_back() {
        let limits = Limits { sessions: 3, sessions_per_address: 2, ..Limits::default() };
        let admission = Admission::new(&limits);
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = admission.admit(here).unwrap();
        let _second = admission.admit(here).unwrap();
        assert_eq!(admission.admit(here).unwrap_err(), Refused::TooManyFromAddress);
        let _third = admission.admit(there).unwrap();
        assert_eq!(admission.admit(there).unwrap_err(), Refused::Busy);
        drop(first);
        assert!(!admission.is_full());
        assert!(admission.admit(here).is_ok());
    }
}

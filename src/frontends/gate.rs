//! The gate in front of every route: who comes, whether they may, and how often. No handler repeats this;
//! a handler that needs to know who came takes `Extension<Visitor>`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::auth::{Needs, Refusal, Visitor};
use super::listener::Peer;
use super::problem::Problem;
use super::quotas::{Payer, TooMuch};
use super::server::Server;
use crate::metrics;

/// What the gate of one route knows.
#[derive(Clone)]
pub struct Gate {
    /// What all routes share.
    pub server: Arc<Server>,
    /// What this one asks for.
    pub needs: Needs,
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Problem {
        Problem::new(refusal.status(), refusal.code(), refusal.to_string())
    }
}

impl From<TooMuch> for Problem {
    fn from(excess: TooMuch) -> Problem {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", excess.to_string());
        problem.after(excess.wait)
    }
}

/// Lets a request through to its handler, with its [`Visitor`], or answers why not.
pub async fn check(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    match gate.admit(request.headers().clone(), address(&request)).await {
        Ok(visitor) => {
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        Err(problem) => {
            metrics::error(problem.code.to_string());
            match gate.needs {
                Needs::Token(_) => problem.into_detailed_response(),
                _ => problem.into_response(),
            }
        }
    }
}

impl Gate {
    async fn admit(&self, headers: HeaderMap, address: IpAddr) -> Result<Visitor, Problem> {
        let Gate { server, needs } = self;
        if *needs == Needs::Nothing {
            return Ok(Visitor::default());
        }
        // First of all, so that nobody can guess tokens fast.
        server.quotas.request(Payer::of(None, address))?;
        let (shared, needs) = (Arc::clone(server), *needs);
        let admitted = tokio::task::spawn_blocking(move || shared.door.admit(&headers, needs)).await;
        let admitted = admitted.map_err(|_| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the look-up was stopped")
        })?;
        let visitor = admitted.map_err(|refusal| Problem::from(&refusal))?;
        if visitor.owner.is_some() {
            server.quotas.request(Payer::of(visitor.owner, address))?;
        }
        Ok(visitor)
    }
}

fn address(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    peer.map_or(IpAddr::from([0, 0, 0, 0]), |ConnectInfo(Peer(peer))| peer.ip())
}

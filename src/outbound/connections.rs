//! Connections of the engines that ask other servers: one thread of sockets and timers, one pool.
//!
//! Engines are blocking calls on worker threads; this is where they wait. All of them, for recognition,
//! replies and speech alike, share what is here, so that a server that does all three is reached over the
//! same few connections. It lasts as long as somebody uses it.
//!
//! Deliberately absent: the clients of model hubs and of HTTP tools, which come and go with their work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use reqwest::{Client, Url};
use tokio::runtime::{Handle, Runtime};

use super::{client, is_loopback};

/// Idle connections are dropped before common servers close theirs (uvicorn's default is 5 s): a
/// request on a connection that is just being closed fails.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// Those of this process, while an engine holds them.
static SHARED: Mutex<Weak<Connections>> = Mutex::new(Weak::new());

/// A pool of connections and the thread that they live on. May be dropped anywhere, also on an executor
/// thread.
pub struct Connections {
    handle: Handle,
    runtime: Option<Runtime>,
    /// A client has its own pool, so there is one for each way in which servers are reached.
    clients: Mutex<HashMap<Way, Client>>,
}

/// What a client cannot change from one request to the next.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Way {
    /// With the system's certificates.
    encrypted: bool,
    /// Past all proxies.
    loopback: bool,
    connect_timeout: Duration,
}

impl Connections {
    /// The connections that everybody shares; the first call starts their thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn shared() -> std::io::Result<Arc<Connections>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = shared.upgrade() {
            return Ok(connections);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("engines-http")
            .enable_all()
            .build()?;
        let connections = Arc::new(Connections {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
            clients: Mutex::default(),
        });
        *shared = Arc::downgrade(&connections);
        Ok(connections)
    }

    /// The client for `url` and every other server that is reached in the same way.
    pub fn client(&self, url: &Url, connect_timeout: Duration) -> reqwest::Result<Client> {
        let way = Way { encrypted: url.scheme() != "http", loopback: is_loopback(url), connect_timeout };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&way) {
            return Ok(client.clone());
        }
        let client = client(url).connect_timeout(connect_timeout).pool_idle_timeout(POOL_IDLE).build()?;
        clients.insert(way, client.clone());
        Ok(client)
    }

    /// Runs `future` on the calling thread, which must be none of an executor; its sockets and timers are
    /// served by the thread here.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// Runs `future` on the thread here.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(future);
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

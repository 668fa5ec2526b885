//! The TCP door: so many connections at a time, of all and of each address; no delay of small packets; TLS,
//! where there is a certificate.
//!
//! Handshakes go on beside each other: one that is slow, or never comes to an end, keeps nobody waiting.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

use super::quotas::network;
use super::tls::Certificates;
use crate::config::Limits;

/// Accepts at most `limits.connections` at a time (more wait in the system's queue), and of one address at
/// most `limits.connections_per_address` (more are closed at once).
pub struct LimitedListener {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    addresses: Arc<Addresses>,
    tls: Option<Arc<Certificates>>,
    handshakes: JoinSet<Option<(Counted, SocketAddr)>>,
}

impl LimitedListener {
    /// With TLS if there is a certificate.
    pub fn new(listener: TcpListener, limits: &Limits, tls: Option<Arc<Certificates>>) -> LimitedListener {
        LimitedListener {
            listener,
            permits: Arc::new(Semaphore::new(limits.connections)),
            addresses: Arc::new(Addresses { most: limits.connections_per_address, open: Mutex::default() }),
            tls,
            handshakes: JoinSet::new(),
        }
    }
}

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, LimitedListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, LimitedListener>) -> Peer {
        Peer(*stream.remote_addr())
    }
}

impl Listener for LimitedListener {
    type Io = Counted;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Counted, SocketAddr) {
        loop {
            let LimitedListener { listener, permits, addresses, tls, handshakes } = self;
            tokio::select! {
                Some(ended) = handshakes.join_next() => {
                    if let Ok(Some(ready)) = ended {
                        return ready;
                    }
                }
                (stream, address, place) = next(listener, permits, addresses) => match tls {
                    None => return (Counted { stream: Stream::Plain(stream), _place: place }, address),
                    Some(tls) => {
                        let tls = Arc::clone(tls);
                        handshakes.spawn(async move {
                            let stream = Stream::Tls(Box::new(tls.shake_hands(stream).await?));
                            Some((Counted { stream, _place: place }, address))
                        });
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The next connection for which there is a place.
async fn next(
    listener: &mut TcpListener,
    permits: &Arc<Semaphore>,
    addresses: &Arc<Addresses>,
) -> (TcpStream, SocketAddr, Place) {
    loop {
        let permit = Arc::clone(permits).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(listener).await;
        // Nothing is said to whoever has too many: that would cost more than what it is to save.
        let Some(of_address) = addresses.enter(address.ip()) else { continue };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("no TCP_NODELAY: {error}");
        }
        return (stream, address, Place { _permit: permit, _of_address: of_address });
    }
}

/// Connections of each address.
#[derive(Debug)]
struct Addresses {
    /// 0: there is no limit, and nothing is counted.
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Addresses {
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<OfAddress> {
        let address = network(address);
        if self.most > 0 {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let count = open.entry(address).or_default();
            if *count >= self.most {
                return None;
            }
            *count += 1;
        }
        Some(OfAddress { addresses: Arc::clone(self), address })
    }
}

/// A connection's place; given back when dropped.
struct Place {
    _permit: Option<OwnedSemaphorePermit>,
    _of_address: OfAddress,
}

struct OfAddress {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Drop for OfAddress {
    fn drop(&mut self) {
        let mut open = self.addresses.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// A connection that gives its place back when it is closed.
pub struct Counted {
    stream: Stream,
    _place: Place,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places() {
        let addresses = Arc::new(Addresses { most: 2, open: Mutex::default() });
        let (here, there) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let first = addresses.enter(here);
        let second = addresses.enter(here);
        assert!(second.is_some() && addresses.enter(here).is_none() && addresses.enter(there).is_some());
        drop(first);
        assert!(addresses.enter(here).is_some());
        drop(second);
        assert!(addresses.open.lock().unwrap().is_empty());
    }
}

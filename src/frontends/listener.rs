//! The TCP door: so many connections at a time, of all and of each address; no delay of small packets; TLS,
//! where there is a certificate; and who opens a connection has to ask for something in time.
//!
//! Handshakes go on beside each other: one that is slow, or never comes to an end, keeps nobody waiting.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Sleep;
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
    /// For the head of a connection's first request.
    patience: Duration,
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
            patience: Duration::from_secs(limits.request_head_s),
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
            let LimitedListener { listener, permits, addresses, tls, patience, handshakes } = self;
            tokio::select! {
                Some(ended) = handshakes.join_next() => {
                    if let Ok(Some(ready)) = ended {
                        return ready;
                    }
                }
                (stream, address, place) = next(listener, permits, addresses) => match tls {
                    None => return (Counted::new(Stream::Plain(stream), place, *patience), address),
                    Some(tls) => {
                        let (tls, patience) = (Arc::clone(tls), *patience);
                        handshakes.spawn(async move {
                            let stream = Stream::Tls(Box::new(tls.shake_hands(stream).await?));
                            Some((Counted::new(stream, place, patience), address))
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
    /// Until there is one.
    first_head: Option<Head>,
    _place: Place,
}

impl Counted {
    fn new(stream: Stream, place: Place, patience: Duration) -> Counted {
        let until = Box::pin(tokio::time::sleep(patience));
        let first_head = Some(Head { until, begun: false, newlines: 0 });
        Counted { stream, first_head, _place: place }
    }
}

/// The head of a request that is still coming in.
struct Head {
    until: Pin<Box<Sleep>>,
    /// There was something other than the empty lines that may stand before it.
    begun: bool,
    /// At the end of what has come.
    newlines: u8,
}

impl Head {
    /// Whether it ends in these bytes: with an empty line.
    fn ends_in(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            match byte {
                b'\n' => self.newlines += u8::from(self.begun),
                b'\r' => {}
                _ => (self.begun, self.newlines) = (true, 0),
            }
            if self.newlines == 2 {
                return true;
            }
        }
        false
    }
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
        let Counted { stream, first_head, .. } = &mut *self;
        if let Some(head) = first_head
            && head.until.as_mut().poll(context).is_ready()
        {
            let message = "no request came in time (limits.request_head_s)";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
        }
        let before = buffer.filled().len();
        let read = match stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if first_head.as_mut().is_some_and(|head| head.ends_in(&buffer.filled()[before..])) {
            *first_head = None;
        }
        read
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

    #[tokio::test]
    async fn a_head_ends_with_an_empty_line_behind_something() {
        let head = || Head { until: Box::pin(tokio::time::sleep(Duration::ZERO)), begun: false, newlines: 0 };
        for whole in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\r\nGET / HTTP/1.1\n\nrest"] {
            assert!(head().ends_in(whole.as_bytes()), "{whole:?}");
            let mut head = head();
            let ends: Vec<bool> = whole.bytes().map(|byte| head.ends_in(&[byte])).collect();
            assert_eq!(
                ends.iter().position(|end| *end),
                whole.rfind("\n\n").map(|at| at + 1).or(Some(whole.len() - 1))
            );
        }
        for part in ["", "\r\n\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1\r\n \r\n"] {
            assert!(!head().ends_in(part.as_bytes()), "{part:?}");
        }
    }

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

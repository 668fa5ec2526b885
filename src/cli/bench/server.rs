//! What the server says about itself at `/metrics`.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The answer may take so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// The server's figures cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the metrics of {server}: {message}")]
pub struct MetricsError {
    server: String,
    message: String,
}

/// What the server's process has used.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// When this was so.
    pub at: Instant,
    /// Time on processors since it started.
    pub cpu_seconds: f64,
    /// Memory that it holds.
    pub resident_bytes: f64,
}

/// Asks the server whose voice socket is `url`.
pub async fn usage(url: &str, token: Option<&str>) -> Result<Usage, MetricsError> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or(authority);
    let error = |message: String| MetricsError { server: authority.to_owned(), message };
    let text = tokio::time::timeout(PATIENCE, get(authority, token))
        .await
        .map_err(|_| error(format!("no answer within {} s", PATIENCE.as_secs())))?
        .map_err(|failure| error(failure.to_string()))?;
    let at = Instant::now();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.lines().next().unwrap_or_default();
    if !status.contains(" 200 ") {
        return Err(error(format!("it answers {status:?}")));
    }
    let value = |name: &str| value_of(body, name).ok_or_else(|| error(format!("there is no {name}")));
    Ok(Usage {
        at,
        cpu_seconds: value("process_cpu_seconds_total")?,
        resident_bytes: value("process_resident_memory_bytes")?,
    })
}

/// The value of a metric without labels, in Prometheus' text format.
fn value_of(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

async fn get(authority: &str, token: Option<&str>) -> std::io::Result<String> {
    let with_port = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let mut stream = TcpStream::connect(with_port).await?;
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: {authority}\r\n{authorization}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_name() {
        let text = "# TYPE up gauge\nup_since 3\nup{a=\"b\"} 4\nup 1.5e2\n";
        assert_eq!(value_of(text, "up"), Some(150.0));
        assert_eq!(value_of(text, "since"), None);
    }
}

//! What somebody gets who speaks plain HTTP to the TLS port: the address that they meant.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest head of a request that is read.
const MAX_HEAD_BYTES: usize = 8 * 1_024;

/// Answers one request: a redirect, where it says to whom it wanted, else why there is nothing.
pub async fn send_away(mut stream: TcpStream) {
    let mut head = Vec::new();
    let mut piece = [0; 1_024];
    while head.len() < MAX_HEAD_BYTES && !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut piece).await {
            Ok(count @ 1..) => head.extend_from_slice(&piece[..count]),
            Ok(_) | Err(_) => break,
        }
    }
    // Who does not take the answer has gone.
    let _ = stream.write_all(answer(&String::from_utf8_lossy(&head)).as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn answer(head: &str) -> String {
    let body = "this port speaks HTTPS only: write https:// instead of http://\n";
    let (status, location) = match meant(head) {
        Some(url) => ("308 Permanent Redirect", format!("Location: {url}\r\n")),
        None => ("400 Bad Request", String::new()),
    };
    format!(
        "HTTP/1.1 {status}\r\n{location}Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The same address with TLS; `None`: this is no request for a page, or does not say of which server.
fn meant(head: &str) -> Option<String> {
    let mut lines = head.split("\r\n");
    let mut request = lines.next()?.split(' ');
    let (method, path) = (request.next()?, request.next()?);
    let host = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then_some(value.trim())
    })?;
    let is_host = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]_".contains(&byte));
    let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    (matches!(method, "GET" | "HEAD") && is_host && is_path).then(|| format!("https://{host}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_redirected_and_all_else_is_told_why_not() {
        for (head, location) in [
            ("GET /docs?a=b HTTP/1.1\r\nhost: example.org:8080\r\n\r\n", "https://example.org:8080/docs?a=b"),
            ("HEAD / HTTP/1.1\r\nAccept: */*\r\nHOST: [::1]:9\r\n\r\n", "https://[::1]:9/"),
        ] {
            let answer = answer(head);
            assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
            assert!(answer.contains(&format!("\r\nLocation: {location}\r\n")), "{answer}");
        }
        for head in [
            "",
            "GET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: example.org\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET http://elsewhere.example/ HTTP/1.1\r\nHost: example.org\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n",
        ] {
            let answer = answer(head);
            assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{head:?}: {answer}");
            assert!(!answer.contains("Location"), "{answer}");
        }
    }
}

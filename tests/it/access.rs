//! Who may do what: every route with and without what it asks for, client secrets, limits.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest, http::HeaderValue};
use vivavoce::client::{self, ClientError};
use vivavoce::config::{AuthMode, Config};
use vivavoce::conversation::{NewToken, Scope};
use vivavoce::frontends::auth::Needs;
use vivavoce::frontends::routes;

use crate::harness::TestServer;

fn with_tokens(config: &mut Config) {
    config.auth.mode = AuthMode::Tokens;
    config.vad.engine = "scripted".to_owned();
}

fn token(server: &TestServer, scopes: &[Scope]) -> String {
    server.server.tokens.create(&NewToken { name: "a test", scopes, expires_at_unix_us: None }).unwrap()
}

async fn ask(server: &TestServer, method: &str, path: &str, token: Option<&str>) -> Response {
    crate::tls();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = client.request(method, format!("http://{}{path}", server.address));
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request.send().await.unwrap()
}

/// The status, and the code of the error.
async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
}

/// A request for `protocols`, as a browser makes it.
fn upgrade(server: &TestServer, path: &str, protocols: &str) -> tungstenite::handshake::client::Request {
    let mut request = format!("ws://{}{path}", server.address).into_client_request().unwrap();
    let offered = HeaderValue::from_str(protocols).unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", offered);
    request
}

/// The status with which a socket is refused; 101: it is open.
async fn status_of(request: tungstenite::handshake::client::Request) -> u16 {
    match tokio_tungstenite::connect_async(request).await {
        Ok((_, response)) => response.status().as_u16(),
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn nothing_is_reachable_without_what_it_needs() {
    let server = TestServer::start(with_tokens);
    let mut guarded = 0;
    for (method, path, needs) in routes::listed() {
        let path = path.replace("{id}", "BgPFZM3yJyJP-j_bxWPvQg").replace("{name}", "main.js");
        let without = ask(&server, method, &path, None).await;
        let wrong = ask(&server, method, &path, Some("a-guess")).await;
        match needs {
            Needs::Nothing => {
                assert!(without.status().is_success(), "{method} {path}: {}", without.status());
                assert!(wrong.status().is_success(), "{method} {path}: {}", wrong.status());
            }
            Needs::Own => {
                assert_eq!(refusal(without).await, (401, "token_needed".into()), "{method} {path}");
                assert_eq!(refusal(wrong).await, (404, "not_found".into()), "{method} {path}");
            }
            Needs::Scope(scope) | Needs::ScopeOrSecret(scope) | Needs::Token(scope) => {
                assert_eq!(without.headers()["www-authenticate"], "Bearer", "{method} {path}");
                assert_eq!(refusal(without).await, (401, "token_needed".into()), "{method} {path}");
                assert_eq!(refusal(wrong).await, (401, "bad_token".into()), "{method} {path}");
                let others: Vec<Scope> =
                    Scope::ALL.into_iter().filter(|other| !other.covers(scope)).collect();
                let lacking = ask(&server, method, &path, Some(&token(&server, &others))).await;
                assert_eq!(refusal(lacking).await, (403, "scope_needed".into()), "{method} {path}");
                let enough = ask(&server, method, &path, Some(&token(&server, &[scope]))).await;
                assert!(![401, 403].contains(&enough.status().as_u16()), "{method} {path}");
                guarded += 1;
            }
        }
    }
    assert!(guarded >= 5, "the table was walked");
    server.stop();
}

#[tokio::test]
async fn a_token_that_has_ended_or_was_revoked_opens_nothing_any_more() {
    let server = TestServer::start(with_tokens);
    let tokens = &server.server.tokens;
    let scopes = &[Scope::Api];
    let ended = NewToken { name: "old", scopes, expires_at_unix_us: Some(1) };
    let ended = ask(&server, "GET", "/v1/models", Some(&tokens.create(&ended).unwrap())).await;
    assert_eq!(refusal(ended).await, (401, "token_expired".into()));

    let token = token(&server, scopes);
    assert_eq!(ask(&server, "GET", "/v1/models", Some(&token)).await.status(), 200);
    let hash = tokens.find(&token).unwrap().unwrap().hash;
    assert!(tokens.revoke(&hash).unwrap());
    let revoked = ask(&server, "GET", "/v1/models", Some(&token)).await;
    assert_eq!(refusal(revoked).await, (401, "bad_token".into()));
    server.stop();
}

#[tokio::test]
async fn a_client_secret_opens_sockets_and_nothing_else() {
    let server = TestServer::start(with_tokens);
    let token = token(&server, &[Scope::Realtime]);
    crate::tls();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/v1/realtime/client_secrets", server.address);
    let make = |body: Value| client.post(&url).bearer_auth(&token).json(&body).send();

    let session = json!({"type": "realtime", "instructions": "Be brief."});
    let body = json!({"expires_after": {"anchor": "created_at", "seconds": 30}, "session": session});
    let made: Value = make(body).await.unwrap().json().await.unwrap();
    let secret = made["value"].as_str().unwrap();
    assert!(secret.starts_with("ek_"), "{made}");
    assert_eq!(made["session"]["instructions"], "Be brief.");
    assert_eq!(server.server.door.secrets.find(secret).unwrap().session, session);

    // What it lays down for its sessions, only the Realtime API keeps to.
    let offered = format!("vivavoce.v1, bearer.{secret}");
    assert_eq!(status_of(upgrade(&server, "/ws/chat", &offered)).await, 403);
    let offered = format!("realtime, openai-insecure-api-key.{secret}");
    assert_eq!(status_of(upgrade(&server, "/v1/realtime", &offered)).await, 101);
    let offered = "vivavoce.v1, bearer.ek_guessed";
    assert_eq!(status_of(upgrade(&server, "/ws/chat", offered)).await, 401);
    for (method, path) in [("GET", "/v1/models"), ("POST", "/v1/realtime/client_secrets")] {
        let refused = refusal(ask(&server, method, path, Some(secret)).await).await;
        assert_eq!(refused, (403, "token_needed".into()), "{path}");
    }
    // An empty request has everything at its default.
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let made: Value =
        ask(&server, "POST", "/v1/realtime/client_secrets", Some(&token)).await.json().await.unwrap();
    let offered = format!("vivavoce.v1, bearer.{}", made["value"].as_str().unwrap());
    assert_eq!(status_of(upgrade(&server, "/ws/chat", &offered)).await, 101);
    let lifetime = made["expires_at"].as_u64().unwrap() - before;
    assert!((600..660).contains(&lifetime), "{made}");
    for (body, param) in [
        (json!({"expires_after": {"seconds": 5}}), "expires_after.seconds"),
        (json!({"expires_after": {"anchor": "now"}}), "expires_after.anchor"),
        (json!({"session": {"type": "transcription"}}), "session.type"),
        (json!({"session": 7}), "session"),
    ] {
        let refused = make(body).await.unwrap();
        assert_eq!(refused.status(), 400);
        let body: Value = refused.json().await.unwrap();
        assert_eq!(body["error"]["param"], param, "{body}");
        assert_eq!(body["error"]["type"], "invalid_request_error");
    }
    server.stop();
}

#[tokio::test]
async fn too_many_requests_are_refused_until_later() {
    let server = TestServer::start(|config| {
        with_tokens(config);
        config.limits.requests_per_minute = 3;
    });
    for _ in 0..3 {
        assert_eq!(ask(&server, "GET", "/v1/models", Some("guess")).await.status(), 401);
    }
    // A good token is of no use to an address that guessed.
    let good = token(&server, &[Scope::Api]);
    let refused = ask(&server, "GET", "/v1/models", Some(&good)).await;
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(refusal(refused).await, (429, "rate_limit_exceeded".into()));
    // Pages and health do not count.
    for _ in 0..5 {
        assert_eq!(ask(&server, "GET", "/healthz", None).await.status(), 200);
    }
    server.stop();
}

#[tokio::test]
async fn a_token_has_so_many_sessions() {
    let server = TestServer::start(|config| {
        with_tokens(config);
        config.limits.sessions_per_token = 1;
    });
    let (one, other) = (token(&server, &[Scope::Voice]), token(&server, &[Scope::Voice]));
    let _open = client::connect(&server.url(), Some(&one)).await.unwrap();
    let refused = client::connect(&server.url(), Some(&one)).await.unwrap_err();
    assert!(
        matches!(&refused, ClientError::Refused { status: 429, message, .. } if message.contains("your token")),
        "{refused}"
    );
    let asked = ask(&server, "GET", "/ws/chat", Some(&one)).await;
    assert_eq!(asked.headers()["retry-after"], "10");
    client::connect(&server.url(), Some(&other)).await.unwrap();
    server.stop();
}

#[tokio::test]
async fn audio_of_an_hour_is_counted_over_all_sockets() {
    let server = TestServer::start(|config| {
        with_tokens(config);
        config.limits.audio_seconds_per_hour = 4;
    });
    let token = token(&server, &[Scope::Voice]);
    let two_seconds = || vec![0; 2 * 2 * 16_000];
    let (mut first, mut heard) = client::connect(&server.url(), Some(&token)).await.unwrap().split();
    first.send_pcm(two_seconds().into()).await.unwrap();
    let (mut second, mut told) = client::connect(&server.url(), Some(&token)).await.unwrap().split();
    second.send_pcm(two_seconds().into()).await.unwrap();
    second.send_text(r#"{"type":"ping"}"#.to_owned()).await.unwrap();
    // The answer comes when the audio before it was taken.
    while !matches!(told.receive().await.unwrap(), client::ServerMessage::Pong) {}
    first.send_pcm(vec![0; 32_000].into()).await.unwrap();
    let closed = loop {
        if let Err(closed) = heard.receive().await {
            break closed;
        }
    };
    assert!(matches!(closed, ClientError::Closed { code: 1008, .. }), "{closed}");
    server.stop();
}

#[tokio::test]
async fn a_page_of_somebody_else_opens_no_socket_even_with_a_token() {
    let server = TestServer::start(|config| {
        with_tokens(config);
        config.server.allowed_origins = vec!["https://app.example.org".to_owned()];
    });
    let protocols = format!("vivavoce.v1, bearer.{}", token(&server, &[Scope::Voice]));
    let own = format!("http://{}", server.address);
    for (origin, expected) in [
        (own.as_str(), 101),
        ("https://app.example.org", 101),
        ("https://evil.example", 403),
        ("http://localhost:3000", 403),
        ("null", 403),
    ] {
        let mut request = upgrade(&server, "/ws/chat", &protocols);
        request.headers_mut().insert("Origin", HeaderValue::from_str(origin).unwrap());
        assert_eq!(status_of(request).await, expected, "{origin}");
    }
    server.stop();
}

#[tokio::test]
async fn pages_that_are_allowed_may_fetch_and_others_are_kept_out() {
    const PAGE: &str = "https://app.example.org";
    let server = TestServer::start(|config| {
        with_tokens(config);
        config.server.allowed_origins = vec![PAGE.to_owned()];
    });
    let token = token(&server, &[Scope::Api]);
    crate::tls();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let preflight = |origin: &'static str, path: &str| {
        let request = client.request(Method::OPTIONS, format!("http://{}{path}", server.address));
        let request = request.header("Origin", origin).header("Access-Control-Request-Method", "POST");
        request.header("Access-Control-Request-Headers", "authorization,x-stainless-lang").send()
    };
    let header = |response: &Response, name: &str| {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let allowed = preflight(PAGE, "/v1/chat/completions").await.unwrap();
    assert_eq!(allowed.status(), 204);
    for (name, expected) in [
        ("access-control-allow-origin", PAGE),
        ("access-control-allow-methods", "GET, POST"),
        ("access-control-allow-headers", "authorization,x-stainless-lang"),
        ("vary", "origin"),
    ] {
        assert_eq!(header(&allowed, name).as_deref(), Some(expected), "{name}");
    }
    // Others learn nothing, and neither does anybody of what is not in /v1.
    for (origin, path) in [("https://evil.example", "/v1/chat/completions"), (PAGE, "/metrics")] {
        let refused = preflight(origin, path).await.unwrap();
        assert!(!refused.status().is_success(), "{origin} {path}");
        assert_eq!(header(&refused, "access-control-allow-origin"), None, "{origin} {path}");
    }

    let get = |origin: &'static str, token: &str| {
        let request = client.get(format!("http://{}/v1/models", server.address)).header("Origin", origin);
        request.bearer_auth(token).send()
    };
    // Errors, too, are for the page to read.
    for (origin, token, status, readable) in [
        (PAGE, token.as_str(), 200, true),
        (PAGE, "guess", 401, true),
        ("https://evil.example", &token, 403, false),
    ] {
        let response = get(origin, token).await.unwrap();
        let allowed = header(&response, "access-control-allow-origin");
        assert_eq!((response.status().as_u16(), allowed.as_deref()), (status, readable.then_some(PAGE)));
    }
    server.stop();
}

#[tokio::test]
async fn requests_that_do_not_come_to_an_end_are_ended() {
    let server = TestServer::start(|config| {
        config.vad.engine = "scripted".to_owned();
        config.limits.request_head_s = 1;
        config.limits.request_body_s = 1;
    });
    let send = async |begin: &str| {
        let mut socket = TcpStream::connect(&server.address).await.unwrap();
        socket.write_all(begin.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // Until the server hangs up.
        let _ = socket.read_to_string(&mut answer).await;
        answer
    };
    for head in ["", "\r\n\r\n", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"] {
        assert_eq!(send(head).await, "", "{head:?}");
    }
    let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{\"a\":";
    let answer = send(head).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("limits.request_body_s"), "{answer}");

    // A socket may be silent for as long as it likes.
    let mut person = crate::e2e::person::Person::new(server.connect().await);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    person.type_text("hello").await;
    assert_eq!(person.until_turn_end().await.0, 1);
    server.stop();
}

#[tokio::test]
async fn pages_say_what_they_may_do() {
    let server = TestServer::start(|config| config.vad.engine = "scripted".to_owned());
    for path in ["/", "/docs", "/main.js", "/openapi.json", "/readyz", "/nothing-there"] {
        let answer = ask(&server, "GET", path, None).await;
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "base-uri 'none'"]
        {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert!(header("permissions-policy").contains("microphone=(self)"));
        assert!(!answer.headers().contains_key("strict-transport-security"), "this is plain HTTP");
    }
    server.stop();
}

#[tokio::test]
async fn a_silent_socket_stays_open_where_no_token_is_needed() {
    // Stock clients send a key in any case.
    let server = TestServer::start(|config| config.vad.engine = "scripted".to_owned());
    let request = upgrade(&server, "/ws/chat", "vivavoce.v1, bearer.sk-none");
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let first = tokio::time::timeout(Duration::from_secs(30), futures_util::StreamExt::next(&mut socket));
    assert!(matches!(first.await, Ok(Some(Ok(Message::Text(_))))));
    server.stop();
}

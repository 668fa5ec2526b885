//! What balancers and operators ask: health, readiness, measurements.

use serde_json::Value;
use vivavoce::client::{ClientMessage, ServerMessage};
use vivavoce::turn::io::Outcome;

use super::person::{Person, wait_until};
use crate::harness::{ServerProcess, TestServer};

async fn get(address: &str, path: &str) -> (u16, String) {
    crate::tls();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(format!("http://{address}{path}")).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn a_full_server_says_so_before_anybody_comes() {
    let server = TestServer::start(|config| config.limits.sessions = 1);
    assert_eq!(get(&server.address, "/healthz").await, (200, r#"{"status":"ok"}"#.to_owned()));
    let (status, body) = get(&server.address, "/readyz").await;
    let ready: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &ready["ready"], &ready["engines"]["vad"]), (200, &true.into(), &"silero".into()));
    let person = Person::new(server.connect().await);
    let (status, body) = get(&server.address, "/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("all sessions are taken"), "{body}");
    assert_eq!(get(&server.address, "/healthz").await.0, 200);
    person.hang_up().await;
    wait_until(|| server.server.admission.open_sessions() == 0).await;
    assert_eq!(get(&server.address, "/readyz").await.0, 200);
    server.stop();
}

#[tokio::test]
async fn measurements_count_what_happened() {
    let server = ServerProcess::start(
        "{asr: {engine: scripted}, llm: {engine: scripted}, tts: {engine: scripted}, \
         scripted: {tts_ms_per_char: 30}}",
    );
    let mut person = Person::new(server.connect().await);
    person.type_text("hello").await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    person.type_text("again").await;
    person.until(|m| matches!(m, ServerMessage::Audio(audio) if audio.turn_id == 2)).await;
    person.send(&ClientMessage::Interrupt { last_chunk_id: None }).await;
    assert_eq!(person.until_turn_end().await, (2, Outcome::Interrupted));
    person.send(&ClientMessage::Played { chunk_id: 1_000_000 }).await;
    person.until(|m| matches!(m, ServerMessage::Error { code, .. } if code == "unknown_chunk")).await;

    let (status, text) = get(&server.address, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "vivavoce_sessions_active 1",
        "vivavoce_turns_total{outcome=\"completed\"} 1",
        "vivavoce_turns_total{outcome=\"interrupted\"} 1",
        "vivavoce_interruptions_total{reason=\"client\"} 1",
        "vivavoce_errors_total{code=\"unknown_chunk\"} 1",
        "vivavoce_stage_seconds_count{stage=\"first_audio\"} 2",
        "vivavoce_queue_length{pool=\"llm\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line:?} in\n{text}");
    }
    assert!(text.contains("process_resident_memory_bytes "), "{text}");
}

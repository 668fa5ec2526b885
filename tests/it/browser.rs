//! The page in headless Chromium against the real server: what a person would see and do.

mod chromium;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde::Deserialize;
use vivavoce::audio::wav::WavWriter;
use vivavoce::engines::INPUT_RATE_HZ;

use crate::e2e::person::{spoken, word_error_rate};
use crate::harness::ServerProcess;
use chromium::{Chromium, Microphone, key};

const FIRST_QUESTION: &str = "How many people live in Germany?";
const SECOND_QUESTION: &str = "Tell me a joke about computers.";
/// Half a minute of speech: no interruption of it comes too late.
const LONG_REPLY: &str = "About eighty four million, and that is more than in any other country around it. \
    Most of them live in the west, and nearly four million live in the capital. \
    The land in the east is flat and has many lakes, and far fewer people live there. \
    In the south there are high mountains, where many go for their holidays. \
    The two seas in the north are cold, and the wind there never seems to rest. \
    If you would like to hear more about one of the cities, tell me which one it should be. \
    And if you would rather hear about its rivers, I can begin with the longest of them.";
const SHORT_REPLY: &str = "Gladly. Somebody left a window open.";

/// With all engines real but the language model. `more`: further sections of the configuration.
fn serve(more: &str) -> ServerProcess {
    ServerProcess::start(&format!("llm: {{engine: scripted}}\n{more}"))
}

/// A long reply and a short one, round and round.
fn two_replies() -> String {
    format!("scripted: {{replies: [{LONG_REPLY:?}, {SHORT_REPLY:?}]}}")
}

/// An entry of the transcript, as it is shown.
#[derive(Debug, Deserialize)]
struct Entry {
    role: String,
    turn: String,
    outcome: String,
    /// What is there to read without the part that is struck out.
    heard: String,
    unheard: String,
}

/// Keeps a record of what the page was, from now on.
const WATCH: &str = "
    window.seen = { state: [], played: [] };
    new MutationObserver((changes) => {
      for (const { attributeName } of changes) {
        const name = attributeName.slice('data-'.length);
        window.seen[name].push(document.body.dataset[name]);
      }
    }).observe(document.body, {
      attributes: true,
      attributeFilter: Object.keys(window.seen).map((name) => `data-${name}`),
    });";

const OPEN: &str = "document.body.dataset.connection === 'open'";
const WAITING: &str = "document.body.dataset.connection === 'waiting'";
const MICROPHONE_ON: &str = "document.body.dataset.microphone === 'on'";
const LISTENING: &str = "document.body.dataset.state === 'listening'";
/// Audio of the reply has left the audio thread.
const HEARD: &str = "document.body.dataset.state === 'speaking' && Number(document.body.dataset.played) > 0";
const INTERRUPTED: &str =
    "document.querySelector('#transcript [data-role=assistant][data-outcome=interrupted] del')";

fn notice(name: &str) -> String {
    format!("document.querySelector('[data-notice={name}] p')?.textContent")
}

/// True when so many replies have been heard to their end.
fn completed(replies: usize) -> String {
    let shown = "document.querySelectorAll('#transcript [data-role=assistant][data-outcome=completed]')";
    format!("{shown}.length === {replies}")
}

fn visit(chromium: &Chromium, server: &ServerProcess) {
    chromium.open(&server.page);
    chromium.run(WATCH);
}

fn entries(chromium: &Chromium) -> Vec<Entry> {
    let shown = chromium.value(
        "[...document.querySelectorAll('#transcript li:not([hidden])')].map((item) => {
           const unheard = item.querySelector('del')?.textContent ?? '';
           const words = item.querySelector('.words').textContent;
           return {
             role: item.dataset.role, turn: item.dataset.turn ?? '', outcome: item.dataset.outcome ?? '',
             heard: words.slice(0, words.length - unheard.length).trim(), unheard,
           };
         })",
    );
    serde_json::from_value(shown).unwrap()
}

fn seen(chromium: &Chromium, name: &str) -> Vec<String> {
    serde_json::from_value(chromium.value(&format!("window.seen.{name}"))).unwrap()
}

/// Whether `steps` happened in this order, whatever else did between them.
fn in_order(seen: &[String], steps: &[&str]) -> bool {
    let mut seen = seen.iter();
    steps.iter().all(|step| seen.any(|s| s == step))
}

/// Errors in the browser's log, violations of the content security policy among them.
fn errors(chromium: &Chromium) -> Vec<String> {
    chromium.console().into_iter().filter(|line| line.starts_with("SEVERE")).collect()
}

/// Errors without those that the browser logs about a server that is not there or is busy.
fn errors_besides_network(chromium: &Chromium) -> Vec<String> {
    let network =
        ["WebSocket connection to", "net::ERR_CONNECTION_REFUSED", "the server responded with a status"];
    errors(chromium).into_iter().filter(|line| !network.iter().any(|n| line.contains(n))).collect()
}

/// Types into the text box as somebody without a mouse does.
fn type_and_send(chromium: &Chromium, text: &str) {
    for _ in 0..20 {
        if chromium.value("document.activeElement.id") == "text" {
            chromium.press(&format!("{text}{}", key::ENTER));
            return;
        }
        chromium.press(key::TAB);
    }
    panic!("the text box cannot be reached with the Tab key");
}

/// A WAV file with spoken `parts`, each after so many seconds of silence, and silence at the end.
fn record(path: &Path, parts: &[(u32, &str)]) {
    let mut wav = WavWriter::create(path, INPUT_RATE_HZ).unwrap();
    let silence = |seconds: u32| vec![0; (seconds * INPUT_RATE_HZ) as usize];
    for (pause_s, text) in parts {
        wav.write_i16(&silence(*pause_s)).unwrap();
        wav.write_i16(&spoken(text)).unwrap();
    }
    wav.write_i16(&silence(2)).unwrap();
    wav.finish().unwrap();
}

#[test]
fn a_conversation_by_voice_with_an_interruption() {
    let folder = tempfile::tempdir().unwrap();
    let wav = folder.path().join("questions.wav");
    record(&wav, &[(1, FIRST_QUESTION), (6, SECOND_QUESTION)]);
    let server = serve(&two_replies());
    let chromium = Chromium::start(Microphone::Hears(&wav));
    visit(&chromium, &server);
    chromium.until(OPEN);
    let engines =
        chromium.value("[...document.querySelectorAll('#engines dd')].map((name) => name.textContent)");
    assert_eq!(
        engines,
        serde_json::json!(["silero", "by pauses", "pocketsphinx", "scripted", "flite", "off"])
    );

    chromium.click("#talk");
    chromium.until(MICROPHONE_ON);
    assert_eq!(chromium.value("document.querySelector('#talk').ariaPressed"), "true");
    chromium.until("document.body.dataset.state === 'user_speaking'");
    chromium.until("Number(document.querySelector('#level').style.getPropertyValue('--level')) > 0.3");
    chromium.until(HEARD);

    // The second question falls into the first reply.
    chromium.until(INTERRUPTED);
    chromium.until(&completed(1));
    let shown = entries(&chromium);
    let [question, reply, second_question, second_reply] = &shown[..] else { panic!("{shown:#?}") };
    let roles: Vec<&str> = shown.iter().map(|entry| entry.role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
    // The recogniser is a small one; what the page's microphone path must not do is to garble speech.
    for (said, heard) in [(FIRST_QUESTION, &question.heard), (SECOND_QUESTION, &second_question.heard)] {
        assert!(word_error_rate(said, heard) <= 0.35, "said {said:?}, heard {heard:?}");
    }
    assert_eq!((reply.turn.as_str(), reply.outcome.as_str()), (question.turn.as_str(), "interrupted"));
    assert!(!reply.heard.is_empty() && !reply.unheard.is_empty(), "{reply:?}");
    assert!(LONG_REPLY.starts_with(&format!("{} {}", reply.heard, reply.unheard)), "{reply:?}");
    assert_eq!((second_reply.heard.as_str(), second_reply.unheard.as_str()), (SHORT_REPLY, ""));

    let states = seen(&chromium, "state");
    let one_turn = ["user_speaking", "thinking", "speaking"];
    assert!(in_order(&states, &[&one_turn[..], &one_turn, &["listening"]].concat()), "{states:?}");
    let played: Vec<u64> = seen(&chromium, "played").iter().map(|chunk| chunk.parse().unwrap()).collect();
    assert!(played.len() > 20 && played.is_sorted(), "chunks heard: {played:?}");
    let latencies = chromium.value("document.querySelector('#latency tbody').innerText");
    assert_eq!(latencies.as_str().unwrap().lines().count(), 2, "{latencies}");
    assert!(latencies.as_str().unwrap().contains(" ms"), "{latencies}");
    assert_eq!(errors(&chromium), [""; 0]);
}

#[test]
fn a_conversation_by_keyboard() {
    let server = serve(&two_replies());
    let chromium = Chromium::start(Microphone::Forbidden);
    visit(&chromium, &server);
    chromium.until(OPEN);

    type_and_send(&chromium, "When are you open?");
    chromium.until(HEARD);
    chromium.press(key::ESCAPE);
    chromium.until(INTERRUPTED);
    chromium.until(LISTENING);
    type_and_send(&chromium, "Where can I park?");
    chromium.until(&completed(1));

    let shown = entries(&chromium);
    let [question, reply, second_question, second_reply] = &shown[..] else { panic!("{shown:#?}") };
    assert_eq!(question.heard, "When are you open?");
    assert!(LONG_REPLY.starts_with(format!("{} {}", reply.heard, reply.unheard).trim()), "{reply:?}");
    assert_eq!(second_question.heard, "Where can I park?");
    assert_eq!((second_reply.heard.as_str(), second_reply.unheard.as_str()), (SHORT_REPLY, ""));
    assert_eq!(chromium.value("document.body.dataset.microphone"), "off", "nobody asked for it");
    assert_eq!(errors(&chromium), [""; 0]);

    // That no violation was logged says something only if one would be.
    chromium.run(
        "document.body.append(Object.assign(document.createElement('script'), { textContent: 'var ran' }))",
    );
    assert_eq!(chromium.value("typeof ran"), "undefined");
    let logged = errors(&chromium);
    assert!(logged.iter().any(|line| line.contains("Content Security Policy")), "{logged:?}");
}

#[test]
fn a_conversation_over_https() {
    let server = serve(&format!("tls: self_signed\n{}", two_replies()));
    assert!(server.page.starts_with("https://"), "{}", server.page);
    let chromium = Chromium::start(Microphone::Forbidden);
    visit(&chromium, &server);
    chromium.until(OPEN);
    assert_eq!(chromium.value("isSecureContext"), true);
    type_and_send(&chromium, "When are you open?");
    chromium.until(HEARD);
    assert_eq!(errors(&chromium), [""; 0]);
}

#[test]
fn the_interface_is_described_for_people() {
    let server = serve("");
    let chromium = Chromium::start(Microphone::Forbidden);
    chromium.open(&format!("{}docs", server.page));
    chromium.until("document.querySelectorAll('#routes details').length >= 14");
    let shown = chromium.value("document.getElementById('routes').textContent");
    for part in
        ["/v1/audio/transcriptions", "response_format", "Needs a token with the scope `api`.", "ErrorBody"]
    {
        assert!(shown.as_str().unwrap().contains(part), "no {part} in {shown}");
    }
    assert_eq!(errors(&chromium), [""; 0]);
}

#[test]
fn a_forbidden_microphone_is_told_and_text_works() {
    let server = serve(&two_replies());
    let chromium = Chromium::start(Microphone::Forbidden);
    visit(&chromium, &server);
    chromium.until(OPEN);
    chromium.click("#talk");
    let told = chromium.until(&notice("microphone"));
    assert!(told.as_str().unwrap().contains("not allowed"), "{told}");
    assert_eq!(chromium.value("document.body.dataset.microphone"), "off");
    type_and_send(&chromium, "Can you hear me?");
    chromium.until(HEARD);
    assert_eq!(errors(&chromium), [""; 0]);
}

#[test]
fn a_busy_server_is_told_and_tried_again() {
    let server = serve("limits: {sessions: 1}");
    let mut other = TcpStream::connect(&server.address).unwrap();
    let upgrade = "GET /ws/chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    other.write_all(upgrade.as_bytes()).unwrap();
    let mut status = [0; 12];
    other.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 101");

    let chromium = Chromium::start(Microphone::Forbidden);
    visit(&chromium, &server);
    let told = chromium.until(&notice("connection"));
    assert!(told.as_str().unwrap().contains("busy"), "{told}");
    assert_eq!(chromium.value("document.body.dataset.connection"), "waiting");
    drop(other);
    chromium.until(OPEN);
    assert!(chromium.value(&notice("connection")).is_null());
    assert_eq!(errors_besides_network(&chromium), [""; 0]);
}

#[test]
fn a_conversation_goes_on_after_the_server_was_killed() {
    let server = serve(&format!("scripted: {{replies: [{SHORT_REPLY:?}]}}"));
    let chromium = Chromium::start(Microphone::Forbidden);
    visit(&chromium, &server);
    chromium.until(OPEN);
    assert_eq!(chromium.value("document.body.dataset.resumed"), "false");
    type_and_send(&chromium, "Where can I park?");
    chromium.until(&completed(1));

    let port = server.address.rsplit(':').next().unwrap().to_owned();
    let folder = server.kill();
    chromium.until(WAITING);
    let told = chromium.until(&notice("connection"));
    assert!(told.as_str().unwrap().contains("by itself"), "{told}");
    let server = ServerProcess::start_at(&port, folder);
    chromium.until(OPEN);
    assert_eq!(chromium.value("document.body.dataset.resumed"), "true");
    assert!(chromium.value(&notice("connection")).is_null());

    type_and_send(&chromium, "And where is that?");
    chromium.until(&completed(2));
    let shown = entries(&chromium);
    let words: Vec<&str> = shown.iter().map(|entry| entry.heard.as_str()).collect();
    assert_eq!(words, ["Where can I park?", SHORT_REPLY, "And where is that?", SHORT_REPLY]);
    let turns: Vec<u64> = shown.iter().map(|entry| entry.turn.parse().unwrap()).collect();
    assert!(turns[2] > turns[0], "turns go on counting: {turns:?}");

    // A server that stops in good order says so; one that has lost its log begins anew.
    let folder = server.folder();
    server.terminate();
    let told = chromium.until(&notice("connection"));
    assert!(told.as_str().unwrap().contains("restarting"), "{told}");
    std::fs::remove_dir_all(folder.path().join("data")).unwrap();
    let _server = ServerProcess::start_at(&port, folder);
    chromium.until(OPEN);
    assert_eq!(chromium.value("document.body.dataset.resumed"), "false");
    let last = entries(&chromium).pop().unwrap();
    assert_eq!((last.role.as_str(), last.heard.as_str()), ("note", "A new conversation"));
    assert_eq!(errors_besides_network(&chromium), [""; 0]);
}

#[test]
fn a_server_with_tokens_asks_for_one() {
    let server = serve("auth: {mode: tokens}");
    let (page, token) = server.page.split_once("#token=").expect("a first token is made and shown");
    let chromium = Chromium::start(Microphone::Forbidden);
    chromium.open(page);
    let told = chromium.until(&notice("connection"));
    assert!(told.as_str().unwrap().contains("access token"), "{told}");
    chromium.click("[data-notice=connection] input");
    chromium.press(&format!("{token}{}", key::ENTER));
    chromium.until(OPEN);

    // The address that the server shows works as it is, and does not keep the token in sight.
    chromium.run("sessionStorage.clear()");
    chromium.open("about:blank");
    chromium.open(&server.page);
    chromium.until(OPEN);
    assert_eq!(chromium.value("location.hash"), "");
}

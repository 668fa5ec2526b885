//! Whole conversations with real engines: real speech in, speech out.

use std::path::Path;

use vivavoce::client::{ClientMessage, ServerMessage};
use vivavoce::config::Config;
use vivavoce::engines::pocketsphinx::PocketSphinx;
use vivavoce::engines::{Asr, CancelToken};
use vivavoce::turn::io::{InterruptReason, Outcome, State};

use super::person::{Person, spoken, word_error_rate};
use crate::harness::TestServer;
use crate::stub_llm::StubLlm;

/// Real ears and a real voice.
fn real_speech(config: &mut Config) {
    config.asr.engine = "pocketsphinx".into();
    config.tts.engine = "flite".into();
}

/// What a recogniser makes of 24 kHz audio.
fn heard(audio: &[i16]) -> String {
    let samples = vivavoce::audio::pcm::f32s_from_i16s(audio);
    let down = vivavoce::audio::resample::resample(&samples, 24_000, 16_000).unwrap();
    let pcm = vivavoce::audio::pcm::i16s_from_f32s(&down);
    let recognise = move || {
        let mut asr = PocketSphinx::load(&Config::default()).unwrap();
        asr.transcribe(&pcm, None, &CancelToken::new()).unwrap().text
    };
    std::thread::spawn(recognise).join().unwrap()
}

#[tokio::test]
async fn spoken_questions_are_understood_answered_and_heard() {
    let llm = StubLlm::saying(&["We are open ", "from nine in the morning ", "until five in the afternoon."]);
    let server = TestServer::start(|config| {
        real_speech(config);
        config.llm.engine = "openai".into();
        config.llm.url = llm.url();
    });
    let mut person = Person::new(server.connect().await);
    for (turn, question) in [(1, "what are your opening hours"), (2, "where can I find the station")] {
        person.say(&spoken(question));
        assert_eq!(person.until_turn_end().await, (turn, Outcome::Completed));
        let errors = word_error_rate(question, person.transcript(turn));
        assert!(errors <= 0.4, "{question:?} was heard as {:?}", person.transcript(turn));
        let reply = "We are open from nine in the morning until five in the afternoon.";
        assert_eq!(person.reply(turn), reply);
        let audible = heard(&person.audio(turn));
        assert!(word_error_rate(reply, &audible) <= 0.25, "the reply sounds like {audible:?}");
        let order = person.order(turn);
        let expected =
            ["UserSpeaking", "Transcribing", "transcript", "Thinking", "Speaking", "speech", "metrics", "Completed"];
        assert_eq!(order, expected);
    }
    person.until(|m| matches!(m, ServerMessage::Status { state: State::Listening, .. })).await;
    person.hang_up().await;
    server.stop();
}

#[tokio::test]
async fn human_speech_is_understood() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/speech"));
    let file = folder.join("speechbrain_spk1_snt3.wav");
    if !file.exists() {
        eprintln!("skipped: there is no {}", file.display());
        return;
    }
    let server = TestServer::start(|config| {
        real_speech(config);
        config.llm.engine = "echo".into();
    });
    let mut person = Person::new(server.connect().await);
    person.say(&vivavoce::audio::wav::read_i16(&file, 16_000).unwrap());
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    let said = person.transcript(1).to_owned();
    assert!(word_error_rate("at that high level the air is pure", &said) <= 0.5, "{said:?}");
    assert!(person.reply(1).starts_with("I heard: "), "{:?}", person.reply(1));
    server.stop();
}

const LONG_REPLY: &str = "One is the first number. Two comes after it. Three is a crowd, they say. \
     Four wheels has a car. Five fingers has a hand. Six is half a dozen. Seven days has a week.";

/// The text of a turn that was announced, joined.
fn announced(person: &Person, turn: u64) -> String {
    let texts = person.messages.iter().filter_map(|message| match message {
        ServerMessage::ResponseText { text, turn_id, last: false, .. } if *turn_id == turn => Some(text.clone()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn ten_interruptions_at_random_moments_leave_exactly_what_was_heard() {
    let seed: u64 = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_120);
    println!("seed {seed}");
    let mut random = seed;
    let mut next = move |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let llm = StubLlm::saying(&[LONG_REPLY]);
    let server = TestServer::start(|config| {
        config.tts.engine = "flite".into();
        config.llm.engine = "openai".into();
        config.llm.url = llm.url();
    });
    let mut person = Person::new(server.connect().await);
    let noise = spoken("stop please that is enough now thank you");
    for turn in 1..=10 {
        let by_voice = turn % 3 == 0;
        person.type_text("count").await;
        person.until(|m| matches!(m, ServerMessage::Audio(a) if a.turn_id == turn)).await;
        person.wait(next(2_500) as u32).await;
        if by_voice {
            person.say(&noise);
        } else {
            person.send(&ClientMessage::Interrupt { last_chunk_id: None }).await;
        }
        let interrupt = person.until(|m| matches!(m, ServerMessage::Interrupt { .. })).await;
        let ServerMessage::Interrupt { turn_id, heard_text, reason } = interrupt else { unreachable!() };
        assert_eq!(turn_id, turn);
        assert_eq!(reason, if by_voice { InterruptReason::Speech } else { InterruptReason::Client });
        assert!(LONG_REPLY.starts_with(&heard_text), "{heard_text:?}");
        assert!(announced(&person, turn).starts_with(&heard_text), "{heard_text:?} was never said");
        let came = person.messages.len();
        assert_eq!(person.until_turn_end().await, (turn, Outcome::Interrupted));
        if by_voice {
            // What was said becomes a turn of its own; it is stopped too.
            person.until(|m| matches!(m, ServerMessage::Audio(a) if a.turn_id > turn)).await;
            break_off(&mut person).await;
        }
        let late = person.messages[came..].iter().filter(|message| match message {
            ServerMessage::Audio(audio) => audio.turn_id == turn,
            ServerMessage::ResponseText { turn_id, .. } | ServerMessage::Resume { turn_id, .. } => *turn_id == turn,
            _ => false,
        });
        assert_eq!(late.count(), 0, "turn {turn} went on after it was interrupted");
        if by_voice {
            return check_history(&server, &mut person, &heard_text, turn).await;
        }
    }
}

async fn break_off(person: &mut Person) {
    person.send(&ClientMessage::Interrupt { last_chunk_id: None }).await;
    person.until_turn_end().await;
}

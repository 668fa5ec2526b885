//! Whole conversations with real engines: real speech in, speech out.

use std::path::Path;

use vivavoce::client::{ClientMessage, ServerMessage, wire};
use vivavoce::config::Config;
use vivavoce::engines::pocketsphinx::PocketSphinx;
use vivavoce::engines::{Asr, AsrRequest, CancelToken};
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
    recognised(&vivavoce::audio::pcm::i16s_from_f32s(&down))
}

/// What a recogniser makes of 16 kHz audio.
pub fn recognised(pcm: &[i16]) -> String {
    let pcm = pcm.to_vec();
    let recognise = move || {
        let mut asr = PocketSphinx::load(&Config::default()).unwrap();
        asr.transcribe(&AsrRequest::new(&pcm), &CancelToken::new()).unwrap().text
    };
    std::thread::spawn(recognise).join().unwrap()
}

#[tokio::test]
async fn spoken_questions_are_understood_answered_and_heard() {
    let llm = StubLlm::saying(&["We are open ", "from nine in the morning ", "until five in the afternoon."]);
    let server = TestServer::start(|config| {
        real_speech(config);
        config.llm.engine = "openai".into();
        config.llm.url = llm.url.clone();
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
        let expected = [
            "UserSpeaking",
            "Transcribing",
            "transcript",
            "Thinking",
            "Speaking",
            "speech",
            "metrics",
            "Completed",
        ];
        assert_eq!(order, expected);
    }
    person.until(|m| matches!(m, ServerMessage::Status { state: State::Listening, .. })).await;
    person.hang_up().await;
    server.stop();
}

#[tokio::test]
async fn a_visitor_who_edits_the_facts_is_understood() {
    let server = TestServer::start(|config| {
        real_speech(config);
        config.llm.engine = "echo".into();
    });
    let mut person = Person::new(server.connect().await);
    let facts = Some(vec!["The Quillfeather Hall is upstairs.".to_owned()]);
    person.send(&ClientMessage::Configure(wire::Configure { facts, ..wire::Configure::default() })).await;
    person.until(|m| matches!(m, ServerMessage::Configured(_))).await;
    person.say(&spoken("where is the Quillfeather hall"));
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    assert_eq!(person.transcript(1), "where is the Quillfeather hall");
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

/// Small, seeded, and good enough to choose moments.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[tokio::test]
async fn ten_interruptions_at_random_moments_leave_exactly_what_was_heard() {
    let seed =
        std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_120);
    println!("seed {seed}");
    let mut random = Random(seed);
    let llm = StubLlm::saying(&[LONG_REPLY]);
    let server = TestServer::start(|config| {
        config.tts.engine = "flite".into();
        config.llm.engine = "openai".into();
        config.llm.url = llm.url.clone();
    });
    let mut person = Person::new(server.connect().await);
    let voice = spoken("stop please that is enough now");
    let mut heard = Vec::new();
    for interruption in 0..10 {
        // A voice makes a turn of its own, whose reply is the next to be stopped.
        let voice_asked = interruption > 0 && interruption % 3 == 0;
        if !voice_asked {
            person.type_text("count").await;
        }
        let turn = next_reply(&mut person).await;
        person.wait(random.below(2_500) as u32).await;
        let by_voice = interruption % 3 == 2;
        let reason = if by_voice { InterruptReason::Speech } else { InterruptReason::Client };
        if by_voice {
            person.say(&voice);
        } else {
            person.send(&ClientMessage::Interrupt { last_chunk_id: None }).await;
        }
        let interrupt = person.until(|m| matches!(m, ServerMessage::Interrupt { .. })).await;
        let ServerMessage::Interrupt { turn_id, heard_text, reason: found } = interrupt else {
            unreachable!()
        };
        assert_eq!((turn_id, found), (turn, reason));
        assert!(LONG_REPLY.starts_with(&heard_text), "{heard_text:?}");
        heard.push((turn, heard_text));
        assert_eq!(person.until_turn_end().await, (turn, Outcome::Interrupted));
    }
    person.wait(500).await;
    for (turn, _) in &heard {
        assert_nothing_after_interrupt(&person, *turn);
    }
    check_prompts(&llm, &heard);
    server.stop();
}

/// The turn whose audio begins next.
async fn next_reply(person: &mut Person) -> u64 {
    match person.until(|message| matches!(message, ServerMessage::Audio(_))).await {
        ServerMessage::Audio(audio) => audio.turn_id,
        other => panic!("{other:?}"),
    }
}

fn assert_nothing_after_interrupt(person: &Person, turn: u64) {
    let interrupted =
        |m: &ServerMessage| matches!(m, ServerMessage::Interrupt { turn_id, .. } if *turn_id == turn);
    let at = person.messages.iter().position(interrupted).unwrap();
    let late = person.messages[at..].iter().filter(|message| match message {
        ServerMessage::Audio(audio) => audio.turn_id == turn,
        ServerMessage::ResponseText { turn_id, .. }
        | ServerMessage::SpeakingClip { turn_id, .. }
        | ServerMessage::Resume { turn_id, .. } => *turn_id == turn,
        _ => false,
    });
    assert_eq!(late.count(), 0, "turn {turn} went on after it was interrupted");
}

/// Every prompt holds of the replies before it what was heard of them, and nothing else.
fn check_prompts(llm: &StubLlm, heard: &[(u64, String)]) {
    let mut prompts = 0;
    while let Ok(asked) = llm.asked.try_recv() {
        let Some(messages) = asked.body["messages"].as_array() else { continue };
        let said =
            messages.iter().filter(|m| m["role"] == "assistant").map(|m| m["content"].as_str().unwrap());
        let expected = heard.iter().map(|(_, text)| text.as_str()).filter(|text| !text.is_empty());
        let said: Vec<&str> = said.collect();
        let expected: Vec<&str> = expected.take(said.len()).collect();
        assert_eq!(said, expected);
        prompts += 1;
    }
    assert!(prompts >= 10, "{prompts}");
}

#[tokio::test]
async fn a_cough_only_pauses_the_reply() {
    let server = TestServer::start(|config| {
        config.scripted.replies = vec![LONG_REPLY.into()];
        config.turn.min_interrupt_ms = 2_000;
    });
    let mut person = Person::new(server.connect().await);
    person.type_text("count").await;
    next_reply(&mut person).await;
    person.say(&spoken("oh dear"));
    let paused = person.until(|m| matches!(m, ServerMessage::Pause { .. })).await;
    assert_eq!(paused, ServerMessage::Pause { turn_id: 1 });
    let audio_at_pause = person.audio(1).len();
    person.until(|m| matches!(m, ServerMessage::Resume { .. })).await;
    assert_eq!(person.audio(1).len(), audio_at_pause, "audio was sent while the reply was held");
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    // Nothing is missing and nothing is said twice: the same reply without a cough is as long.
    let mut calm = Person::new(server.connect().await);
    calm.type_text("count").await;
    calm.until_turn_end().await;
    assert!(person.audio(1) == calm.audio(1), "the reply is not the same as without a cough");
    server.stop();
}

#[tokio::test]
async fn going_on_before_the_reply_is_heard_joins_the_words() {
    let server = TestServer::start(|config| {
        config.scripted.transcripts = vec!["first".into(), "second".into()];
        config.scripted.llm_first_token_ms = 2_500;
        config.asr.speculate_after_ms = 0;
    });
    let mut person = Person::new(server.connect().await);
    person.say(&spoken("tell me about the garden"));
    person.until(|m| matches!(m, ServerMessage::Status { state: State::Thinking, .. })).await;
    person.say(&spoken("and about the house"));
    assert_eq!(person.until_turn_end().await, (1, Outcome::Superseded));
    assert_eq!(person.until_turn_end().await, (2, Outcome::Completed));
    assert_eq!(person.transcript(2), "first second");
    server.stop();
}

#[tokio::test]
async fn push_to_talk_answers_on_commit() {
    let server = TestServer::start(|config| config.scripted.transcripts = vec!["pushed".into()]);
    let mut person = Person::new(server.connect().await);
    let detection = wire::Detection { mode: Some("manual".into()), ..Default::default() };
    let configure = wire::Configure { turn_detection: Some(detection), ..wire::Configure::default() };
    person.send(&ClientMessage::Configure(configure)).await;
    person.until(|m| matches!(m, ServerMessage::Configured(_))).await;
    person.say(&spoken("this is a question"));
    while !person.has_spoken() {
        person.wait(100).await;
    }
    person.wait(1_000).await;
    assert!(!person.messages.iter().any(|m| matches!(m, ServerMessage::Transcript { .. })));
    person.send(&ClientMessage::Commit).await;
    assert_eq!(person.until_turn_end().await, (1, Outcome::Completed));
    assert_eq!(person.transcript(1), "pushed");
    server.stop();
}

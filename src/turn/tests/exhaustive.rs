//! Every timeline of a few steps, from each of the situations that a conversation can be in. The
//! witness judges every step (promise 1 above all); each timeline is then brought to its end
//! (promise 5).

use super::driver::{Answer, Driver, Pending, short_config};
use crate::turn::config::{TurnConfig, TurnDetection};
use crate::turn::io::{ChunkId, Event, Input, Output, TurnId};

#[derive(Debug, Clone)]
enum Move {
    Voice,
    Silence,
    Wait,
    Interrupt,
    Played(ChunkId),
    Text,
    Close,
    Answer(Pending, Answer),
}

fn config() -> TurnConfig {
    TurnConfig {
        min_speech_ms: 32,
        hangover_ms: 0,
        prefix_padding_ms: 0,
        speculate_after_ms: 0,
        min_interrupt_ms: 64,
        apology: String::new(),
        ..short_config()
    }
}

/// All that can happen next.
fn moves(driver: &Driver) -> Vec<Move> {
    let mut moves = vec![
        Move::Voice,
        Move::Silence,
        Move::Wait,
        Move::Interrupt,
        Move::Played(ChunkId(driver.turn.next_chunk.0.saturating_sub(1))),
        Move::Text,
        Move::Close,
    ];
    for pending in driver.pending.keys() {
        // When a turn becomes durable, or that it fails to, decides nothing.
        let answers: &[Answer] = match pending {
            Pending::Durability(_) => &[Answer::Good],
            Pending::Text(_) => &[Answer::Good, Answer::Call, Answer::End, Answer::Fail],
            Pending::Speech(..) => &[Answer::Good, Answer::End, Answer::Fail],
            // That it fails is the LLM's business.
            Pending::Tool(..) => &[Answer::Good, Answer::End],
            Pending::Transcript(_) => &[Answer::Good, Answer::End],
            Pending::Judgement(_) => &[Answer::Good, Answer::End, Answer::Fail],
            Pending::Clip(_) => &[Answer::Good, Answer::Fail],
        };
        moves.extend(answers.iter().map(|answer| Move::Answer(pending.clone(), *answer)));
    }
    moves
}

fn make(driver: &mut Driver, what: &Move) {
    match what {
        Move::Voice => driver.frames(1, 0.9),
        Move::Silence => driver.frames(1, 0.1),
        Move::Wait => driver.wait(150_000, 0),
        Move::Interrupt => driver.feed(Input::Interrupt { last_chunk: None, turn: None }),
        Move::Played(chunk) => driver.feed(Input::Played { chunk: *chunk }),
        Move::Text => driver.feed(Input::Text { text: "go on".to_owned() }),
        Move::Close => driver.feed(Input::Close),
        Move::Answer(pending, answer) => driver.answer_pending(pending, *answer),
    }
}

/// Walks through everything that can follow, and returns how many timelines that were.
fn explore(driver: &Driver, depth: usize) -> usize {
    if depth == 0 {
        let mut driver = driver.clone();
        driver.finish();
        return 1;
    }
    let follow = |what: Move| {
        let mut next = driver.clone();
        make(&mut next, &what);
        explore(&next, depth - 1)
    };
    moves(driver).into_iter().map(follow).sum()
}

/// A conversation that has come as far as `until`.
fn situation(config: TurnConfig, until: impl Fn(&Output) -> bool) -> Driver {
    let mut driver = Driver::new(config, true);
    driver.feed(Input::Open { last_turn: TurnId(0) });
    driver.frames(3, 0.9);
    driver.frames(2, 0.1);
    for _ in 0..200 {
        if driver.log.iter().flat_map(|(_, _, outputs)| outputs).any(&until) {
            driver.log.clear();
            driver.keeps_log = false;
            return driver;
        }
        driver.answer(0, Answer::Good);
        driver.wait(10_000, 0);
    }
    panic!("the conversation does not get there: {:?}", driver.turn);
}

/// Some ten things can happen at every step: a step more takes ten times as long.
const DEPTH: usize = 4;

fn explore_from(config: TurnConfig, until: impl Fn(&Output) -> bool) {
    explore_all(&situation(config, until), DEPTH);
}

fn explore_all(driver: &Driver, depth: usize) {
    let timelines = explore(driver, depth);
    assert!(timelines >= 7_usize.pow(depth as u32), "only {timelines} timelines");
}

#[test]
fn while_words_are_recognised() {
    explore_from(config(), |output| matches!(output, Output::Transcribe { .. }));
}

#[test]
fn while_a_pause_is_judged() {
    let config = TurnConfig {
        detection: TurnDetection::Smart,
        smart_pause_ms: 32,
        smart_limit_ms: 128,
        hangover_ms: 64,
        ..config()
    };
    let mut driver = Driver::new(config, true);
    driver.feed(Input::Open { last_turn: TurnId(0) });
    driver.frames(3, 0.9);
    driver.frames(1, 0.1);
    assert!(driver.pending.keys().any(|pending| matches!(pending, Pending::Judgement(_))));
    explore_all(&driver, DEPTH);
}

#[test]
fn while_the_llm_thinks() {
    explore_from(config(), |output| matches!(output, Output::Generate { .. }));
}

#[test]
fn while_the_first_segment_is_made() {
    explore_from(config(), |output| matches!(output, Output::Synthesize { .. }));
}

#[test]
fn while_the_reply_is_heard() {
    let heard = situation(config(), |output| matches!(output, Output::Tell(Event::Audio { .. })));
    explore_all(&heard, DEPTH + 1);
}

#[test]
fn while_the_reply_is_held() {
    let mut driver = situation(config(), |output| matches!(output, Output::Tell(Event::Audio { .. })));
    driver.frames(1, 0.9);
    assert!(driver.witness.holds());
    explore_all(&driver, DEPTH);
}

#[test]
fn while_the_words_of_a_sound_are_wanted() {
    let config = TurnConfig { min_interrupt_words: 1, ..config() };
    let mut driver = situation(config, |output| matches!(output, Output::Tell(Event::Audio { .. })));
    driver.frames(2, 0.9);
    driver.frames(1, 0.1);
    assert!(driver.witness.holds());
    explore_all(&driver, DEPTH);
}

#[test]
fn while_the_user_waits_for_a_tool() {
    let mut driver = situation(config(), |output| matches!(output, Output::Generate { .. }));
    let Some(text) = driver.pending.keys().find(|pending| matches!(pending, Pending::Text(_))).cloned()
    else {
        panic!("nobody writes: {:?}", driver.pending);
    };
    driver.answer_pending(&text, Answer::Call);
    driver.answer_pending(&text, Answer::End);
    assert!(driver.pending.keys().any(|pending| matches!(pending, Pending::Tool(..))));
    explore_all(&driver, DEPTH);
}

#[test]
fn while_the_wait_for_a_tool_is_bridged() {
    let config = TurnConfig { filler_after_ms: 0, ..config() };
    let mut driver = situation(config, |output| matches!(output, Output::Generate { .. }));
    let text = driver.pending.keys().find(|pending| matches!(pending, Pending::Text(_))).cloned().unwrap();
    driver.answer_pending(&text, Answer::Call);
    driver.answer_pending(&text, Answer::End);
    while !driver.turn.reply.as_ref().is_some_and(|reply| reply.is_audible()) {
        let speech = |pending: &&Pending| matches!(pending, Pending::Speech(..));
        let speech = driver.pending.keys().find(speech).cloned().expect("the filler is made");
        driver.answer_pending(&speech, Answer::Good);
    }
    explore_all(&driver, DEPTH);
}

#[test]
fn while_a_clip_is_rendered() {
    let config = TurnConfig { clips: true, ..config() };
    explore_from(config, |output| matches!(output, Output::Render { .. }));
}

#[test]
fn while_a_clip_is_seen() {
    let config = TurnConfig { clips: true, ..config() };
    explore_from(config, |output| matches!(output, Output::Tell(Event::SpeakingClip { .. })));
}

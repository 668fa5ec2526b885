//! The promises over random interleavings: any input, at any time, in any order, with engines that
//! are slow, fail, answer twice or answer what nobody asked. The [`Witness`](super::witness) judges
//! every step.

use proptest::prelude::*;

use super::driver::{Answer, Driver, Pending, Work, short_config};
use crate::turn::Turn;
use crate::turn::config::{TurnConfig, TurnDetection};
use crate::turn::io::{
    AsrJob, CallId, ChunkId, Event, Fault, Heard, Input, JudgementId, MessageId, Outcome, Output, ReplyId,
    RequestId, SegmentId, State, ToolCall, ToolResult, TurnId, WordTime,
};

#[derive(Debug, Clone)]
enum Step {
    Frames {
        count: u64,
        probability: f32,
    },
    Wait {
        micros: u64,
        late: u64,
    },
    Answer {
        index: usize,
        answer: Answer,
        times: usize,
    },
    /// Everybody does their work in time for a while.
    Work {
        rounds: usize,
    },
    /// The LLM calls a tool and ends; it takes so long, and what is to be said meanwhile is.
    Tool {
        micros: u64,
    },
    /// The LLM cannot be asked yet, for so long.
    Delay {
        micros: u64,
    },
    /// The connection is lost for so long; everybody does so much work meanwhile. The client may know what
    /// it heard last.
    Away {
        micros: u64,
        rounds: usize,
        knows: bool,
    },
    /// A sound too short to interrupt.
    Cough,
    Client(Input),
    /// The client has played all that it was sent.
    PlayedAll,
    /// An input of the past once more, by its distance from the end.
    Again(usize),
    Garbage(Input),
    Configure(usize),
    Close,
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        12 => Just(Answer::Good),
        2 => Just(Answer::End),
        1 => Just(Answer::Fail),
        2 => Just(Answer::Call),
    ]
}

fn client() -> impl Strategy<Value = Input> {
    let chunk = (0_u64..60).prop_map(ChunkId);
    prop_oneof![
        3 => proptest::option::of(chunk.clone()).prop_map(|last_chunk| Input::Interrupt { last_chunk, turn: None }),
        2 => chunk.prop_map(|chunk| Input::Played { chunk }),
        2 => "(hi|  |go on then)".prop_map(|text| Input::Text { text }),
        2 => Just(Input::Commit),
        1 => Just(Input::Clear),
        2 => (0_u64..9, any::<bool>())
            .prop_map(|(id, text_only)| Input::Respond { request: RequestId(id), text_only }),
        1 => (0_u64..9).prop_map(|id| Input::Insert { message: MessageId(id) }),
        1 => (3_u64..12, 0_u64..50_000)
            .prop_map(|(turn, samples)| Input::Truncate { turn: TurnId(turn), samples }),
    ]
}

fn garbage() -> impl Strategy<Value = Input> {
    let fault = || Fault { code: "garbage".to_owned(), message: String::new() };
    let id = 0_u64..20;
    prop_oneof![
        id.clone().prop_map(|id| Input::Transcribed { job: AsrJob(id + 500), result: Ok(Heard::default()) }),
        (id.clone(), 0.0_f32..1.0)
            .prop_map(|(id, p)| Input::TurnJudged { judgement: JudgementId(id), result: Ok(p) }),
        id.clone().prop_map(|id| Input::Token { reply: ReplyId(id + 500), text: "zombie".to_owned() }),
        id.clone().prop_map(move |id| Input::Generated { reply: ReplyId(id + 500), result: Err(fault()) }),
        (id.clone(), 0_u64..9).prop_map(|(id, segment)| Input::Speech {
            reply: ReplyId(id + 500),
            segment: SegmentId(segment),
            samples: 5_000,
            words: vec![WordTime { text: 3..90, end_sample: 7 }],
        }),
        (id.clone(), 0_u64..9).prop_map(|(id, segment)| Input::Spoken {
            reply: ReplyId(id),
            segment: SegmentId(segment + 500),
            result: Ok(()),
        }),
        id.clone().prop_map(|id| Input::Rendered { reply: ReplyId(id + 500), result: Ok(3) }),
        id.clone().prop_map(|id| Input::Committed { turn: TurnId(id + 500), result: Ok(()) }),
        id.clone().prop_map(|id| Input::ToolCall {
            reply: ReplyId(id),
            call: ToolCall { id: String::new(), name: "look".to_owned(), arguments: "{".to_owned() },
            by_client: false,
        }),
        (id.clone(), id).prop_map(|(reply, call)| Input::ToolDone {
            reply: ReplyId(reply),
            call: CallId(call + 500),
            result: ToolResult {
                content: "zombie".to_owned(),
                summary: "zombie".to_owned(),
                failed: false,
                ends_session: true,
            },
        }),
        Just(Input::Tick),
        Just(Input::Frame { probability: f32::INFINITY }),
        Just(Input::Open { last_turn: TurnId(0) }),
        Just(Input::Greet { text: "Hello again.".to_owned() }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_u64..12, prop_oneof![Just(0.9_f32), Just(0.1), Just(0.4)])
            .prop_map(|(count, probability)| Step::Frames { count, probability }),
        4 => (1_u64..400_000, prop_oneof![3 => Just(0), 1 => 0_u64..90_000])
            .prop_map(|(micros, late)| Step::Wait { micros, late }),
        14 => (0_usize..6, answer(), 1_usize..6)
            .prop_map(|(index, answer, times)| Step::Answer { index, answer, times }),
        5 => (1_usize..80).prop_map(|rounds| Step::Work { rounds }),
        3 => (0_u64..600_000).prop_map(|micros| Step::Tool { micros }),
        2 => (0_u64..600_000).prop_map(|micros| Step::Delay { micros }),
        2 => (0_u64..900_000, 0_usize..12, any::<bool>())
            .prop_map(|(micros, rounds, knows)| Step::Away { micros, rounds, knows }),
        3 => Just(Step::Cough),
        3 => client().prop_map(Step::Client),
        2 => Just(Step::PlayedAll),
        1 => (0_usize..40).prop_map(Step::Again),
        1 => garbage().prop_map(Step::Garbage),
        1 => (0_usize..16).prop_map(Step::Configure),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let closed = prop_oneof![4 => Just(false), 1 => Just(true)];
    (proptest::collection::vec(step(), 1..90), closed, any::<prop::sample::Index>()).prop_map(
        |(mut steps, closed, at)| {
            if closed {
                let at = at.index(steps.len());
                steps.insert(at, Step::Close);
            }
            steps
        },
    )
}

fn config() -> impl Strategy<Value = TurnConfig> {
    let words = prop_oneof![2 => Just(0_u32), 1 => Just(2)];
    let detection = prop_oneof![2 => Just(TurnDetection::Vad), 1 => Just(TurnDetection::Smart)];
    let client = (any::<bool>(), any::<bool>(), any::<bool>());
    (detection, any::<bool>(), words, any::<bool>(), any::<bool>(), any::<bool>(), client).prop_map(
        |(detection, clips, min_interrupt_words, resume_false_interruption, apologises, interim, client)| {
            TurnConfig {
                auto_reply: client.0 || client.1,
                interrupts: client.0 || client.2,
                joins: client.1 || client.2,
                amendable_replies: 2,
                detection,
                clips,
                min_interrupt_words,
                resume_false_interruption,
                interim_ms: if interim { 100 } else { 0 },
                apology: if apologises { "Sorry.".to_owned() } else { String::new() },
                ..short_config()
            }
        },
    )
}

/// The settings once more, with one of them changed.
fn changed(mut config: TurnConfig, which: usize) -> TurnConfig {
    match which {
        0 => config.detection = TurnDetection::Manual,
        1 | 2 => config.detection = TurnDetection::Vad,
        3 => config.min_interrupt_words = 2 - config.min_interrupt_words.min(2),
        4 => config.resume_false_interruption ^= true,
        5 => config.clips ^= true,
        6 => config.hangover_ms = 160,
        7 => config.threshold = 0.3,
        8 | 9 => config.detection = TurnDetection::Smart,
        10 => config.auto_reply ^= true,
        11 => config.interrupts ^= true,
        12 => config.joins ^= true,
        13 => config.text_only ^= true,
        14 => config.idle_reply_ms = 400 - config.idle_reply_ms,
        _ => config.min_interrupt_ms = 32,
    }
    config
}

fn run(config: TurnConfig, greeting: bool, times_words: bool, steps: &[Step]) -> Driver {
    let mut driver = Driver::new(config, times_words);
    driver.feed(Input::Open { last_turn: TurnId(3) });
    if greeting {
        driver.feed(Input::Greet { text: "Good day to you. What is it?".to_owned() });
    }
    for step in steps {
        match step.clone() {
            Step::Frames { count, probability } => driver.frames(count, probability),
            Step::Wait { micros, late } => driver.wait(micros, late),
            Step::Answer { index, answer, times } => {
                for _ in 0..times {
                    driver.answer(index, answer);
                }
            }
            Step::Work { rounds } => {
                for _ in 0..rounds {
                    driver.answer(0, Answer::Good);
                    driver.wait(4_000, 0);
                }
            }
            Step::Tool { micros } => {
                let text = |pending: &&Pending| matches!(pending, Pending::Text(_));
                if let Some(text) = driver.pending.keys().rfind(text).cloned() {
                    driver.answer_pending(&text, Answer::Call);
                    driver.answer_pending(&text, Answer::End);
                }
                driver.wait(micros, 0);
                let speech = |pending: &&Pending| matches!(pending, Pending::Speech(..));
                if let Some(speech) = driver.pending.keys().rfind(speech).cloned() {
                    (0..4).for_each(|_| driver.answer_pending(&speech, Answer::Good));
                }
            }
            Step::Delay { micros } => {
                let unanswered = |(pending, work): (&Pending, &Work)| match pending {
                    Pending::Text(reply) if work.given == 0 => Some(*reply),
                    _ => None,
                };
                if let Some(reply) = driver.pending.iter().rev().find_map(unanswered) {
                    driver.feed(Input::Delayed { reply });
                    driver.wait(micros, 0);
                    driver.feed(Input::Asked { reply });
                }
            }
            Step::Away { micros, rounds, knows } => {
                driver.feed(Input::Detached);
                driver.wait(micros, 0);
                (0..rounds).for_each(|_| driver.answer(0, Answer::Good));
                let last_chunk = driver.witness.last_heard().filter(|_| knows).map(ChunkId);
                driver.feed(Input::Attached { last_chunk });
            }
            Step::Cough => {
                driver.frames(2, 0.9);
                driver.frames(6, 0.1);
            }
            Step::Client(input) | Step::Garbage(input) => driver.feed(input),
            Step::PlayedAll => {
                let chunk = ChunkId(driver.turn.next_chunk.0.saturating_sub(1));
                driver.feed(Input::Played { chunk });
            }
            Step::Again(back) => {
                let at = driver.log.len().saturating_sub(1 + back);
                // A microphone does not repeat itself, and a session opens once.
                let input = driver.log[at].1.clone();
                let once = matches!(
                    input,
                    Input::Configure { .. }
                        | Input::Detached
                        | Input::Attached { .. }
                        | Input::Delayed { .. }
                        | Input::Asked { .. }
                );
                if !once {
                    driver.feed(input);
                }
            }
            Step::Configure(which) => {
                let config = Box::new(changed(driver.turn.config().clone(), which));
                driver.feed(Input::Configure { config });
            }
            Step::Close => driver.feed(Input::Close),
        }
        assert!(driver.turn.jobs.len() <= 16, "recognition piles up: {:?}", driver.turn.jobs);
        let said = driver.turn.user.as_ref().map_or(0, |user| user.utterances.len());
        assert!(said <= 64, "utterances pile up: {:?}", driver.turn.user);
    }
    driver
}

fn tells(driver: &Driver) -> impl Iterator<Item = &Event> {
    driver.log.iter().flat_map(|(_, _, outputs)| outputs).filter_map(|output| match output {
        Output::Tell(event) => Some(event),
        _ => None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Promises 1, 2, 3, 5 and 9: see the witness. At the end nothing is left over.
    #[test]
    fn every_promise_holds_whatever_happens(
        config in config(), greeting: bool, times_words: bool, steps in steps()
    ) {
        let closes = steps.iter().any(|step| matches!(step, Step::Close));
        let mut driver = run(config, greeting, times_words, &steps);
        driver.finish();
        prop_assert!(closes || driver.witness.state() == Some(State::Listening));
        prop_assert!(driver.turn.jobs.is_empty() && driver.turn.barge_in.is_none());
    }

    /// Promise 6: what was recorded, read back and played again gives the same, byte for byte.
    #[test]
    fn a_recording_replays_to_the_same_outputs(
        config in config(), greeting: bool, times_words: bool, steps in steps()
    ) {
        let driver = run(config.clone(), greeting, times_words, &steps);
        let mut turn = Turn::new(config);
        for (now, input, outputs) in &driver.log {
            if matches!(input, Input::Frame { probability } if !probability.is_finite()) {
                turn.handle(input.clone(), *now); // JSON has no infinity; no model gives it
            } else {
                let line = serde_json::to_string(input).unwrap();
                let read: Input = serde_json::from_str(&line).unwrap();
                prop_assert_eq!(&read, input);
                turn.handle(read, *now);
            }
            let again: Vec<Output> = std::iter::from_fn(|| turn.poll_output()).collect();
            let lines = serde_json::to_string(outputs).unwrap();
            prop_assert_eq!(serde_json::to_string(&again).unwrap(), lines.clone());
            let read: Vec<Output> = serde_json::from_str(&lines).unwrap();
            prop_assert_eq!(&read, outputs);
        }
    }

    /// Time that runs backwards changes nothing but that it stands still.
    #[test]
    fn an_earlier_time_counts_as_the_latest_one(steps in steps(), back in 1_u64..5_000_000) {
        let driver = run(short_config(), false, true, &steps);
        let mut turn = Turn::new(short_config());
        for (index, (now, input, outputs)) in driver.log.iter().enumerate() {
            let same = index > 0 && driver.log[index - 1].0 == *now;
            let told = if same { crate::turn::io::Time(now.0.saturating_sub(back)) } else { *now };
            turn.handle(input.clone(), told);
            let again: Vec<Output> = std::iter::from_fn(|| turn.poll_output()).collect();
            prop_assert_eq!(&again, outputs);
        }
    }
}

/// The generator reaches what the properties are about: none of them holds for want of cases.
#[test]
fn the_random_conversations_are_eventful() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..1_000 {
        let tree = (config(), any::<bool>(), any::<bool>(), steps()).new_tree(&mut runner).unwrap();
        let (config, greeting, times_words, steps) = tree.current();
        let mut driver = run(config, greeting, times_words, &steps);
        driver.finish();
        for event in tells(&driver) {
            let name = match event {
                Event::TurnEnd { outcome, .. } => format!("{outcome:?}"),
                Event::Interrupt { reason, heard_text, .. } => {
                    format!("interrupt by {reason:?}, heard something: {}", !heard_text.is_empty())
                }
                Event::Audio { .. } => "audio".to_owned(),
                Event::SpeakingClip { .. } => "clip".to_owned(),
                Event::Pause { .. } => "pause".to_owned(),
                Event::Resume { .. } => "resume".to_owned(),
                Event::Error { fault, .. } => fault.code.clone(),
                Event::ResponseText { filler: true, .. } => "filler".to_owned(),
                Event::ReplyText { .. } => "text that is read".to_owned(),
                Event::NoReply { .. } => "no reply".to_owned(),
                Event::Amended { .. } => "amended".to_owned(),
                Event::Idled { .. } => "idled".to_owned(),
                Event::ToolCall { .. } => "tool call".to_owned(),
                Event::ToolResult { summary, .. } => format!("tool result {summary}"),
                _ => continue,
            };
            *counts.entry(name).or_default() += 1;
        }
        for (_, _, outputs) in &driver.log {
            for output in outputs {
                let name = match output {
                    Output::Generate { so_far: Some(_), without_tools, .. } => {
                        format!("another request, the last one: {without_tools}")
                    }
                    Output::EndSession => "end of the session".to_owned(),
                    Output::JudgeTurn { .. } => "pause judged".to_owned(),
                    Output::CancelJudgement { .. } => "judgement forgotten".to_owned(),
                    _ => continue,
                };
                *counts.entry(name).or_default() += 1;
            }
        }
    }
    let outcomes =
        [Outcome::Completed, Outcome::Interrupted, Outcome::Empty, Outcome::Superseded, Outcome::Failed];
    let mut wanted: Vec<String> = outcomes.iter().map(|outcome| format!("{outcome:?}")).collect();
    for by in ["Speech", "Client"] {
        wanted.push(format!("interrupt by {by}, heard something: true"));
        wanted.push(format!("interrupt by {by}, heard something: false"));
    }
    let others = [
        "audio",
        "clip",
        "pause",
        "resume",
        "asr_timeout",
        "llm_timeout",
        "tts_timeout",
        "render_timeout",
        "unknown_chunk",
        "stale_chunk",
        "nothing_to_commit",
        "not_truncatable",
        "truncated_beyond_end",
        "text that is read",
        "no reply",
        "amended",
        "idled",
        "nothing_to_interrupt",
        "filler",
        "tool call",
        "tool result Good",
        "tool result End",
        "tool result Fail",
        "tool result error: no answer in time",
        "another request, the last one: false",
        "another request, the last one: true",
        "end of the session",
        "pause judged",
        "judgement forgotten",
    ];
    wanted.extend(others.map(str::to_owned));
    for name in wanted {
        assert!(counts.get(&name).is_some_and(|count| *count >= 3), "{name} is too rare: {counts:#?}");
    }
}

//! Whatever client, user and engines do: the events' order holds, and everything ends once.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::simulation::{Answer, World, user_item};

#[derive(Debug, Clone)]
enum Step {
    Speak(u64),
    Silence(u64),
    Wait(u64),
    Answer(Answer),
    Work(usize),
    Client(Value),
    /// The connection is lost, and there is another one after so many ms; whether the client knows what it has.
    Return(u64, bool),
    /// An event about one of the items, or responses: its type, which one, and a time.
    About(&'static str, usize, u64),
}

fn session(session: Value) -> Value {
    json!({"type": "session.update", "session": session})
}

fn detection(detection: Value) -> Value {
    session(json!({"audio": {"input": {"turn_detection": detection, "transcription": {"model": "x"}}}}))
}

fn client() -> impl Strategy<Value = Value> {
    let beside = json!({"conversation": "none", "output_modalities": ["text"]});
    prop_oneof![
        6 => Just(json!({"type": "response.create"})),
        2 => Just(json!({"type": "response.create", "response": {"output_modalities": ["text"]}})),
        2 => Just(json!({"type": "response.create", "response": beside})),
        4 => Just(json!({"type": "response.cancel"})),
        2 => Just(json!({"type": "input_audio_buffer.commit"})),
        1 => Just(json!({"type": "input_audio_buffer.clear"})),
        1 => Just(json!({"type": "output_audio_buffer.clear"})),
        3 => Just(user_item("hello")),
        1 => Just(detection(json!(null))),
        2 => Just(detection(json!({"type": "server_vad"}))),
        1 => Just(detection(json!({"type": "server_vad", "create_response": false}))),
        1 => Just(detection(json!({"type": "server_vad", "interrupt_response": false}))),
        1 => Just(detection(json!({"type": "server_vad", "idle_timeout_ms": 300}))),
        1 => Just(session(json!({"output_modalities": ["text"]}))),
        1 => Just(session(json!({"output_modalities": ["audio"]}))),
        1 => Just(session(json!({"audio": {"output": {"format": {"type": "audio/pcmu"}}}}))),
        1 => Just(json!({"type": "nonsense"})),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let about = prop_oneof![
        Just("conversation.item.truncate"),
        Just("conversation.item.retrieve"),
        Just("conversation.item.delete"),
        Just("conversation.item.create"),
        Just("function_call_output"),
        Just("response.cancel"),
    ];
    prop_oneof![
        4 => (32_u64..900).prop_map(Step::Speak),
        5 => (32_u64..1_200).prop_map(Step::Silence),
        4 => (1_u64..1_500).prop_map(Step::Wait),
        8 => prop_oneof![6 => Just(Answer::Well), 1 => Just(Answer::Call), 2 => Just(Answer::Fail)]
            .prop_map(Step::Answer),
        4 => (1_usize..12).prop_map(Step::Work),
        8 => client().prop_map(Step::Client),
        2 => (0_u64..3_000, any::<bool>()).prop_map(|(ms, knows)| Step::Return(ms, knows)),
        4 => (about, any::<usize>(), 0_u64..2_000).prop_map(|(kind, which, ms)| Step::About(kind, which, ms)),
    ]
}

fn about(world: &World, kind: &str, which: usize, ms: u64) -> Option<Value> {
    if kind == "response.cancel" {
        let responses: Vec<_> = world.order.responses().collect();
        let id = responses.get(which.checked_rem(responses.len())?)?;
        return Some(json!({"type": kind, "response_id": id}));
    }
    let mut calls = world.events.iter().filter(|event| event["item"]["type"] == "function_call");
    if kind == "function_call_output" {
        let call_id = &calls.next_back()?["item"]["call_id"];
        let item = json!({"type": kind, "call_id": call_id, "output": "sunny"});
        return Some(json!({"type": "conversation.item.create", "item": item}));
    }
    let items = world.order.items();
    let id = items.get(which.checked_rem(items.len())?)?;
    Some(match kind {
        "conversation.item.truncate" => {
            json!({"type": kind, "item_id": id, "content_index": 0, "audio_end_ms": ms})
        }
        "conversation.item.create" => {
            let mut event = user_item("in between");
            event["previous_item_id"] = json!(id);
            event
        }
        kind => json!({"type": kind, "item_id": id}),
    })
}

fn run(steps: &[Step]) -> World {
    let mut world = World::new();
    world.client(&detection(json!({"type": "server_vad"})));
    for step in steps {
        match step.clone() {
            Step::Speak(ms) => world.microphone(ms, true),
            Step::Silence(ms) => world.microphone(ms, false),
            Step::Wait(ms) => world.wait(ms),
            Step::Answer(answer) => world.answer(answer),
            Step::Work(times) => {
                for _ in 0..times {
                    world.answer(Answer::Well);
                    world.wait(10);
                }
            }
            Step::Client(event) => world.client(&event),
            Step::Return(ms, knows) => {
                world.lose();
                // What was asked goes on.
                world.answer(Answer::Well);
                world.wait(ms);
                world.come_back(knows);
            }
            Step::About(kind, which, ms) => {
                if let Some(event) = about(&world, kind, which, ms) {
                    world.client(&event);
                }
            }
        }
    }
    world
}

/// What a client retrieves is what the history holds, of every reply.
fn check_heard(world: &mut World) {
    for (turn, _, heard) in world.history.clone().into_iter().filter(|(_, who, _)| *who == "assistant") {
        let shown = world.heard(turn);
        assert!(shown.is_none_or(|shown| shown == heard), "turn {turn:?}: {heard:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_holds_and_everything_ends_once(steps in proptest::collection::vec(step(), 1..70)) {
        let mut world = run(&steps);
        // No more silence is broken, and the user has nothing to add.
        world.client(&detection(json!({"type": "server_vad"})));
        world.microphone(960, false);
        world.settle();
        check_heard(&mut world);
        world.close();
        world.settle();
        world.order.finish();
    }
}

/// The generator reaches what the property is about.
#[test]
fn the_random_dialogues_are_eventful() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..600 {
        let steps = proptest::collection::vec(step(), 1..70).new_tree(&mut runner).unwrap().current();
        for event in &run(&steps).events {
            let mut name = event["type"].as_str().unwrap().to_owned();
            for detail in [&event["response"]["status"], &event["error"]["code"]] {
                name.extend(detail.as_str().map(|detail| format!(" {detail}")));
            }
            *counts.entry(name).or_default() += 1;
        }
    }
    let wanted = [
        "response.done completed",
        "response.done cancelled",
        "response.done failed",
        "response.function_call_arguments.done",
        "conversation.item.truncated",
        "conversation.item.retrieved",
        "conversation.item.deleted",
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.cleared",
        "output_audio_buffer.cleared",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.input_audio_transcription.failed engine_failed",
        "response.output_text.done",
        "response.output_audio.done",
        "error response_cancel_not_active",
        "error conversation_already_has_active_response",
        "error input_audio_buffer_commit_empty",
        "error invalid_value",
    ];
    for name in wanted {
        assert!(counts.get(name).is_some_and(|count| *count >= 3), "{name} is rare: {counts:#?}");
    }
}

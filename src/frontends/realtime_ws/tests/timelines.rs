//! Single facts, on virtual time.

use serde_json::json;

use super::simulation::{Answer, World, user_item};

/// A question is asked and understood; the reply is about to be written.
fn asked() -> World {
    let mut world = World::new();
    world.microphone(640, true);
    world.microphone(640, false);
    world.answer(Answer::Well);
    world
}

#[test]
fn a_voice_before_anything_was_heard_cancels_and_both_utterances_are_items() {
    let mut world = asked();
    assert_eq!(world.last("response.created")["response"]["status"], "in_progress");
    world.microphone(640, true);
    assert_eq!(world.last("response.done")["response"]["status_details"]["reason"], "turn_detected");
    world.microphone(640, false);
    world.settle();
    let said: Vec<&str> = world.history.iter().map(|(_, who, _)| *who).collect();
    assert_eq!(said, ["user", "user", "assistant"]);
    assert_eq!(world.order.items().len(), 3);
    assert_eq!(world.last("response.done")["response"]["status"], "completed");
}

#[test]
fn words_that_take_long_are_told_in_their_items_and_only_the_last_are_answered() {
    let mut world = World::new();
    for _ in 0..2 {
        world.microphone(640, true);
        world.microphone(640, false);
    }
    assert!(world.kinds(0).iter().all(|kind| !kind.starts_with("response")));
    world.settle();
    assert_eq!(world.kinds(0).iter().filter(|kind| **kind == "response.created").count(), 1);
    let said: Vec<&str> = world.history.iter().map(|(_, who, _)| *who).collect();
    assert_eq!(said, ["user", "user", "assistant"]);
}

#[test]
fn what_is_put_in_while_a_reply_is_said_stands_behind_it() {
    let mut world = asked();
    world.client(&user_item("by the way"));
    world.settle();
    let said: Vec<&str> = world.history.iter().map(|(_, who, _)| *who).collect();
    assert_eq!(said, ["user", "assistant", "client"]);
}

#[test]
fn a_response_behind_a_commit_knows_its_words_however_late_they_are() {
    let mut world = World::new();
    let update = json!({"type": "session.update", "session": {"audio": {"input": {"turn_detection": null}}}});
    world.client(&update);
    world.microphone(640, true);
    world.client(&json!({"type": "input_audio_buffer.commit"}));
    world.client(&json!({"type": "response.create"}));
    assert!(!world.kinds(0).contains(&"response.created"), "its words are not known yet");
    world.answer(Answer::Well);
    assert_eq!(world.history.len(), 1);
    assert!(world.kinds(0).contains(&"response.created"));
    world.settle();
    assert_eq!(world.history[1].1, "assistant");
}

#[test]
fn a_reply_that_was_sent_is_done_before_it_is_heard_and_may_be_followed_at_once() {
    let mut world = World::new();
    world.reply = "Yes.";
    world.client(&user_item("well?"));
    world.client(&json!({"type": "response.create"}));
    world.answer(Answer::Well);
    world.answer(Answer::Well);
    // 200 ms of speech, less than the lead: all of it is out.
    assert_eq!(world.last("response.done")["response"]["status"], "completed");
    world.client(&json!({"type": "response.create"}));
    let created = world.kinds(0).iter().filter(|kind| **kind == "response.created").count();
    assert_eq!(created, 2, "{:?}", world.kinds(0));
    world.settle();
}

#[test]
fn a_truncation_amends_what_was_heard_and_beyond_the_end_is_an_error() {
    let mut world = World::new();
    world.client(&user_item("well?"));
    world.client(&json!({"type": "response.create"}));
    world.settle();
    let item = world.last("response.output_item.done")["item"]["id"].clone();
    let truncate = |ms: u64| json!({"type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": ms, "event_id": "e"});
    // "Well, yes." is 10 characters of 50 ms.
    world.client(&truncate(500));
    assert_eq!(world.last("conversation.item.truncated")["audio_end_ms"], 500);
    assert_eq!(world.history[1].2, "Well, yes.");
    world.client(&json!({"type": "conversation.item.retrieve", "item_id": item}));
    assert_eq!(world.last("conversation.item.retrieved")["item"]["content"][0]["transcript"], "Well, yes.");
    world.client(&truncate(250));
    assert_eq!(world.history[1].2, "Well,");
    world.client(&truncate(60_000));
    assert_eq!(world.last("error")["error"]["event_id"], "e");
    assert_eq!(world.history[1].2, "Well,");
}

#[test]
fn a_clients_tool_ends_the_reply_and_the_next_follows_when_it_was_said() {
    let mut world = World::new();
    world.client(&user_item("well?"));
    world.client(&json!({"type": "response.create"}));
    world.answer(Answer::Call);
    let call = world.last("response.output_item.done")["item"]["call_id"].clone();
    let output = json!({"type": "function_call_output", "call_id": call, "output": "sunny"});
    world.client(&json!({"type": "conversation.item.create", "item": output}));
    world.client(&json!({"type": "response.create"}));
    assert!(!world.kinds(0).contains(&"error"), "{:?}", world.kinds(0));
    world.settle();
    // The words before the call have their place, although they are heard later.
    let first = world.events.iter().find(|event| event["type"] == "response.done").unwrap();
    assert_eq!(first["response"]["output"][0]["type"], "message");
    assert_eq!(first["response"]["output"][1]["type"], "function_call");
    let ends = world.events.iter().filter(|event| event["type"] == "response.done");
    assert_eq!(
        ends.map(|event| &event["response"]["status"]).collect::<Vec<_>>(),
        ["completed", "completed"]
    );
}

#[test]
fn recognition_that_fails_is_told_of_its_item() {
    let mut world = World::new();
    let transcription = json!({"audio": {"input": {"transcription": {"model": "whisper-1"}}}});
    world.client(&json!({"type": "session.update", "session": transcription}));
    world.microphone(640, true);
    world.microphone(640, false);
    world.answer(Answer::Fail);
    let failed = world.last("conversation.item.input_audio_transcription.failed");
    assert_eq!(failed["item_id"], world.last("input_audio_buffer.committed")["item_id"]);
    assert_eq!(failed["error"]["code"], "engine_failed");
    world.settle();
}

#[test]
fn a_commit_ends_what_is_being_said_and_clear_forgets_it() {
    let mut world = World::new();
    world.microphone(640, true);
    world.client(&json!({"type": "input_audio_buffer.clear"}));
    world.microphone(640, false);
    assert!(!world.kinds(0).contains(&"input_audio_buffer.committed"));
    world.microphone(640, true);
    world.client(&json!({"type": "input_audio_buffer.commit"}));
    world.microphone(640, false);
    world.settle();
    assert_eq!(world.history.len(), 2);
    let error = json!({"type": "input_audio_buffer.commit", "event_id": "e"});
    world.client(&error);
    assert_eq!(world.last("error")["error"]["event_id"], "e");
}

#[test]
fn what_the_session_refuses_leaves_the_echo_as_it_was() {
    let mut world = World::new();
    let bad = json!({"instructions": "x".repeat(40_000), "output_modalities": ["text"]});
    world.client(&json!({"type": "session.update", "event_id": "e", "session": bad}));
    assert_eq!(world.last("error")["error"]["event_id"], "e");
    world.client(&json!({"type": "session.update", "session": {"max_output_tokens": 9}}));
    let session = &world.last("session.updated")["session"];
    assert_eq!(
        (&session["output_modalities"], &session["max_output_tokens"]),
        (&json!(["audio"]), &json!(9))
    );
}

#[test]
fn words_are_told_once_however_often_their_speech_is_sent() {
    let mut world = asked();
    while world.events.iter().filter(|event| event["type"] == "response.output_audio.delta").count() < 12 {
        world.answer(Answer::Well);
        world.wait(20);
    }
    let before = world.events.len();
    world.lose();
    world.wait(1_000);
    world.come_back(false);
    world.settle();
    assert!(world.kinds(before).contains(&"response.output_audio.delta"), "{:?}", world.kinds(before));
    let done = world.last("response.output_audio_transcript.done");
    assert_eq!(done["transcript"], world.reply);
}

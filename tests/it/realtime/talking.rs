//! Speaking and hearing: turn detection, barge-in, truncation, push-to-talk.

use std::path::Path;

use serde_json::json;

use super::client::Client;
use super::{prompt, with_llm};
use crate::e2e::person::word_error_rate;
use crate::harness::TestServer;
use crate::stub_llm::StubLlm;
use crate::word_errors::recordings;

const LONG_REPLY: &str = "One is the first number. Two comes after it. Three is a crowd, they say. \
     Four wheels has a car. Five fingers has a hand. Six is half a dozen. Seven days has a week.";

#[tokio::test]
async fn a_spoken_question_is_answered_aloud() {
    let server = TestServer::start(|config| {
        config.scripted.transcripts = vec!["what time is it".into()];
        config.scripted.replies = vec!["It is noon. Time to eat.".into()];
    });
    let mut client = Client::connect(&server).await;
    let session = client.update(json!({"audio": {"input": {"transcription": {"model": "whisper-1"}}}})).await;
    assert_eq!(session["audio"]["input"]["turn_detection"]["type"], "server_vad");
    client.say("what time is it please");
    let done = client.until("response.done").await;
    let response = &done["response"];
    assert_eq!((&response["status"], &response["status_details"]), (&json!("completed"), &json!(null)));
    let expected = [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ];
    assert_eq!(client.order_from("input_audio_buffer.speech_started"), expected);
    let said = client.said("response.output_audio_transcript.delta", &response["id"]);
    assert_eq!(said, "It is noon. Time to eat.");
    let audio_ms = client.audio(&response["id"]).len() / 48;
    let expected_ms = "It is noon.Time to eat.".len() * 60;
    assert!(audio_ms.abs_diff(expected_ms) <= 60, "{audio_ms} ms of {expected_ms}");
    assert!(response["usage"]["output_tokens"].as_u64().unwrap() >= 5, "{response}");

    // Every id is unique, and every item stands behind the one before.
    let user = client.events.iter().find(|e| e["type"] == "input_audio_buffer.committed").unwrap()["item_id"]
        .clone();
    let added = |role: &str| {
        let found = client
            .events
            .iter()
            .find(|e| e["type"] == "conversation.item.added" && e["item"]["role"] == role);
        found.unwrap()["previous_item_id"].clone()
    };
    assert_eq!((added("user"), added("assistant")), (json!(null), user.clone()));
    let mut ids: Vec<&str> = client.events.iter().map(|event| event["event_id"].as_str().unwrap()).collect();
    let events = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), events);
    assert_eq!(client.retrieve(&user).await["content"][0]["transcript"], "what time is it");
    server.stop();
}

/// Human voices, with the real ears and the real voice, whichever way the end of a turn is found.
#[tokio::test]
async fn people_are_heard_and_answered_aloud() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/speech"));
    let Some(recordings) = recordings(folder) else {
        println!("skipped: there are no recordings in {}", folder.display());
        return;
    };
    let server = TestServer::start(|config| {
        config.asr.engine = "pocketsphinx".into();
        config.llm.engine = "echo".into();
        config.tts.engine = "flite".into();
    });
    // Short ones, said without a pause; and every way has its own.
    let short = recordings.into_iter().filter(|(_, pcm)| pcm.len() < 4 * 16_000);
    let ways = [json!({"type": "server_vad"}), json!({"type": "semantic_vad", "eagerness": "high"})];
    let (mut errors, mut turns) = (0.0, 0);
    for ((said, pcm), turn_detection) in short.zip(ways) {
        let mut client = Client::connect(&server).await;
        let input = json!({"transcription": {"model": "whisper-1"}, "turn_detection": turn_detection});
        let session = client.update(json!({"audio": {"input": input}})).await;
        assert_eq!(session["audio"]["input"]["turn_detection"]["type"], turn_detection["type"]);
        client.say_samples(&pcm);
        let done = client.until("response.done").await;
        assert_eq!(done["response"]["status"], "completed", "{said}");
        let completed = "conversation.item.input_audio_transcription.completed";
        let heard: Vec<&str> = client
            .events
            .iter()
            .filter(|event| event["type"] == completed)
            .map(|event| event["transcript"].as_str().unwrap())
            .collect();
        println!("{said:?} was heard as {heard:?}");
        assert_eq!(heard.len(), 1, "one utterance: {:#?}", client.order());
        errors += word_error_rate(&said, heard[0]);
        turns += 1;
        // The echo says it again: longer than a second, and not silence.
        let audio = client.audio(&done["response"]["id"]);
        let (pairs, _) = audio.as_chunks::<2>();
        let loud = pairs.iter().filter(|pair| i16::from_le_bytes(**pair).unsigned_abs() > 1_000).count();
        assert!(audio.len() > 48_000 && loud > 2_000, "{} bytes, {loud} loud samples", audio.len());
    }
    assert_eq!(turns, 2, "there are short recordings");
    assert!(errors / f64::from(turns) <= 0.5, "{errors} errors a word in {turns} turns");
    server.stop();
}

#[tokio::test]
async fn a_voice_stops_the_reply_and_what_was_heard_of_it_is_what_counts() {
    let llm = StubLlm::saying(&[LONG_REPLY]);
    let server = with_llm(&llm, |config| config.scripted.transcripts = vec!["stop please".into()]);
    let mut client = Client::connect(&server).await;
    client.write("user", "count").await;
    client.respond(json!({})).await;
    let added = client.until_such("response.output_item.added", |_| true).await;
    let item_id = added["item"]["id"].clone();
    client.wait(1_500).await;
    client.say("stop please that is enough now");
    let started = client.until("input_audio_buffer.speech_started").await;
    let done = client.until("response.done").await;
    assert_eq!(done["response"]["status"], "cancelled");
    assert_eq!(done["response"]["status_details"]["reason"], "turn_detected");
    assert_eq!(done["response"]["output"][0]["status"], "incomplete");
    let order = client.order();
    assert_eq!(
        order[order.len() - 6..],
        [
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done"
        ]
    );
    // The client says what its loudspeaker has played.
    let truncate = json!({"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 1_560});
    client.send(truncate).await;
    let heard = client.retrieve(&item_id).await["content"][0]["transcript"].as_str().unwrap().to_owned();
    let truncated = client.events.iter().find(|e| e["type"] == "conversation.item.truncated").unwrap();
    assert_eq!((&truncated["item_id"], &truncated["audio_end_ms"]), (&item_id, &json!(1_560)));
    // The scripted voice needs 60 ms a character: 24 of them are the first sentence, two of the next fit.
    assert_eq!(heard, "One is the first number.");
    let committed = client.until("input_audio_buffer.committed").await;
    assert_eq!((&committed["item_id"], &committed["previous_item_id"]), (&started["item_id"], &item_id));
    client.until("response.created").await;
    client.until("response.output_item.added").await;
    let prompt = prompt(&llm);
    assert_eq!(prompt[1..], ["user: count", &format!("assistant: {heard}"), "user: stop please"]);
    server.stop();
}

#[tokio::test]
async fn with_interrupt_response_off_the_reply_runs_on_and_the_words_are_answered_behind_it() {
    let server = TestServer::start(|config| {
        config.scripted.transcripts = vec!["go on".into()];
        config.scripted.replies =
            vec!["One two three four five six seven eight nine ten.".into(), "Yes.".into()];
    });
    let detection = json!({"type": "server_vad", "interrupt_response": false});
    let mut client = Client::with(&server, json!({"audio": {"input": {"turn_detection": detection}}})).await;
    client.write("user", "count").await;
    client.respond(json!({})).await;
    client.until("response.output_audio.delta").await;
    client.say("please go on");
    let first = client.until("response.done").await;
    assert_eq!(first["response"]["status"], "completed");
    let second = client.until("response.done").await;
    assert_eq!(second["response"]["status"], "completed");
    assert_eq!(client.said("response.output_audio_transcript.delta", &second["response"]["id"]), "Yes.");
    server.stop();
}

#[tokio::test]
async fn push_to_talk_makes_items_and_answers_when_asked() {
    let llm = StubLlm::saying(&["Well."]);
    let server = with_llm(&llm, |config| config.scripted.transcripts = vec!["first".into(), "second".into()]);
    let mut client = Client::with(&server, json!({"audio": {"input": {"turn_detection": null}}})).await;
    client.upload("this is the first part").await;
    client.send(json!({"type": "input_audio_buffer.commit"})).await;
    let first = client.until("input_audio_buffer.committed").await;
    client.upload("this will be thrown away").await;
    client.send(json!({"type": "input_audio_buffer.clear"})).await;
    client.until("input_audio_buffer.cleared").await;
    // Also what had not been judged when it was thrown away is gone.
    client.send(json!({"type": "input_audio_buffer.commit", "event_id": "mine"})).await;
    let error = client.until("error").await;
    assert_eq!(error["error"]["code"], "input_audio_buffer_commit_empty");
    assert_eq!(error["error"]["event_id"], "mine");
    client.upload("and this is the second part").await;
    // In one go, before anything of it has been judged or recognised.
    client.send(json!({"type": "input_audio_buffer.commit"})).await;
    client.respond(json!({})).await;
    let done = client.until("response.done").await;
    assert_eq!(done["response"]["status"], "completed");
    let second = client.events.iter().rfind(|e| e["type"] == "input_audio_buffer.committed").unwrap();
    assert_eq!(second["previous_item_id"], first["item_id"]);
    assert_eq!(prompt(&llm)[1..], ["user: first", "user: second"]);
    server.stop();
}

#[tokio::test]
async fn with_create_response_off_words_wait_to_be_answered() {
    let server = TestServer::start(|config| config.scripted.transcripts = vec!["just talking".into()]);
    let detection = json!({"type": "server_vad", "create_response": false});
    let input = json!({"turn_detection": detection, "transcription": {"model": "whisper-1"}});
    let mut client = Client::with(&server, json!({"audio": {"input": input}})).await;
    client.say("I am just talking to myself");
    client.until("conversation.item.input_audio_transcription.completed").await;
    client.wait(300).await;
    assert!(!client.order().contains(&"response.created"));
    client.respond(json!({})).await;
    client.until("response.done").await;
    server.stop();
}

#[tokio::test]
async fn a_long_silence_is_broken() {
    let server =
        TestServer::start(|config| config.scripted.replies = vec!["Hello.".into(), "Still there?".into()]);
    let detection = json!({"type": "server_vad", "idle_timeout_ms": 400});
    let mut client = Client::with(&server, json!({"audio": {"input": {"turn_detection": detection}}})).await;
    client.write("user", "hello").await;
    client.respond(json!({})).await;
    client.until("response.done").await;
    let triggered = client.until("input_audio_buffer.timeout_triggered").await;
    let committed = client.until("input_audio_buffer.committed").await;
    assert_eq!(triggered["item_id"], committed["item_id"]);
    let done = client.until("response.done").await;
    let said = client.said("response.output_audio_transcript.delta", &done["response"]["id"]);
    assert_eq!(said, "Still there?");
    server.stop();
}

#[tokio::test]
async fn telephones_speak_g711() {
    let server = TestServer::start(|config| {
        config.scripted.transcripts = vec!["hello".into()];
        config.scripted.replies = vec!["Hello there.".into()];
    });
    for (format, law) in
        [("audio/pcmu", vivavoce::audio::g711::Law::Mu), ("audio/pcma", vivavoce::audio::g711::Law::A)]
    {
        let format = json!({"format": {"type": format}});
        let audio = json!({"input": format, "output": format});
        let mut client = Client::connect(&server).await;
        let session = client.update(json!({"audio": audio})).await;
        assert_eq!(session["audio"]["output"]["format"], format["format"]);
        let speech =
            vivavoce::audio::pcm::f32s_from_i16s(&crate::e2e::person::spoken("hello is anybody there"));
        let speech = vivavoce::audio::resample::resample(&speech, 16_000, 8_000).unwrap();
        let mut codes: Vec<u8> = vivavoce::audio::pcm::i16s_from_f32s(&speech)
            .into_iter()
            .map(|sample| law.encode(sample))
            .collect();
        codes.resize(codes.len() + 8_000, law.encode(0));
        for piece in codes.chunks(160) {
            client.append(piece).await;
        }
        let done = client.until("response.done").await;
        let codes = client.audio(&done["response"]["id"]);
        assert_eq!(codes.len(), "Hello there.".len() * 60 * 8, "{format}");
        let loudest = codes.iter().map(|code| law.decode(*code).unsigned_abs()).max().unwrap();
        assert!((2_500..4_500).contains(&loudest), "the scripted tone: {loudest}");
    }
    server.stop();
}

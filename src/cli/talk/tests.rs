use std::sync::{Mutex, MutexGuard};

use super::*;
use crate::audio::playback::PlaybackQueue;
use crate::client::Audio;
use crate::turn::io::InterruptReason;

/// A loudspeaker that plays when it is told to.
#[derive(Default)]
struct StillSink(Mutex<PlaybackQueue>);

impl StillSink {
    fn play(&self, count: usize) -> Vec<i16> {
        let mut out = vec![0; count];
        self.queue().pull(&mut out, |_| {});
        out
    }
}

impl AudioSink for StillSink {
    fn queue(&self) -> MutexGuard<'_, PlaybackQueue> {
        self.0.lock().unwrap()
    }

    async fn next_played(&mut self) -> Result<u64, DeviceError> {
        std::future::pending().await
    }

    async fn finish(self) -> Result<(), DeviceError> {
        Ok(())
    }
}

fn conversation(out: &mut Vec<u8>) -> Conversation<'_> {
    Conversation {
        transcript: Transcript::new(out),
        state: State::Listening,
        replying: None,
        silenced: None,
        answered: false,
        heard_nothing: true,
        said_all: None,
        last_event: Instant::now(),
    }
}

fn audio(turn_id: u64, chunk_id: u64, sample: i16) -> ServerMessage {
    let pcm = pcm::bytes_from_samples(&[sample; 4]).into();
    ServerMessage::Audio(Audio { turn_id, segment_id: 0, chunk_id, pcm })
}

fn interrupt(turn_id: u64) -> ServerMessage {
    ServerMessage::Interrupt { turn_id, heard_text: "one".into(), reason: InterruptReason::Speech }
}

#[test]
fn the_queue_holds_goes_on_and_is_flushed_as_the_server_says() {
    let (mut out, sink) = (Vec::new(), StillSink::default());
    let mut conversation = conversation(&mut out);
    let mut tell = |message| conversation.on_message(message, &sink).unwrap();
    tell(audio(1, 0, 5));
    assert_eq!(sink.play(2), [5, 5]);
    tell(ServerMessage::Pause { turn_id: 1 });
    assert_eq!(sink.play(1), [0]);
    tell(ServerMessage::Resume { turn_id: 1, from_chunk_id: 0 });
    assert_eq!(sink.play(1), [5]);
    tell(ServerMessage::Pause { turn_id: 1 });
    tell(interrupt(1));
    tell(audio(1, 1, 6)); // would be the server's fault; is not heard anyway
    assert!(sink.queue().is_empty());
    tell(audio(2, 2, 7));
    tell(interrupt(1)); // late: the next reply plays already
    assert_eq!(sink.play(4), [7; 4]);
}

#[test]
fn it_is_over_when_nothing_has_happened_for_a_while_after_the_last_words() {
    let (mut out, sink) = (Vec::new(), StillSink::default());
    let limit = Duration::from_secs(60);
    let mut conversation = conversation(&mut out);
    assert_eq!(conversation.over_at(&sink, limit), None);
    let said_all = Instant::now() + Duration::from_secs(5);
    conversation.said_all = Some(said_all);
    assert_eq!(conversation.over_at(&sink, limit), Some(said_all + QUIET));

    // A reply is on its way, then in the queue: it is waited for.
    conversation
        .on_message(ServerMessage::Status { state: State::Thinking, turn_id: Some(1) }, &sink)
        .unwrap();
    assert_eq!(conversation.over_at(&sink, limit), Some(said_all + limit));
    conversation.on_message(audio(1, 0, 5), &sink).unwrap();
    conversation.on_message(ServerMessage::Status { state: State::Listening, turn_id: None }, &sink).unwrap();
    assert_eq!(conversation.over_at(&sink, limit), Some(said_all + limit));
    sink.play(4);
    conversation.last_event = said_all + Duration::from_secs(7);
    assert_eq!(conversation.over_at(&sink, limit), Some(said_all + Duration::from_secs(7) + QUIET));
    conversation.last_event = said_all + limit;
    assert_eq!(conversation.over_at(&sink, limit), Some(said_all + limit));
}

#[test]
fn without_an_answer_it_failed_and_says_why() {
    let (mut out, sink) = (Vec::new(), StillSink::default());
    let limit = Duration::from_secs(60);
    let mut conversation = conversation(&mut out);
    let said_all = Instant::now();
    conversation.said_all = Some(said_all);
    let verdict = |conversation: &Conversation<'_>, after| {
        conversation.verdict(said_all + after, limit).map_err(|error| error.to_string())
    };
    let said = |conversation: &Conversation<'_>| verdict(conversation, QUIET);
    assert!(said(&conversation).unwrap_err().contains("no words"));
    let words =
        |text: &str| ServerMessage::Transcript { text: text.into(), turn_id: 1, audio_ms: 9, language: None };
    conversation.on_message(words(""), &sink).unwrap();
    assert!(said(&conversation).unwrap_err().contains("no words"));
    conversation.on_message(words("hello"), &sink).unwrap();
    assert!(said(&conversation).unwrap_err().contains("no reply"));
    assert!(verdict(&conversation, limit).unwrap_err().contains("too long"));
    conversation.on_message(audio(1, 0, 5), &sink).unwrap();
    assert_eq!(said(&conversation), Ok(()));
}

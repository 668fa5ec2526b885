//! `vivavoce talk`: a conversation from the command line, by this machine's microphone and
//! loudspeaker, or by files in their place.
//!
//! With devices it goes on until it is stopped. With a file or a text it ends by itself, when the
//! reply to the last that was said has been heard. Both sides' words and the server's state go to
//! standard output, a line each.
//!
//! Deliberately absent: reconnection, and video (a clip's text is shown).

mod transcript;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::audio::device::{
    AudioSink, AudioSource, DeviceError, FileSink, FileSource, Frame, Loudspeaker, Microphone,
};
use crate::audio::pcm;
use crate::client::{self, ClientError, ClientMessage, Receiver, Sender, ServerMessage};
use crate::turn::io::State;
use transcript::Transcript;

/// After the end of the input nothing has happened for so long: nothing more will. Longer than any
/// reasonable hangover, so that the end of the last words has been decided by then.
const QUIET: Duration = Duration::from_secs(2);

/// Talk with a server by microphone and loudspeaker, or by files
#[derive(Debug, Clone, clap::Args)]
pub struct Talk {
    /// The server's voice socket
    #[arg(long, default_value = "ws://localhost:8080/ws/chat")]
    url: String,
    /// Access token, if the server asks for one
    #[arg(long)]
    token: Option<String>,
    /// A WAV file instead of the microphone
    #[arg(long = "in", value_name = "FILE")]
    input: Option<PathBuf>,
    /// Write what the loudspeaker would play into this WAV file (24 kHz)
    #[arg(long = "out", value_name = "FILE")]
    output: Option<PathBuf>,
    /// Type this instead of speaking
    #[arg(long, conflicts_with = "input")]
    text: Option<String>,
    /// With --in or --text: end at the latest so many seconds after the end of what was said
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    limit_s: u64,
}

/// Why the conversation ended badly.
#[derive(Debug, thiserror::Error)]
pub enum TalkError {
    /// No connection, or one that broke.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No sound.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// There was no reply to anything.
    #[error("nothing was answered: {0}")]
    Unanswered(&'static str),
    /// The transcript could not be written.
    #[error("cannot write the transcript: {0}")]
    Output(#[from] io::Error),
}

impl Talk {
    /// Talks until the end. Devices are opened before the server hears of us.
    ///
    /// # Errors
    /// In one line: no device, no server, a refusal, or no answer.
    pub async fn run(&self, out: &mut dyn Write) -> Result<(), TalkError> {
        match &self.output {
            Some(path) => self.with_sink(FileSink::create(path)?, out).await,
            None => self.with_sink(Loudspeaker::open()?, out).await,
        }
    }

    async fn with_sink(&self, sink: impl AudioSink, out: &mut dyn Write) -> Result<(), TalkError> {
        match (&self.text, &self.input) {
            (Some(_), _) => self.converse(Muted, sink, out).await,
            (None, Some(path)) => self.converse(FileSource::open(path)?, sink, out).await,
            (None, None) => self.converse(Microphone::open()?, sink, out).await,
        }
    }

    async fn converse(
        &self,
        mut source: impl AudioSource,
        mut sink: impl AudioSink,
        out: &mut dyn Write,
    ) -> Result<(), TalkError> {
        let (mut sender, mut receiver) = client::connect(&self.url, self.token.as_deref()).await?.split();
        let mut conversation = Conversation {
            transcript: Transcript::new(out),
            state: State::Listening,
            replying: None,
            silenced: None,
            answered: false,
            heard_nothing: true,
            said_all: None,
            last_event: Instant::now(),
        };
        if let Some(text) = &self.text {
            sender.send(&ClientMessage::Text { text: text.clone() }).await?;
            conversation.said_all = Some(Instant::now());
        }
        let limit = Duration::from_secs(self.limit_s);
        let ended = conversation.run(&mut source, &mut sink, &mut sender, &mut receiver, limit).await;
        // What was played is kept, whatever happened.
        let finished = sink.finish().await;
        let _ = sender.close().await;
        ended?;
        Ok(finished?)
    }
}

/// Who types says nothing.
struct Muted;

impl AudioSource for Muted {
    async fn next_frame(&mut self) -> Result<Frame, DeviceError> {
        std::future::pending().await
    }
}

struct Conversation<'a> {
    transcript: Transcript<'a>,
    state: State,
    /// The turn whose audio was queued last.
    replying: Option<u64>,
    /// The turn that was interrupted last: its audio is not played any more.
    silenced: Option<u64>,
    /// A reply was given.
    answered: bool,
    /// The server has not made words of anything yet.
    heard_nothing: bool,
    /// When the input ended, if it has.
    said_all: Option<Instant>,
    /// When something last came, or was played to its end.
    last_event: Instant,
}

impl Conversation<'_> {
    async fn run(
        &mut self,
        source: &mut impl AudioSource,
        sink: &mut impl AudioSink,
        sender: &mut Sender,
        receiver: &mut Receiver,
        limit: Duration,
    ) -> Result<(), TalkError> {
        loop {
            // Nothing to wait for: in a conversation by devices, or while something is going on.
            let far = Instant::now() + limit;
            let over_at = self.over_at(sink, limit).unwrap_or(far);
            tokio::select! {
                biased;
                message = receiver.receive() => {
                    self.last_event = Instant::now();
                    self.on_message(message?, sink)?;
                }
                chunk = sink.next_played() => {
                    self.last_event = Instant::now();
                    sender.send(&ClientMessage::Played { chunk_id: chunk? }).await?;
                }
                frame = source.next_frame() => {
                    let Frame { samples, after_end } = frame?;
                    if after_end {
                        self.said_all.get_or_insert_with(Instant::now);
                    }
                    // Silence goes on behind the end: the server has to hear that there is nothing.
                    sender.send_pcm(pcm::bytes_from_samples(&samples).into()).await?;
                }
                () = tokio::time::sleep_until(over_at), if self.said_all.is_some() => {
                    return self.verdict(Instant::now(), limit);
                }
            }
        }
    }

    /// When it will be over if nothing happens until then; `None` before everything was said.
    fn over_at(&self, sink: &impl AudioSink, limit: Duration) -> Option<Instant> {
        let said_all = self.said_all?;
        let going_on = self.state != State::Listening || !sink.queue().is_empty();
        // A typed turn is always answered, a spoken one only if there were words.
        let latest = said_all + limit;
        let quiet = self.last_event.max(said_all) + QUIET;
        Some(if going_on { latest } else { quiet.min(latest) })
    }

    fn verdict(&self, now: Instant, limit: Duration) -> Result<(), TalkError> {
        if self.answered {
            return Ok(());
        }
        Err(TalkError::Unanswered(match (self.said_all, self.heard_nothing) {
            (Some(at), _) if now >= at + limit => "the server took too long",
            (_, true) => "the server made no words of what it heard",
            _ => "the server heard words and gave no reply",
        }))
    }

    fn on_message(&mut self, message: ServerMessage, sink: &impl AudioSink) -> io::Result<()> {
        match &message {
            ServerMessage::Status { state, .. } => self.state = *state,
            ServerMessage::Transcript { text, .. } => self.heard_nothing &= text.is_empty(),
            ServerMessage::Audio(audio) if self.silenced != Some(audio.turn_id) => {
                self.answered = true;
                self.replying = Some(audio.turn_id);
                sink.queue().push(audio.chunk_id, audio.samples());
            }
            ServerMessage::SpeakingClip { .. } => self.answered = true,
            ServerMessage::Pause { .. } => sink.queue().hold(),
            ServerMessage::Resume { .. } => sink.queue().release(),
            ServerMessage::Interrupt { turn_id, .. } => {
                self.silenced = Some(*turn_id);
                if self.replying == Some(*turn_id) {
                    sink.queue().flush();
                }
            }
            // Should the server have forgotten that it held the queue.
            ServerMessage::TurnEnd { .. } => sink.queue().release(),
            _ => {}
        }
        self.transcript.show(&message)
    }
}

#[cfg(test)]
mod tests;

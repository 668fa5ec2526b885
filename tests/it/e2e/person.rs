//! A person at a voice socket: a paced microphone, ears, and a note of everything that came.

use std::time::Duration;

use tokio::time::Instant;
use vivavoce::client::{ClientError, ClientMessage, Connection, Receiver, Sender, ServerMessage};
use vivavoce::config::Config;
use vivavoce::engines::{CancelToken, Tts, TtsEvent};
use vivavoce::turn::io::Outcome;

/// One message of the microphone: 20 ms at 16 kHz.
const MESSAGE_SAMPLES: usize = 320;
/// Nothing in these tests takes so long, on any machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A person, talking with a server.
pub struct Person {
    sender: Sender,
    receiver: Receiver,
    began: Instant,
    /// Microphone messages sent so far: the clock of the pace.
    sent: u32,
    /// What is still to be said.
    speech: Vec<i16>,
    spoken: usize,
    /// Everything that came.
    pub messages: Vec<ServerMessage>,
}

impl Person {
    /// Says nothing yet.
    pub fn new(connection: Connection) -> Person {
        let (sender, receiver) = connection.split();
        Person {
            sender,
            receiver,
            began: Instant::now(),
            sent: 0,
            speech: Vec::new(),
            spoken: 0,
            messages: Vec::new(),
        }
    }

    /// Says this (16 kHz) from now on, in real time, while messages are awaited; then is silent.
    pub fn say(&mut self, speech: &[i16]) {
        self.speech = speech.to_vec();
        self.spoken = 0;
    }

    /// All of it has been said.
    pub fn has_spoken(&self) -> bool {
        self.spoken >= self.speech.len()
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &ClientMessage) {
        self.sender.send(message).await.unwrap();
    }

    /// Types.
    pub async fn type_text(&mut self, text: &str) {
        self.send(&ClientMessage::Text { text: text.to_owned() }).await;
    }

    /// The microphone goes on until a message comes that `wanted` accepts.
    pub async fn until(&mut self, wanted: impl FnMut(&ServerMessage) -> bool) -> ServerMessage {
        self.listen(wanted).await.unwrap()
    }

    /// The microphone goes on until a message comes that `wanted` accepts, or the server ends it.
    pub async fn listen(
        &mut self,
        mut wanted: impl FnMut(&ServerMessage) -> bool,
    ) -> Result<ServerMessage, ClientError> {
        let give_up = Instant::now() + LIMIT;
        loop {
            assert!(Instant::now() < give_up, "nothing of the kind came: {:#?}", self.log());
            let due = self.began + self.sent * Duration::from_millis(20);
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(due) => self.send_microphone().await?,
                message = self.receiver.receive() => {
                    let message = message?;
                    self.messages.push(message.clone());
                    if wanted(&message) {
                        return Ok(message);
                    }
                }
            }
        }
    }

    /// The microphone goes on for so long.
    pub async fn wait(&mut self, ms: u32) {
        let until = self.sent + ms / 20;
        while self.sent < until {
            let due = self.began + self.sent * Duration::from_millis(20);
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(due) => self.send_microphone().await.unwrap(),
                message = self.receiver.receive() => self.messages.push(message.unwrap()),
            }
        }
    }

    async fn send_microphone(&mut self) -> Result<(), ClientError> {
        let end = (self.spoken + MESSAGE_SAMPLES).min(self.speech.len());
        let mut samples = self.speech[self.spoken.min(end)..end].to_vec();
        samples.resize(MESSAGE_SAMPLES, 0);
        self.spoken = (self.spoken + MESSAGE_SAMPLES).min(self.speech.len());
        self.sent += 1;
        self.sender.send_pcm(vivavoce::audio::pcm::bytes_from_samples(&samples).into()).await
    }

    /// The microphone goes on until the running turn ends.
    pub async fn until_turn_end(&mut self) -> (u64, Outcome) {
        match self.until(|message| matches!(message, ServerMessage::TurnEnd { .. })).await {
            ServerMessage::TurnEnd { turn_id, outcome } => (turn_id, outcome),
            other => panic!("{other:?}"),
        }
    }

    /// The transcript of a turn.
    pub fn transcript(&self, turn: u64) -> &str {
        let found = self.messages.iter().find_map(|message| match message {
            ServerMessage::Transcript { text, turn_id, .. } if *turn_id == turn => Some(text.as_str()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("turn {turn} has no transcript: {:#?}", self.log()))
    }

    /// The whole reply of a turn.
    pub fn reply(&self, turn: u64) -> &str {
        let found = self.messages.iter().find_map(|message| match message {
            ServerMessage::ResponseText { text, turn_id, last: true, .. } if *turn_id == turn => {
                Some(text.as_str())
            }
            _ => None,
        });
        found.unwrap_or_else(|| panic!("turn {turn} has no whole reply: {:#?}", self.log()))
    }

    /// The audio of a turn, 24 kHz.
    pub fn audio(&self, turn: u64) -> Vec<i16> {
        let of_turn = self.messages.iter().filter_map(|message| match message {
            ServerMessage::Audio(audio) if audio.turn_id == turn => Some(audio.samples()),
            _ => None,
        });
        of_turn.flatten().collect()
    }

    /// What came, without the audio itself.
    pub fn log(&self) -> Vec<String> {
        let shown = self.messages.iter().map(|message| match message {
            ServerMessage::Audio(audio) => {
                format!("Audio(turn {}, {} bytes)", audio.turn_id, audio.pcm.len())
            }
            other => format!("{other:?}"),
        });
        shown.collect()
    }

    /// The kinds of what came about a turn, runs of audio and text as one word each.
    pub fn order(&self, turn: u64) -> Vec<String> {
        let mut order: Vec<String> = Vec::new();
        for message in &self.messages {
            let word = match message {
                ServerMessage::Status { state, turn_id: Some(id) } if *id == turn => format!("{state:?}"),
                ServerMessage::Transcript { turn_id, .. } if *turn_id == turn => "transcript".to_owned(),
                ServerMessage::ResponseText { turn_id, .. } if *turn_id == turn => "speech".to_owned(),
                ServerMessage::Audio(audio) if audio.turn_id == turn => "speech".to_owned(),
                ServerMessage::SpeakingClip { turn_id, .. } if *turn_id == turn => "clip".to_owned(),
                ServerMessage::Pause { turn_id } if *turn_id == turn => "pause".to_owned(),
                ServerMessage::Resume { turn_id, .. } if *turn_id == turn => "resume".to_owned(),
                ServerMessage::Interrupt { turn_id, .. } if *turn_id == turn => "interrupt".to_owned(),
                ServerMessage::Error { turn_id: Some(id), code, .. } if *id == turn => code.clone(),
                ServerMessage::Metrics { turn_id, .. } if *turn_id == turn => "metrics".to_owned(),
                ServerMessage::TurnEnd { turn_id, outcome } if *turn_id == turn => format!("{outcome:?}"),
                _ => continue,
            };
            if order.last() != Some(&word) {
                order.push(word);
            }
        }
        order
    }

    /// Hangs up.
    pub async fn hang_up(mut self) {
        let _ = self.sender.close().await;
    }
}

/// Waits for something that no message tells.
pub async fn wait_until(mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < give_up, "it never came true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// `text`, spoken by flite: 16 kHz.
pub fn spoken(text: &str) -> Vec<i16> {
    let mut tts = vivavoce::engines::flite::FliteTts::load(&Config::default()).unwrap();
    let mut samples = Vec::new();
    let mut sink = |event| {
        if let TtsEvent::Audio(audio) = event {
            samples.extend(audio);
        }
        std::ops::ControlFlow::Continue(())
    };
    std::thread::scope(|scope| {
        // Engines do not run on an executor's thread, and tests may be on one.
        let speaking = scope.spawn(|| tts.synthesize(text, None, &CancelToken::new(), &mut sink));
        speaking.join().unwrap().unwrap();
    });
    let down = vivavoce::audio::resample::resample(&samples, 24_000, 16_000).unwrap();
    vivavoce::audio::pcm::i16s_from_f32s(&down)
}

/// Words that differ, as a part of the words of `expected`: insertions, deletions, substitutions.
pub fn word_error_rate(expected: &str, found: &str) -> f64 {
    let words = |text: &str| -> Vec<String> {
        let letters = |c: char| c.is_alphanumeric() || c == '\'';
        let cleaned = text.to_lowercase();
        cleaned.split(|c| !letters(c)).filter(|w| !w.is_empty()).map(str::to_owned).collect()
    };
    let (expected, found) = (words(expected), words(found));
    let distance = strsim::generic_levenshtein(&expected, &found);
    distance as f64 / expected.len().max(1) as f64
}

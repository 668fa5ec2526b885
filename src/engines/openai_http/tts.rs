//! The engine `openai` for speech: `POST {tts.openai.url}/audio/speech`, whose PCM is passed on as it
//! arrives.
//!
//! Deliberately absent: times of words (the interface has none; what was heard is estimated within a
//! segment), compressed audio, and repetitions once audio has begun.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;

use super::remote::{Address, Limit, Patience, Remote, Stage, failed};
use super::words::{quote, server_message};
use crate::audio::pcm_stream::PcmStream;
use crate::engines::{CancelToken, EngineError, OUTPUT_RATE_HZ, Tts, TtsEvent, forbid_executor_thread};
use crate::{config, outbound};

/// What goes wrong with speech.
const TTS: Stage = Stage {
    unreachable: "tts_unreachable",
    timeout: "tts_timeout",
    refused: "tts_refused",
    rate_limited: "tts_rate_limited",
    bad_request: "tts_bad_request",
    failed: "tts_failed",
    url_key: "tts.openai.url",
    model_key: "tts.openai.model",
    api_key_key: "tts.openai.api_key_env",
    suspects: "tts.openai.model, tts.openai.voice (or persona.voice) and tts.openai.speed",
};

/// An answer that is no audio is quoted up to here.
const QUOTED_BYTES: usize = 1 << 10;

/// A loaded engine: the way to one server. Every [`Tts`] made by it uses the same connections.
#[derive(Clone)]
pub struct OpenAiTts(Arc<Server>);

struct Server {
    remote: Remote,
    config: config::Tts,
}

#[derive(Serialize)]
struct SpeechRequest<'a> {
    model: &'a str,
    input: &'a str,
    voice: &'a str,
    response_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<f32>,
}

impl OpenAiTts {
    /// Checks the settings; asks the server nothing yet (it may be started later).
    pub fn new(config: &config::Tts) -> Result<OpenAiTts, EngineError> {
        let openai = &config.openai;
        let address = Address {
            url: &openai.url,
            api_key_env: &openai.api_key_env,
            connect_timeout_ms: openai.connect_timeout_ms,
            retries: openai.retries,
        };
        let remote = Remote::new(&TTS, &address)?;
        Ok(OpenAiTts(Arc::new(Server { remote, config: config.clone() })))
    }

    /// An engine for one worker.
    pub fn tts(&self) -> Box<dyn Tts> {
        Box::new(self.clone())
    }
}

impl Tts for OpenAiTts {
    fn synthesize(
        &mut self,
        text: &str,
        voice: Option<&str>,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(TtsEvent) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        forbid_executor_thread("openai tts");
        let server = &*self.0;
        let patience = server.patience(cancel);
        let response = server.remote.block_on(server.open(text, voice, &patience))?;
        server.read(response, patience, sink)
    }
}

impl Server {
    /// Patience for the next audio; begins now.
    fn patience<'a>(&self, cancel: &'a CancelToken) -> Patience<'a> {
        Patience::new(Limit { key: "tts.timeout_ms", ms: self.config.timeout_ms }, cancel)
    }

    async fn open(
        &self,
        text: &str,
        voice: Option<&str>,
        patience: &Patience<'_>,
    ) -> Result<Response, EngineError> {
        let openai = &self.config.openai;
        let request = SpeechRequest {
            model: &openai.model,
            input: text,
            voice: voice.unwrap_or(&openai.voice),
            response_format: "pcm",
            // Not every model takes one.
            speed: Some(openai.speed).filter(|speed| *speed != 1.0),
        };
        let body = serde_json::to_vec(&request).map_err(|error| {
            failed(TTS.bad_request, format!("the request cannot be written as JSON: {error}"))
        })?;
        let body = Bytes::from(body);
        let ask = || {
            let request = self.remote.post(&["audio", "speech"]);
            request.header(CONTENT_TYPE, "application/json").body(body.clone())
        };
        self.remote.ask(ask, patience, |_, _| None).await
    }

    fn read<'a>(
        &'a self,
        mut response: Response,
        mut patience: Patience<'a>,
        sink: &mut dyn FnMut(TtsEvent) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        let media = MediaType::of(&response);
        if media.is_words() {
            return Err(self.words_instead(response, &patience));
        }
        if let Some(name) = media.compressed() {
            return Err(self.remote.unusable(format!("it is {name} instead of PCM")));
        }
        let rate_hz = media.rate_hz().unwrap_or(self.config.openai.sample_rate_hz);
        let mut stream = PcmStream::new(rate_hz, OUTPUT_RATE_HZ);
        let mut anything = false;
        loop {
            let piece = match self.remote.block_on(patience.wait(response.chunk())) {
                Err(stop) => return Err(self.remote.stopped(stop, &patience)),
                Ok(Err(error)) => return Err(self.remote.broken(outbound::root_cause(&error))),
                Ok(Ok(piece)) => piece,
            };
            let samples = match &piece {
                Some(bytes) => stream.push(bytes),
                None => stream.finish(),
            };
            let samples = samples.map_err(|error| self.remote.unusable(error))?;
            if patience.cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            if !samples.is_empty() {
                anything = true;
                if sink(TtsEvent::Audio(samples)).is_break() {
                    return Ok(());
                }
                patience = self.patience(patience.cancel);
            }
            match (piece, anything) {
                (Some(_), _) => {}
                (None, true) => return Ok(()),
                (None, false) => return Err(self.remote.unusable("it holds no audio")),
            }
        }
    }

    /// The error of an answer that is text: an error with the status of a success, or a web page.
    fn words_instead(&self, response: Response, patience: &Patience<'_>) -> EngineError {
        let body = patience.wait(outbound::read_body(response, QUOTED_BYTES));
        match self.remote.block_on(body) {
            Err(stop) => self.remote.stopped(stop, patience),
            Ok(body) => self.remote.unusable(match serde_json::from_slice(&body) {
                Ok(json) => server_message(&json),
                Err(_) => format!("it is no audio but `{}`", quote(&String::from_utf8_lossy(&body))),
            }),
        }
    }
}

/// `Content-Type`, in lower case; empty if there is none.
struct MediaType(String);

impl MediaType {
    fn of(response: &Response) -> MediaType {
        let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        MediaType(value.unwrap_or_default().to_lowercase())
    }

    fn is_words(&self) -> bool {
        self.0.starts_with("text/") || self.0.starts_with("application/json")
    }

    fn compressed(&self) -> Option<&str> {
        let name = self.0.split(';').next().unwrap_or_default().trim();
        let kinds = ["mpeg", "mp3", "mp4", "aac", "ogg", "opus", "flac", "webm"];
        kinds.iter().any(|kind| name.contains(kind)).then_some(name)
    }

    /// As in `audio/L16;rate=22050`.
    fn rate_hz(&self) -> Option<u32> {
        let rate = self.0.split(';').find_map(|parameter| parameter.trim().strip_prefix("rate="))?;
        rate.trim_matches('"').parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_says_what_comes() {
        let pcm = MediaType("audio/l16; rate=22050; channels=1".into());
        assert_eq!((pcm.is_words(), pcm.compressed(), pcm.rate_hz()), (false, None, Some(22_050)));
        let octets = MediaType("application/octet-stream".into());
        assert_eq!((octets.is_words(), octets.compressed(), octets.rate_hz()), (false, None, None));
        assert_eq!(MediaType("audio/mpeg".into()).compressed(), Some("audio/mpeg"));
        assert!(MediaType("application/json; charset=utf-8".into()).is_words());
        assert_eq!(MediaType("audio/pcm;rate=fast".into()).rate_hz(), None);
    }
}

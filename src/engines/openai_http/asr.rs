//! The engine `openai` for recognition: `POST {asr.openai.url}/audio/transcriptions`, one utterance as a
//! WAV file in a form.
//!
//! Deliberately absent: streamed transcripts (servers differ, and an utterance is short), times of words.

use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, RequestBuilder, Response};
use serde::Deserialize;

use super::NAME;
use super::remote::{Address, Limit, Patience, Remote, Stage};
use super::words::{quote, server_message};
use crate::engines::{
    Asr, AsrRequest, AsrState, CancelToken, EngineError, INPUT_RATE_HZ, SpeechContext, Transcript,
    forbid_executor_thread,
};
use crate::{config, outbound};

/// What goes wrong with recognition.
const ASR: Stage = Stage {
    unreachable: "asr_unreachable",
    timeout: "asr_timeout",
    refused: "asr_refused",
    rate_limited: "asr_rate_limited",
    bad_request: "asr_bad_request",
    failed: "asr_failed",
    url_key: "asr.openai.url",
    model_key: "asr.openai.model",
    api_key_key: "asr.openai.api_key_env",
    suspects: "asr.openai.model and asr.openai.url",
};

/// An answer with words, at most.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// Whisper reads no more than 224 tokens of a prompt, and of a longer one its end.
const MAX_PROMPT_CHARS: usize = 700;
/// OpenAI refuses less than a tenth of a second; what is shorter is filled up with silence.
const SHORTEST_SAMPLES: usize = INPUT_RATE_HZ as usize / 10;

/// A loaded engine: the way to one server. Every [`Asr`] made by it uses the same connections.
#[derive(Clone)]
pub struct OpenAiAsr(Arc<Server>);

struct Server {
    remote: Remote,
    config: config::Asr,
}

impl OpenAiAsr {
    /// Checks the settings; asks the server nothing yet (it may be started later).
    pub fn new(config: &config::Asr) -> Result<OpenAiAsr, EngineError> {
        let openai = &config.openai;
        let address = Address {
            url: &openai.url,
            api_key_env: &openai.api_key_env,
            connect_timeout_ms: openai.connect_timeout_ms,
            retries: openai.retries,
        };
        let remote = Remote::new(&ASR, &address)?;
        Ok(OpenAiAsr(Arc::new(Server { remote, config: config.clone() })))
    }

    /// An engine for one worker.
    pub fn asr(&self) -> Box<dyn Asr> {
        Box::new(self.clone())
    }
}

impl Asr for OpenAiAsr {
    fn transcribe_on(
        &mut self,
        request: &AsrRequest<'_>,
        _: &mut AsrState,
        cancel: &CancelToken,
    ) -> Result<Transcript, EngineError> {
        forbid_executor_thread("openai asr");
        if request.pcm.is_empty() {
            return Ok(Transcript::default());
        }
        let Server { remote, config } = &*self.0;
        let limit = Limit { key: "asr.timeout_ms", ms: config.timeout_ms };
        let patience = Patience::new(limit, cancel);
        let heard = remote.block_on(async {
            let form = Fields::of(request, &config.openai)?;
            let ask = || form.fill_in(remote.post(&["audio", "transcriptions"]));
            let response = remote.ask(ask, &patience, |_, _| None).await?;
            let answer = patience.wait(read(remote, response)).await;
            answer.map_err(|stop| remote.stopped(stop, &patience))?
        })?;
        let language = heard.language.filter(|code| code.len() == 2);
        Ok(Transcript {
            text: heard.text.trim().to_owned(),
            language: language.or_else(|| request.language.map(str::to_owned)),
        })
    }
}

/// The form of one request; a repetition sends the same.
struct Fields {
    wav: Bytes,
    model: String,
    language: Option<String>,
    prompt: String,
}

impl Fields {
    fn of(request: &AsrRequest<'_>, config: &config::OpenAiAsr) -> Result<Fields, EngineError> {
        let prompt = request.context.filter(|_| config.prompt).map(|context| prompt_of(context));
        Ok(Fields {
            wav: Bytes::from(wav_file(request.pcm)?),
            model: config.model.clone(),
            language: request.language.map(str::to_owned),
            prompt: prompt.unwrap_or_default(),
        })
    }

    fn fill_in(&self, request: RequestBuilder) -> RequestBuilder {
        let bytes = self.wav.len() as u64;
        let file = Part::stream_with_length(Body::from(self.wav.clone()), bytes).file_name("speech.wav");
        // Fails only for types that are none.
        let file = file.mime_str("audio/wav").unwrap_or_else(|_| Part::text(""));
        let mut form =
            Form::new().part("file", file).text("model", self.model.clone()).text("response_format", "json");
        if let Some(language) = &self.language {
            form = form.text("language", language.clone());
        }
        if !self.prompt.is_empty() {
            form = form.text("prompt", self.prompt.clone());
        }
        request.multipart(form)
    }
}

/// What recognisers do with a prompt is to write as it does: it holds names and facts, no instructions.
fn prompt_of(context: &SpeechContext) -> String {
    let mut prompt = context.name.trim().to_owned();
    for fact in context.facts.iter().map(|fact| fact.trim()).filter(|fact| !fact.is_empty()) {
        if prompt.chars().count() + fact.chars().count() + 2 > MAX_PROMPT_CHARS {
            break;
        }
        if !prompt.is_empty() {
            prompt += if prompt.ends_with(['.', '!', '?']) { " " } else { ". " };
        }
        prompt += fact;
    }
    prompt
}

/// 16 kHz mono samples as a WAV file.
fn wav_file(pcm: &[i16]) -> Result<Vec<u8>, EngineError> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: INPUT_RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let write = || -> Result<Vec<u8>, hound::Error> {
        let mut file = Cursor::new(Vec::with_capacity(2 * pcm.len().max(SHORTEST_SAMPLES) + 64));
        let mut writer = hound::WavWriter::new(&mut file, spec)?;
        let silence = SHORTEST_SAMPLES.saturating_sub(pcm.len());
        for sample in pcm.iter().copied().chain(std::iter::repeat_n(0, silence)) {
            writer.write_sample(sample)?;
        }
        writer.finalize()?;
        Ok(file.into_inner())
    };
    write().map_err(|error| EngineError::Failed {
        engine: NAME,
        code: ASR.failed,
        message: format!("{} samples cannot be written as a WAV file: {error}", pcm.len()),
    })
}

#[derive(Deserialize)]
struct Heard {
    text: String,
    language: Option<String>,
}

async fn read(remote: &Remote, mut response: Response) -> Result<Heard, EngineError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(piece)) if body.len() + piece.len() > MAX_ANSWER_BYTES => {
                return Err(remote.unusable(format!("it is longer than {MAX_ANSWER_BYTES} bytes")));
            }
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => break,
            Err(error) => return Err(remote.broken(outbound::root_cause(&error))),
        }
    }
    serde_json::from_slice(&body).map_err(|_| match serde_json::from_slice(&body) {
        Ok(json @ serde_json::Value::Object(_)) => remote.unusable(server_message(&json)),
        _ => {
            let shown = quote(&String::from_utf8_lossy(&body));
            remote.unusable(format!("it is no transcript but `{shown}`"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(facts: &[&str]) -> SpeechContext {
        let facts = facts.iter().map(|&fact| fact.to_owned()).collect();
        SpeechContext { name: "Ada".into(), system_prompt: "Never say no.".into(), facts }
    }

    #[test]
    fn the_prompt_is_the_name_and_the_facts() {
        let prompt = prompt_of(&context(&["We open at nine.", " ", "Our bread is called Miche."]));
        assert_eq!(prompt, "Ada. We open at nine. Our bread is called Miche.");
        assert_eq!(prompt_of(&SpeechContext::default()), "");
    }

    #[test]
    fn a_prompt_is_cut_between_facts() {
        let long = "é".repeat(400);
        assert_eq!(prompt_of(&context(&[&long, &long])), format!("Ada. {long}"));
    }

    #[test]
    fn a_short_sound_becomes_a_tenth_of_a_second() {
        for (samples, expected) in [(1, 1_600), (1_600, 1_600), (5_000, 5_000)] {
            let file = wav_file(&vec![7; samples]).unwrap();
            let mut reader = hound::WavReader::new(Cursor::new(file)).unwrap();
            assert_eq!((reader.spec().sample_rate, reader.spec().channels), (16_000, 1));
            let read: Vec<i16> = reader.samples().map(Result::unwrap).collect();
            assert_eq!(read.len(), expected);
            assert!(read.iter().enumerate().all(|(n, sample)| *sample == if n < samples { 7 } else { 0 }));
        }
    }
}

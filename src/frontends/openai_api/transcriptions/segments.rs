//! A recording → utterances (by the VAD) → segments with words and times (by the recogniser), one at a time.

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::task::AbortOnDropHandle;

use crate::config::Config;
use crate::engines::{Engines, INPUT_RATE_HZ, SpeechContext, VAD_FRAME_SAMPLES, VadFrame};
use crate::frontends::openai_api::work;
use crate::frontends::problem::Problem;
use crate::frontends::server::Server;
use crate::turn::detector::{DetectorConfig, Edge, SpeechDetector};

/// A shorter pause does not end an utterance; nobody waits for an answer here, so it may be shorter than in
/// a conversation.
const MAX_HANGOVER_MS: u32 = 300;
/// Segments that wait for whoever reads them.
const AHEAD: usize = 4;

/// Words, and when they were said.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// From the beginning of the recording.
    pub start_s: f64,
    /// From the beginning of the recording.
    pub end_s: f64,
    /// Never empty.
    pub text: String,
    /// ISO 639-1, if the recogniser knows.
    pub language: Option<String>,
}

/// The segments of a recording, as they are recognised. Dropping it stops the work.
pub struct Segments {
    recognised: mpsc::Receiver<Result<Segment, Problem>>,
    /// With the task goes the guard that stops the recogniser.
    _work: AbortOnDropHandle<()>,
}

impl Segments {
    /// Begins with `pcm`, 16 kHz mono. `place`: among the recordings that are worked on; given back at the end.
    pub fn begin(
        server: &Arc<Server>,
        pcm: Vec<i16>,
        language: Option<String>,
        context: Arc<SpeechContext>,
        place: OwnedSemaphorePermit,
    ) -> Segments {
        let (tell, recognised) = mpsc::channel(AHEAD);
        let server = Arc::clone(server);
        let work = tokio::spawn(async move {
            // A server that is about to stop waits for it.
            let (_open, _place) = (server.sessions.token(), place);
            if let Err(problem) =
                transcribe(&server.engines, &server.config, pcm, language, context, &tell).await
            {
                // Without a reader nobody wants to know.
                let _ = tell.send(Err(problem)).await;
            }
        });
        Segments { recognised, _work: AbortOnDropHandle::new(work) }
    }

    /// The next one; `None`: there are no more.
    pub async fn next(&mut self) -> Result<Option<Segment>, Problem> {
        self.recognised.recv().await.transpose()
    }

    /// All of them.
    pub async fn all(mut self) -> Result<Vec<Segment>, Problem> {
        let mut all = Vec::new();
        while let Some(segment) = self.next().await? {
            all.push(segment);
        }
        Ok(all)
    }
}

async fn transcribe(
    engines: &Engines,
    config: &Config,
    pcm: Vec<i16>,
    language: Option<String>,
    context: Arc<SpeechContext>,
    tell: &mpsc::Sender<Result<Segment, Problem>>,
) -> Result<(), Problem> {
    let mut utterances = Utterances::new(config);
    while let Some(utterance) = utterances.next(engines, &pcm).await? {
        let (start, end) = (utterance.start.min(pcm.len()), utterance.end.min(pcm.len()));
        let audio = pcm[start..end].to_vec();
        let heard = work::recognise(engines, config, audio, language.clone(), Arc::clone(&context)).await?;
        let text = heard.text.trim().to_owned();
        if text.is_empty() {
            continue;
        }
        let seconds = |samples: usize| samples as f64 / f64::from(INPUT_RATE_HZ);
        let segment =
            Segment { start_s: seconds(start), end_s: seconds(end), text, language: heard.language };
        if tell.send(Ok(segment)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Finds the utterances of a recording, frame by frame.
struct Utterances {
    detector: SpeechDetector,
    hangover_ms: u32,
    /// Travels to the VAD and back.
    frame: Option<Box<VadFrame>>,
    /// Samples that were judged.
    judged: usize,
}

impl Utterances {
    fn new(config: &Config) -> Utterances {
        let vad = &config.vad;
        let hangover_ms = vad.hangover_ms.min(MAX_HANGOVER_MS);
        let detector = SpeechDetector::new(DetectorConfig {
            threshold: vad.threshold,
            negative_threshold: vad.negative_threshold,
            min_speech_ms: vad.min_speech_ms,
            hangover_ms,
            prefix_padding_ms: vad.prefix_padding_ms,
            max_utterance_s: vad.max_utterance_s,
        });
        Utterances { detector, hangover_ms, frame: Some(Box::new(VadFrame::silence())), judged: 0 }
    }

    /// The samples of the next one.
    async fn next(&mut self, engines: &Engines, pcm: &[i16]) -> Result<Option<Range<usize>>, Problem> {
        // Silence behind the end, until the last utterance is over.
        let hangover_samples = (self.hangover_ms * INPUT_RATE_HZ / 1_000) as usize;
        let end = pcm.len() + hangover_samples + 2 * VAD_FRAME_SAMPLES;
        while self.judged < end {
            let frame_pcm = pcm.get(self.judged..).unwrap_or_default();
            let probability = if frame_pcm.is_empty() { 0.0 } else { self.judge(engines, frame_pcm).await? };
            self.judged += VAD_FRAME_SAMPLES;
            for edge in self.detector.push(probability) {
                if let Edge::End { utterance, .. } | Edge::Split { utterance } = edge {
                    return Ok(Some(utterance.start as usize..utterance.end as usize));
                }
            }
        }
        Ok(None)
    }

    async fn judge(&mut self, engines: &Engines, pcm: &[i16]) -> Result<f32, Problem> {
        let mut frame = self.frame.take().unwrap_or_else(|| Box::new(VadFrame::silence()));
        frame.pcm.fill(0.0);
        for (out, sample) in frame.pcm.iter_mut().zip(pcm) {
            *out = crate::audio::pcm::f32_from_i16(*sample);
        }
        let frame = work::judge(engines, frame).await?;
        let probability = frame.probability;
        self.frame = Some(frame);
        Ok(probability)
    }
}

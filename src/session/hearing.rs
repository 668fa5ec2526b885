//! The microphone's audio → frames for the VAD → the turn machine. One frame is away at a time, so that
//! frames are judged in order, and what waits stays here.

use super::Session;
use crate::engines::workers::Judged;
use crate::engines::{EngineError, INPUT_RATE_HZ, VAD_FRAME_SAMPLES, VadFrame};
use crate::turn::config::TurnDetection;
use crate::turn::io::Input;

/// Audio that waits for the VAD, at most: twice what a client may send in one burst (ten seconds'
/// allowance at `limits.audio_speed`). Beyond it the server is too slow for this client.
const MAX_BACKLOG_S: f32 = 20.0;

impl Session {
    /// More audio of the client.
    pub(super) fn hear(&mut self, pcm: &[i16]) {
        self.microphone.push(pcm);
        self.judge_next_frame();
        let most = MAX_BACKLOG_S * self.config.limits.audio_speed * INPUT_RATE_HZ as f32;
        if self.microphone.backlog() as f32 > most {
            self.fail_session("saturated", "audio comes in faster than the server can judge it");
        }
    }

    /// A commit or a clear is for all audio that came before it: what has not been judged is waited for, and
    /// the part of a frame at its end becomes a whole one.
    pub(super) fn behind_audio(&mut self, input: Input) {
        if self.settings.turn.detection == TurnDetection::Manual {
            self.microphone.fill_frame();
        }
        self.waiting_for_audio = Some(input);
        self.go_on_if_judged();
        self.judge_next_frame();
    }

    fn go_on_if_judged(&mut self) {
        if self.vad.is_some()
            && self.microphone.backlog() < VAD_FRAME_SAMPLES
            && let Some(input) = self.waiting_for_audio.take()
        {
            self.feed(input);
        }
    }

    fn judge_next_frame(&mut self) {
        let Some(mut frame) = self.vad.take() else { return };
        if !self.microphone.next_frame(&mut frame.pcm) {
            self.vad = Some(frame);
        } else if let Err(error) = self.work.judge(frame) {
            self.fail_session("saturated", &error.to_string());
        }
    }

    pub(super) fn on_judged(&mut self, frame: Box<VadFrame>, result: Result<Judged, EngineError>) {
        let probability = frame.probability;
        self.vad = Some(frame);
        match result {
            Ok(Judged::Now) => self.feed(Input::Frame { probability }),
            // The machine's clock waits with it: a frame's number stays its place in the audio.
            Ok(Judged::Later) => {}
            Err(error) => {
                self.fail_session(error.code(), &error.to_string());
                return;
            }
        }
        self.go_on_if_judged();
        self.microphone.forget_before(self.turn.audio_needed_from());
        self.judge_next_frame();
    }
}

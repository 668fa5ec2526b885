//! What keeps Whisper from inventing words: it was trained on subtitles, and where there is nothing to
//! hear it writes what subtitles end with, or the same words again and again.
//!
//! Thresholds are those of OpenAI's `whisper/transcribe.py`, where it has such a guard.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::decode::Decoded;

/// A text that zlib makes smaller than this part is repetitive.
pub const MAX_COMPRESSION_RATIO: f32 = 2.4;
/// Below this the model does not know what it heard.
pub const MIN_MEAN_LOG_PROBABILITY: f32 = -1.0;
/// Above this, and with unlikely words, nobody spoke.
pub const NO_SPEECH_PROBABILITY: f32 = 0.6;

/// Samples of a moment whose loudness is looked at: 30 ms.
const MOMENT_SAMPLES: usize = 480;
/// Root of the mean square of the loudest moment of silence: −70 dB of full scale, below any microphone's
/// noise.
const SILENCE: f32 = 3.2e-4;
/// Tokens that are a loop when they repeat themselves, …
const LOOP_TOKENS: usize = 16;
/// … so often at least, …
const LOOP_TIMES: usize = 4;
/// … with at most so many tokens each time.
const LOOP_PERIOD: usize = 24;
/// More tokens a second than anybody speaks, in a script that has no tokens of its own.
const TOKENS_PER_SECOND: usize = 30;
/// Tokens of a few syllables, whatever their length.
const MIN_TOKENS: usize = 24;
/// Tokens that are no coincidence when they repeat what went before.
const ECHO_TOKENS: usize = 4;

/// Whether there is nothing to hear at all.
pub fn is_silent(samples: &[f32]) -> bool {
    samples.chunks(MOMENT_SAMPLES).all(|moment| {
        let power: f32 = moment.iter().map(|sample| sample * sample).sum();
        power < SILENCE * SILENCE * moment.len() as f32
    })
}

/// Tokens that can be in so much speech.
pub fn max_tokens(samples: usize) -> usize {
    MIN_TOKENS + samples * TOKENS_PER_SECOND / crate::engines::INPUT_RATE_HZ as usize
}

/// Whether the model says that nobody spoke.
pub fn is_no_speech(decoded: &Decoded) -> bool {
    decoded.no_speech > NO_SPEECH_PROBABILITY && decoded.mean_log_probability < MIN_MEAN_LOG_PROBABILITY
}

/// Whether a decoding of this text can be trusted; else another temperature is worth trying.
pub fn is_sound(decoded: &Decoded, text: &str) -> bool {
    !decoded.looped
        && decoded.mean_log_probability >= MIN_MEAN_LOG_PROBABILITY
        && compression_ratio(text) <= MAX_COMPRESSION_RATIO
}

/// How much smaller zlib makes a text: bytes of it by bytes of that.
pub fn compression_ratio(text: &str) -> f32 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail; if it did, nothing would be known against the text.
    match encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()) {
        Ok(compressed) if !compressed.is_empty() => text.len() as f32 / compressed.len() as f32,
        _ => 0.0,
    }
}

/// Whether the last tokens are the same few again and again.
pub fn is_looping(tokens: &[u32]) -> bool {
    loop_period(tokens).is_some()
}

/// A loop's tokens once.
pub fn without_loop(tokens: &[u32]) -> &[u32] {
    let Some(period) = loop_period(tokens) else { return tokens };
    let repeats = tokens.iter().rev().zip(tokens.iter().rev().skip(period));
    let repeated = repeats.take_while(|(later, earlier)| later == earlier).count();
    &tokens[..tokens.len() - repeated]
}

/// Whether the tokens are only words of what went before them (a prompt of names).
pub fn is_echo(tokens: &[u32], previous: &[u32]) -> bool {
    tokens.len() >= ECHO_TOKENS && previous.windows(tokens.len()).any(|words| words == tokens)
}

fn loop_period(tokens: &[u32]) -> Option<usize> {
    (1..=LOOP_PERIOD).find(|period| {
        let len = LOOP_TOKENS.max(LOOP_TIMES * period);
        let Some(from) = tokens.len().checked_sub(len) else { return false };
        let tail = &tokens[from..];
        tail[*period..] == tail[..len - period]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_told_from_words_that_are_said_twice() {
        assert!(!is_looping(&[7; LOOP_TOKENS - 1]));
        assert!(is_looping(&[7; LOOP_TOKENS]));
        let said = [1, 2, 3, 4, 5, 6];
        let three = [&[9][..], &said.repeat(3)].concat();
        assert!(!is_looping(&three) && without_loop(&three) == three);
        let four = [&[9][..], &said.repeat(4)].concat();
        assert!(is_looping(&four));
        assert_eq!(without_loop(&four), [9, 1, 2, 3, 4, 5, 6]);
        let cut = [&[9][..], &said.repeat(4), &[1, 2]].concat();
        assert_eq!(without_loop(&cut), [9, 1, 2, 3, 4, 5, 6], "which of the six comes last does not matter");
    }

    #[test]
    fn silence_is_below_any_microphones_noise() {
        assert!(is_silent(&[]) && is_silent(&[0.0; 1_000]));
        let click = |height: f32| {
            let mut samples = vec![0.0; 16_000];
            samples[9_000] = height;
            samples
        };
        // One step of 16 bits, and a click.
        assert!(is_silent(&click(1.0 / 32_768.0)));
        assert!(!is_silent(&click(0.1)));
        let noise: Vec<f32> = (0..16_000).map(|at| if at % 2 == 0 { 4e-4 } else { -4e-4 }).collect();
        assert!(!is_silent(&noise));
    }

    /// Ratios of Python's zlib, which the thresholds are made for.
    #[test]
    fn repetitive_text_is_compressible() {
        let text = "and so my fellow americans ask not what your country can do for you";
        for (text, expected) in [(text.to_owned(), 67.0 / 64.0), ("thank you. ".repeat(20), 10.0)] {
            let ratio = compression_ratio(&text);
            assert!((ratio / expected - 1.0).abs() < 0.05, "{ratio} for {expected}: {text}");
        }
        assert_eq!(compression_ratio(""), 0.0);
    }

    #[test]
    fn words_of_the_prompt_alone_are_an_echo() {
        let previous = [1, 2, 3, 4, 5, 6];
        assert!(is_echo(&[2, 3, 4, 5], &previous));
        assert!(!is_echo(&[2, 3], &previous), "somebody may well say one of the names");
        assert!(!is_echo(&[2, 3, 4, 5, 7], &previous));
    }
}

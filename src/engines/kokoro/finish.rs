//! What the network made → what is heard: the pause around the speech cut to length, soft edges, even
//! loudness, and the time of each word.

use std::ops::Range;

use super::phrases::Phrase;
use super::speech::Speech;
use crate::engines::{OUTPUT_RATE_HZ, WordTime};

/// What is kept of the pause before the speech …
const LEAD_MS: usize = 40;
/// … behind a sentence …
const SENTENCE_TAIL_MS: usize = 160;
/// … and behind a clause.
const CLAUSE_TAIL_MS: usize = 80;
/// The edges fade in and out over so long: nothing clicks where pieces meet.
const FADE_MS: usize = 5;
/// Speech is louder than this part of the piece's loudest window.
const SPEECH_OF_PEAK: f32 = 0.02;
const WINDOW_MS: usize = 5;
/// Loudness of the windows with speech that pieces are brought nearer to (−22 dB) …
const TARGET_RMS: f32 = 0.08;
/// … by at most this factor: voices and moods may differ.
const MAX_CORRECTION: f32 = 1.4;
/// No sample is louder.
const CEILING: f32 = 0.98;

/// A piece that is ready to be heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// 24 kHz mono.
    pub samples: Vec<f32>,
    /// Empty where the network does not tell durations: who reads them then estimates, and says so.
    pub words: Vec<WordTime>,
}

/// `start`: samples of the pieces before, which word times count from.
pub fn finish(speech: Speech, phrase: &Phrase, samples_per_frame: usize, start: u64) -> Piece {
    let kept = kept(&speech.samples, phrase.ends_sentence);
    let durations = speech.durations.as_deref().unwrap_or_default();
    let words = word_times(durations, phrase, samples_per_frame, &kept, start);
    let mut samples = speech.samples;
    samples.truncate(kept.end);
    samples.drain(..kept.start.min(samples.len()));
    even_out(&mut samples);
    fade(&mut samples);
    Piece { samples, words }
}

fn ms(ms: usize) -> usize {
    ms * OUTPUT_RATE_HZ as usize / 1000
}

fn rms(window: &[f32]) -> f32 {
    (window.iter().map(|sample| sample * sample).sum::<f32>() / window.len().max(1) as f32).sqrt()
}

/// The speech with a little pause around it; nothing if there is none.
fn kept(samples: &[f32], ends_sentence: bool) -> Range<usize> {
    let window = ms(WINDOW_MS);
    let loudness: Vec<f32> = samples.chunks(window).map(rms).collect();
    let peak = loudness.iter().copied().fold(0.0, f32::max);
    let is_speech = |loudness: &f32| *loudness > peak * SPEECH_OF_PEAK;
    let (Some(first), Some(last)) =
        (loudness.iter().position(is_speech), loudness.iter().rposition(is_speech))
    else {
        return 0..0;
    };
    let tail = ms(if ends_sentence { SENTENCE_TAIL_MS } else { CLAUSE_TAIL_MS });
    (first * window).saturating_sub(ms(LEAD_MS))..((last + 1) * window + tail).min(samples.len())
}

/// The word has been said when its last phoneme has.
fn word_times(
    durations: &[u32],
    phrase: &Phrase,
    samples_per_frame: usize,
    kept: &Range<usize>,
    start: u64,
) -> Vec<WordTime> {
    // A start and an end stand around the phonemes.
    if durations.len() != phrase.ids.len() + 2 {
        return vec![];
    }
    let mut ends = Vec::with_capacity(durations.len());
    let mut samples = 0;
    for frames in durations {
        samples += *frames as usize * samples_per_frame;
        ends.push(samples);
    }
    let mut latest = 0;
    let word_time = |(source, ids): &(Range<usize>, Range<usize>)| {
        // ends[i] is the end of id i − 1.
        let end = ends.get(ids.end).copied().unwrap_or(samples);
        latest = end.clamp(kept.start, kept.end).saturating_sub(kept.start).max(latest);
        WordTime { text: source.clone(), end_sample: start + latest as u64 }
    };
    phrase.words.iter().map(word_time).collect()
}

fn even_out(samples: &mut [f32]) {
    samples.iter_mut().filter(|sample| !sample.is_finite()).for_each(|sample| *sample = 0.0);
    let loudness: Vec<f32> = samples.chunks(ms(WINDOW_MS)).map(rms).collect();
    let peak_window = loudness.iter().copied().fold(0.0, f32::max);
    let speech: Vec<f32> = loudness.into_iter().filter(|loudness| *loudness > peak_window * 0.1).collect();
    let level = rms(&speech);
    if level <= 0.0 {
        return;
    }
    let gain = (TARGET_RMS / level).clamp(1.0 / MAX_CORRECTION, MAX_CORRECTION);
    let peak = samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
    let gain = gain.min(CEILING / peak.max(f32::MIN_POSITIVE));
    samples.iter_mut().for_each(|sample| *sample *= gain);
}

fn fade(samples: &mut [f32]) {
    let length = ms(FADE_MS).min(samples.len() / 2);
    let count = samples.len();
    for at in 0..length {
        let gain = at as f32 / length as f32;
        samples[at] *= gain;
        samples[count - 1 - at] *= gain;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: usize = 600;

    /// 0.5 s of silence, 1 s of a tone, 0.5 s of silence.
    fn speech(amplitude: f32) -> Speech {
        let tone = |at: usize| {
            if (12_000..36_000).contains(&at) { (at as f32 * 0.3).sin() * amplitude } else { 0.0 }
        };
        // Start, five phonemes of which the third is a space, end: 80 frames.
        Speech { samples: (0..48_000).map(tone).collect(), durations: Some(vec![20, 10, 10, 2, 10, 8, 20]) }
    }

    fn phrase(ends_sentence: bool) -> Phrase {
        Phrase {
            ids: vec![1; 5],
            words: vec![(0..2, 0..2), (3..5, 3..5)],
            phonemes: "ab cd".to_owned(),
            ends_sentence,
        }
    }

    #[test]
    fn pauses_are_cut_and_edges_are_soft() {
        let piece = finish(speech(0.1), &phrase(true), FRAME, 0);
        assert_eq!(piece.samples.len(), 24_000 + ms(LEAD_MS) + ms(SENTENCE_TAIL_MS));
        assert_eq!(piece.samples[0], 0.0);
        assert_eq!(piece.samples.last(), Some(&0.0));
        let shorter = finish(speech(0.1), &phrase(false), FRAME, 0);
        assert_eq!(piece.samples.len() - shorter.samples.len(), ms(SENTENCE_TAIL_MS - CLAUSE_TAIL_MS));
        let mut loud_to_the_edge = Speech { samples: vec![0.5; 4_800], durations: None };
        loud_to_the_edge.samples[100] = f32::NAN;
        let piece = finish(loud_to_the_edge, &phrase(true), FRAME, 0);
        assert!(piece.samples.iter().all(|sample| sample.is_finite()));
        assert!(piece.samples.windows(2).skip(200).all(|pair| (pair[0] - pair[1]).abs() < 0.02), "a click");
    }

    #[test]
    fn words_end_with_their_last_phoneme() {
        let piece = finish(speech(0.1), &phrase(true), FRAME, 1_000);
        let cut = 12_000 - ms(LEAD_MS) as u64;
        let frame = FRAME as u64;
        let expected = [(0..2, 1_000 + 40 * frame - cut), (3..5, 1_000 + 60 * frame - cut)];
        let found: Vec<_> = piece.words.iter().map(|word| (word.text.clone(), word.end_sample)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn without_durations_there_are_no_word_times() {
        let none = Speech { durations: None, ..speech(0.1) };
        assert_eq!(finish(none, &phrase(true), FRAME, 0).words, []);
        let wrong = Speech { durations: Some(vec![1; 3]), ..speech(0.1) };
        assert_eq!(finish(wrong, &phrase(true), FRAME, 0).words, []);
    }

    #[test]
    fn loudness_is_brought_nearer_and_never_clips() {
        let level = |amplitude: f32| {
            let piece = finish(speech(amplitude), &phrase(true), FRAME, 0);
            piece.samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()))
        };
        assert!((level(0.1) - level(0.13)).abs() < 0.005, "{} and {}", level(0.1), level(0.13));
        assert!(level(5.0) <= CEILING + 1e-6);
        let silence = Speech { samples: vec![0.0; 4_800], durations: None };
        assert!(finish(silence, &phrase(true), FRAME, 0).samples.is_empty());
    }
}

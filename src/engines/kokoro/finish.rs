//! What the network made → what is heard: the pause around the speech cut to length, soft edges, even
//! loudness, and the time of each word.

use std::collections::VecDeque;
use std::ops::Range;

use super::phrases::Phrase;
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

/// Finishes the parts of one piece, in order. What the first part decides (where the speech begins, how loud
/// it is made) holds for the others.
pub struct Finisher<'p> {
    phrase: &'p Phrase,
    /// The words that were not given yet, and where each ends in what the network makes.
    words: VecDeque<(Range<usize>, usize)>,
    /// Samples of the network that came, and those of them that were cut off in front.
    seen: usize,
    cut: usize,
    /// Samples that were given of the pieces before, and of this one.
    start: u64,
    given: u64,
    /// The loudest window so far.
    peak: f32,
    gain: Option<f32>,
}

impl<'p> Finisher<'p> {
    /// `durations`: frames of each id, where the network tells. `skipped`: samples that were not made in front.
    /// `start`: samples of the pieces before, which word times count from.
    pub fn new(
        phrase: &'p Phrase,
        durations: Option<&[u32]>,
        samples_per_frame: usize,
        skipped: usize,
        start: u64,
    ) -> Finisher<'p> {
        let words = word_ends(durations.unwrap_or_default(), phrase, samples_per_frame);
        Finisher { phrase, words, seen: skipped, cut: skipped, start, given: 0, peak: 0.0, gain: None }
    }

    /// The next part. Words are given with the part that they end in.
    pub fn part(&mut self, mut samples: Vec<f32>, is_last: bool) -> Piece {
        samples.iter_mut().filter(|sample| !sample.is_finite()).for_each(|sample| *sample = 0.0);
        let is_first = self.gain.is_none();
        let speech = self.speech(&samples);
        let start = match &speech {
            Some(speech) if is_first => speech.start.saturating_sub(ms(LEAD_MS)),
            None if is_first => samples.len(),
            _ => 0,
        };
        let tail = ms(if self.phrase.ends_sentence { SENTENCE_TAIL_MS } else { CLAUSE_TAIL_MS });
        let spoken = speech.map_or(start, |speech| speech.end);
        let end = if is_last { (spoken + tail).min(samples.len()) } else { samples.len() };
        self.seen += samples.len();
        if is_first {
            self.cut += start;
        }
        samples.truncate(end);
        samples.drain(..start.min(end));
        if !samples.is_empty() {
            let gain = *self.gain.get_or_insert_with(|| gain(&samples));
            samples.iter_mut().for_each(|sample| *sample = (*sample * gain).clamp(-CEILING, CEILING));
            fade(&mut samples, is_first, is_last);
        }
        self.given += samples.len() as u64;
        Piece { samples, words: self.said(is_last) }
    }

    /// From the first to the last window with speech.
    fn speech(&mut self, samples: &[f32]) -> Option<Range<usize>> {
        let window = ms(WINDOW_MS);
        let loudness: Vec<f32> = samples.chunks(window).map(rms).collect();
        self.peak = loudness.iter().copied().fold(self.peak, f32::max);
        let is_speech = |loudness: &f32| *loudness > self.peak * SPEECH_OF_PEAK;
        let (first, last) = (loudness.iter().position(is_speech)?, loudness.iter().rposition(is_speech)?);
        Some(first * window..((last + 1) * window).min(samples.len()))
    }

    /// The words that have been said by now.
    fn said(&mut self, is_last: bool) -> Vec<WordTime> {
        let count = self.words.iter().take_while(|(_, end)| is_last || *end <= self.seen).count();
        let time = |(text, end): (Range<usize>, usize)| {
            let end = (end.saturating_sub(self.cut) as u64).min(self.given);
            WordTime { text, end_sample: self.start + end }
        };
        self.words.drain(..count).map(time).collect()
    }
}

fn ms(ms: usize) -> usize {
    ms * OUTPUT_RATE_HZ as usize / 1000
}

fn rms(window: &[f32]) -> f32 {
    (window.iter().map(|sample| sample * sample).sum::<f32>() / window.len().max(1) as f32).sqrt()
}

/// A word has been said when its last phoneme has.
fn word_ends(
    durations: &[u32],
    phrase: &Phrase,
    samples_per_frame: usize,
) -> VecDeque<(Range<usize>, usize)> {
    // A start and an end stand around the phonemes.
    if durations.len() != phrase.ids.len() + 2 {
        return VecDeque::new();
    }
    let mut samples = 0;
    let end = |frames: &u32| {
        samples += *frames as usize * samples_per_frame;
        samples
    };
    let ends: Vec<usize> = durations.iter().map(end).collect();
    // ends[i] is the end of id i − 1.
    let word = |(text, ids): &(Range<usize>, Range<usize>)| {
        (text.clone(), ends.get(ids.end).copied().unwrap_or_default())
    };
    phrase.words.iter().map(word).collect()
}

/// What brings these samples nearer to the usual loudness.
fn gain(samples: &[f32]) -> f32 {
    let loudness: Vec<f32> = samples.chunks(ms(WINDOW_MS)).map(rms).collect();
    let peak_window = loudness.iter().copied().fold(0.0, f32::max);
    let speech: Vec<f32> = loudness.into_iter().filter(|loudness| *loudness > peak_window * 0.1).collect();
    let level = rms(&speech);
    if level <= 0.0 {
        return 1.0;
    }
    let gain = (TARGET_RMS / level).clamp(1.0 / MAX_CORRECTION, MAX_CORRECTION);
    let peak = samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
    gain.min(CEILING / peak.max(f32::MIN_POSITIVE))
}

fn fade(samples: &mut [f32], begins: bool, ends: bool) {
    let length = ms(FADE_MS).min(samples.len() / 2);
    let count = samples.len();
    for at in 0..length {
        let gain = at as f32 / length as f32;
        if begins {
            samples[at] *= gain;
        }
        if ends {
            samples[count - 1 - at] *= gain;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::kokoro::speech::Speech;

    /// The whole as one part.
    fn finish(speech: Speech, phrase: &Phrase, samples_per_frame: usize, start: u64) -> Piece {
        let durations = speech.durations.as_deref();
        Finisher::new(phrase, durations, samples_per_frame, 0, start).part(speech.samples, true)
    }

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

    /// Parts that begin in the pause, in a word and behind it.
    #[test]
    fn parts_are_cut_and_timed_as_the_whole_is() {
        let (whole, phrase) = (speech(0.1), phrase(true));
        let expected = finish(whole.clone(), &phrase, FRAME, 1_000);
        let mut finisher = Finisher::new(&phrase, whole.durations.as_deref(), FRAME, 0, 1_000);
        let (mut samples, mut words, mut given_with) = (vec![], vec![], vec![]);
        for (at, part) in [0..6_000, 6_000..20_000, 20_000..30_000, 30_000..48_000].into_iter().enumerate() {
            let piece = finisher.part(whole.samples[part].to_vec(), at == 3);
            samples.extend(piece.samples);
            given_with.extend(piece.words.iter().map(|_| at));
            words.extend(piece.words);
            assert!(words.iter().all(|word| word.end_sample <= 1_000 + samples.len() as u64));
        }
        assert_eq!(words, expected.words);
        assert_eq!(given_with, [2, 3], "each word with the part that it ends in");
        assert_eq!(samples.len(), expected.samples.len());
        let loudest = |samples: &[f32]| samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        assert!((loudest(&samples) - loudest(&expected.samples)).abs() < 0.01);
        let step =
            |samples: &[f32]| samples.windows(2).map(|pair| (pair[0] - pair[1]).abs()).fold(0.0, f32::max);
        assert!(step(&samples) < step(&expected.samples) + 0.005, "a click");
        // What the network was not asked to make counts as well.
        let mut later = Finisher::new(&phrase, whole.durations.as_deref(), FRAME, 6_000, 1_000);
        assert_eq!(later.part(whole.samples[6_000..].to_vec(), true).words, expected.words);
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

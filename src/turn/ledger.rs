//! The ledger: which words of a reply lie at which of its output samples, so that after an
//! interruption the history holds what was heard.

use std::ops::Range;

use super::io::{SegmentId, WordTime};
use super::segmenter::Segment;

/// Speech of a segment whose length is not known yet is taken to need so many samples per character
/// (24 kHz; about 15 characters per second).
const SAMPLES_PER_CHAR: u64 = 1_600;

/// The ledger of one reply. Samples are output samples (24 kHz) since the reply's start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    id: SegmentId,
    /// Bytes of the reply's own text; empty: it is no part of the text, and heard without a trace.
    source: Range<usize>,
    /// Words in order: bytes in the spoken text, how far the source is covered, when it was said.
    words: Vec<(Range<usize>, usize, Option<u64>)>,
    start: u64,
    samples: u64,
    speech: Speech,
}

/// How much of a segment's speech there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    /// More may come.
    Open,
    /// All of it.
    Complete,
    /// Only its beginning: synthesis failed.
    Torn,
}

/// A part of a segment's samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Which segment.
    pub segment: SegmentId,
    /// Its samples in the reply.
    pub range: Range<u64>,
    /// Bytes of the reply's own text that the whole segment stands for.
    pub source: Range<usize>,
    /// These are the last samples of the segment: no more will come.
    pub ends_segment: bool,
}

/// How much of a reply's text has been heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeardThrough {
    /// Bytes of the reply's own text.
    pub bytes: usize,
    /// The cut lies within a segment whose engine does not time words.
    pub estimated: bool,
}

impl Ledger {
    /// The speech of `segment` begins where the one before ended.
    pub fn open(&mut self, segment: &Segment) {
        let start = self.samples();
        self.entries.push(Entry {
            id: segment.id,
            source: segment.source.clone(),
            words: segment.words.iter().map(|w| (w.spoken.clone(), w.source_end, None)).collect(),
            start,
            samples: 0,
            speech: Speech::Open,
        });
    }

    /// More speech of the open segment. Word times count from the segment's start.
    pub fn speech(&mut self, samples: u64, times: &[WordTime]) {
        let Some(entry) = self.entries.last_mut() else { return };
        entry.samples += samples;
        for time in times {
            // An engine may cut words finer than we do: a word is heard with its last part.
            let word = entry
                .words
                .iter_mut()
                .find(|(spoken, _, _)| spoken.start < time.text.end && time.text.start < spoken.end);
            if let Some((_, _, end)) = word {
                *end = Some(end.unwrap_or(0).max(time.end_sample));
            }
        }
    }

    /// The open segment's speech is complete.
    pub fn close(&mut self) {
        self.end_open(Speech::Complete);
    }

    /// No more speech comes of the open segment, if there is one: its text will not be heard to its
    /// end.
    pub fn tear(&mut self) {
        self.end_open(Speech::Torn);
    }

    fn end_open(&mut self, how: Speech) {
        if let Some(entry) = self.entries.last_mut().filter(|entry| entry.speech == Speech::Open) {
            entry.speech = how;
        }
    }

    /// Samples of the reply so far.
    pub fn samples(&self) -> u64 {
        self.entries.last().map_or(0, |e| e.start + e.samples)
    }

    /// Where the speech of the newest segment begins.
    pub fn last_start(&self) -> u64 {
        self.entries.last().map_or(0, |e| e.start)
    }

    /// The samples that follow `from`, at most `max` of them, all of one segment.
    pub fn piece(&self, from: u64, max: u64) -> Option<Piece> {
        let index = self.entries.partition_point(|e| e.start + e.samples <= from);
        let entry = self.entries.get(index)?;
        let end = entry.start + entry.samples;
        let to = end.min(from + max);
        Some(Piece {
            segment: entry.id,
            range: from..to,
            source: entry.source.clone(),
            ends_segment: entry.speech != Speech::Open && to == end,
        })
    }

    /// What has been heard when the samples before `through` have been.
    pub fn heard(&self, text: &str, through: u64) -> HeardThrough {
        let mut heard = HeardThrough::default();
        if through == 0 {
            return heard; // not even a segment without a sound
        }
        for entry in &self.entries {
            let played = through.saturating_sub(entry.start).min(entry.samples);
            if entry.speech == Speech::Complete && played == entry.samples {
                heard.bytes = entry.source.end;
                continue;
            }
            if played > 0 && !entry.source.is_empty() {
                heard = entry.heard_part(text, played, heard.bytes);
            }
            break;
        }
        heard
    }
}

impl Entry {
    fn heard_part(&self, text: &str, played: u64, before: usize) -> HeardThrough {
        if self.words.iter().any(|(_, _, end)| end.is_some()) {
            let timed = self.words.iter().filter_map(|(_, source, end)| end.map(|end| (*source, end)));
            let bytes = timed.take_while(|(_, end)| *end <= played).map(|(source, _)| source).last();
            return HeardThrough { bytes: bytes.unwrap_or(before), estimated: false };
        }
        let source = &text[self.source.clone()];
        let chars = source.chars().count() as u64;
        let total = match self.speech {
            Speech::Complete => self.samples,
            Speech::Open | Speech::Torn => self.samples.max(chars * SAMPLES_PER_CHAR),
        };
        let (mut said, mut bytes) = (0, before);
        for word in source.split_inclusive(char::is_whitespace) {
            said += word.chars().count() as u64;
            if said * total > played * chars {
                break;
            }
            bytes += word.len();
        }
        HeardThrough { bytes: bytes.max(before), estimated: true }
    }
}

#[cfg(test)]
mod tests {
    use super::super::segmenter::SpokenWord;
    use super::*;

    const TEXT: &str = "One two. Three four.";

    fn segment(id: u64, source: Range<usize>) -> Segment {
        let spoken = TEXT[source.clone()].trim().to_owned();
        let offset = source.start + TEXT[source.clone()].find(&spoken).unwrap();
        let mut words = Vec::new();
        let mut at = 0;
        for word in spoken.split(' ') {
            words.push(SpokenWord { spoken: at..at + word.len(), source_end: offset + at + word.len() });
            at += word.len() + 1;
        }
        words.last_mut().unwrap().source_end = source.end;
        Segment { id: SegmentId(id), source, spoken, words }
    }

    fn word(text: Range<usize>, end_sample: u64) -> WordTime {
        WordTime { text, end_sample }
    }

    fn heard(ledger: &Ledger, through: u64) -> (&'static str, bool) {
        let heard = ledger.heard(TEXT, through);
        (TEXT[..heard.bytes].trim_end(), heard.estimated)
    }

    #[test]
    fn a_word_is_heard_when_its_last_sample_is() {
        let mut ledger = Ledger::default();
        ledger.open(&segment(0, 0..9));
        ledger.speech(1_000, &[word(0..3, 400), word(4..7, 900)]);
        ledger.close();
        ledger.open(&segment(1, 9..20));
        ledger.speech(1_000, &[word(0..5, 500), word(6..10, 950)]);
        ledger.close();
        assert_eq!(heard(&ledger, 399), ("", false));
        assert_eq!(heard(&ledger, 400), ("One", false));
        assert_eq!(heard(&ledger, 900), ("One two.", false));
        assert_eq!(heard(&ledger, 1_499), ("One two.", false));
        assert_eq!(heard(&ledger, 1_500), ("One two. Three", false));
        assert_eq!(heard(&ledger, 1_950), ("One two. Three four.", false));
    }

    #[test]
    fn a_word_in_parts_is_heard_with_its_last_part() {
        let mut ledger = Ledger::default();
        ledger.open(&segment(0, 0..9));
        ledger.speech(1_000, &[word(0..1, 100), word(1..3, 400), word(4..8, 900)]);
        assert_eq!(heard(&ledger, 399), ("", false));
        assert_eq!(heard(&ledger, 400), ("One", false));
    }

    #[test]
    fn without_times_the_cut_is_an_estimate_between_words_and_says_so() {
        let mut ledger = Ledger::default();
        ledger.open(&segment(0, 0..9));
        ledger.speech(900, &[]);
        ledger.close();
        ledger.open(&segment(1, 9..20));
        ledger.speech(1_100, &[]);
        assert_eq!(heard(&ledger, 399), ("", true));
        assert_eq!(heard(&ledger, 400), ("One", true));
        assert_eq!(heard(&ledger, 900), ("One two.", false));
        // The second segment's length is not known yet: it is taken from the usual rate of speech.
        assert_eq!(heard(&ledger, 2_000), ("One two.", true));
        ledger.close();
        assert_eq!(heard(&ledger, 1_500), ("One two. Three", true));
        assert_eq!(heard(&ledger, 2_000), ("One two. Three four.", false));
    }

    #[test]
    fn pieces_never_cross_segments() {
        let mut ledger = Ledger::default();
        ledger.open(&segment(0, 0..9));
        ledger.speech(1_000, &[]);
        assert!(!ledger.piece(960, 960).unwrap().ends_segment);
        ledger.close();
        ledger.open(&segment(1, 9..20));
        ledger.speech(500, &[]);
        let piece = ledger.piece(960, 960).unwrap();
        assert_eq!((piece.range, piece.segment, piece.ends_segment), (960..1_000, SegmentId(0), true));
        assert_eq!(ledger.piece(1_000, 960).unwrap().range, 1_000..1_500);
        assert_eq!(ledger.piece(1_500, 960), None);
    }
}

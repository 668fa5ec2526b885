//! The reply as it streams → segments for the TTS.
//!
//! A segment is a sentence, an item of a list, a heading; of the first one a clause is enough, so
//! that speech starts early. What is said of the text is [`speakable`](super::speakable)'s matter,
//! where it may be divided `boundary`'s; here is decided where it is.
//!
//! The pieces in which the text arrived change nothing: every decision is a function of the text up
//! to the first character of the next segment. For that reason short sentences are not merged, which
//! would have to depend on what is already there, or wait.

mod boundary;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;

use super::io::SegmentId;
use super::speakable::{CODE_BLOCK_NOTE, Glyph, Speakable};
use boundary::Joint;

/// A shorter clause is no first segment, unless the first segment grows too long without it.
/// In columns: characters that are two columns wide count twice.
const MIN_CLAUSE_COLUMNS: usize = 8;

/// One word of a segment's spoken text, and how much of the reply's own text has been said with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpokenWord {
    /// Bytes in [`Segment::spoken`].
    pub spoken: Range<usize>,
    /// Byte offset in the whole reply: everything up to here is covered once this word has been said.
    pub source_end: usize,
}

/// A stretch of the reply that the TTS gets in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Counts up from 0 in a reply.
    pub id: SegmentId,
    /// Bytes of the reply's own text. Each segment starts where the one before ended; the last one
    /// reaches the end of the text.
    pub source: Range<usize>,
    /// What the TTS gets. Empty: nothing speakable (only ever what remains at the reply's end).
    pub spoken: String,
    /// The whitespace-separated words of `spoken`, in order. `source_end` never decreases; the last
    /// one's is the end of `source`.
    pub words: Vec<SpokenWord>,
}

/// See the module's text. [`push`](Self::push) pieces, drain [`next_segment`](Self::next_segment).
#[derive(Debug, Clone)]
pub struct Segmenter {
    first_segment_chars: usize,
    max_segment_chars: usize,
    text: String,
    speakable: Speakable,
    /// What is to be said from `source_start` on, as far as it is known.
    glyphs: Vec<Glyph>,
    /// Glyphs of the open segment that were looked at: none of the joints between them ends it.
    looked_at: usize,
    /// The last place for a division of each kind among those.
    candidates: Candidates,
    /// Where the open segment starts in `text`.
    source_start: usize,
    next_id: u64,
    spoke: bool,
    ready: VecDeque<Segment>,
}

/// Glyph indices; 0: there is none.
#[derive(Debug, Clone, Copy, Default)]
struct Candidates {
    clause: usize,
    words: usize,
    bound: usize,
}

impl Segmenter {
    /// Lengths are in characters of the spoken text. The first segment ends within
    /// `first_segment_chars` if there is a clause's or sentence's end; none is longer than
    /// `max_segment_chars` (at least the length of [`CODE_BLOCK_NOTE`], which is never divided).
    pub fn new(first_segment_chars: usize, max_segment_chars: usize) -> Self {
        Segmenter {
            first_segment_chars,
            max_segment_chars: max_segment_chars.max(CODE_BLOCK_NOTE.len()),
            text: String::new(),
            speakable: Speakable::default(),
            glyphs: vec![],
            looked_at: 0,
            candidates: Candidates::default(),
            source_start: 0,
            next_id: 0,
            spoke: false,
            ready: VecDeque::new(),
        }
    }

    /// Appends a piece of the reply: any length, whole characters. Behind [`finish`](Self::finish) it
    /// opens the reply again, on a new line.
    pub fn push(&mut self, piece: &str) {
        self.text.push_str(piece);
        self.speakable.scan(&self.text, &mut self.glyphs);
        self.divide();
    }

    /// The reply ends here: what remains becomes segments.
    pub fn finish(&mut self) {
        self.speakable.finish(&self.text, &mut self.glyphs);
        self.divide();
        let end = self.text.len();
        if self.source_start == end {
            self.glyphs.clear();
        } else {
            self.cut(self.glyphs.len(), end);
            self.glyphs.clear();
        }
        self.looked_at = 0;
        self.candidates = Candidates::default();
    }

    /// The next complete segment.
    pub fn next_segment(&mut self) -> Option<Segment> {
        self.ready.pop_front()
    }

    /// A segment to be said here that is no part of the reply's text. Only where all text has been cut:
    /// behind [`finish`](Self::finish).
    pub fn aside(&mut self, spoken: &str) -> Segment {
        let here = self.source_start;
        let id = SegmentId(self.next_id);
        self.next_id += 1;
        Segment { id, source: here..here, spoken: spoken.to_owned(), words: vec![] }
    }

    /// The whole reply so far, in its own words.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Cuts off every segment that is complete.
    fn divide(&mut self) {
        while self.looked_at < self.glyphs.len() {
            let at = self.looked_at;
            match self.glyphs[at].ch {
                ' ' => self.looked_at += 1,
                '\n' => self.cut_before_rest(at + 1),
                _ => match self.division(at) {
                    Some(division) => self.cut_before_rest(division),
                    None => self.looked_at += 1,
                },
            }
        }
    }

    /// Looks at the joint before glyph `at`: where the open segment ends, if that is decided now.
    fn division(&mut self, at: usize) -> Option<usize> {
        let said = &self.glyphs[..at];
        match boundary::joint(&self.glyphs, at) {
            Joint::Sentences if has_sentence(said) => return Some(at),
            Joint::Sentences | Joint::Bound => self.candidates.bound = at,
            Joint::Clauses if has_word(said) => {
                if !self.spoke && is_long_clause(said) {
                    return Some(at);
                }
                self.candidates.clause = at;
            }
            Joint::Clauses | Joint::Words => self.candidates.words = at,
            Joint::Within => {}
        }
        let Candidates { clause, words, bound } = self.candidates;
        if !self.spoke && clause > 0 && at >= self.first_segment_chars {
            return Some(clause);
        }
        if at < self.max_segment_chars {
            return None;
        }
        let best = if clause >= self.max_segment_chars / 4 { clause } else { words.max(clause) };
        Some(match (best, bound) {
            (0, 0) => self.within_word(at),
            (0, bound) => bound,
            (best, _) => best,
        })
    }

    /// A word longer than a whole segment is divided where no combining mark is torn off.
    fn within_word(&self, at: usize) -> usize {
        use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};
        let joined = |i: usize| {
            self.glyphs[i].ch.general_category_group() == GeneralCategoryGroup::Mark
                || [i - 1, i].iter().any(|&i| matches!(self.glyphs[i].ch, '\u{200c}' | '\u{200d}'))
        };
        (1..=at).rev().find(|&i| !joined(i)).unwrap_or(at)
    }

    /// The first `count` glyphs become a segment.
    fn cut_before_rest(&mut self, count: usize) {
        // Without a word there is nothing to say: its text goes with the next segment.
        if has_word(&self.glyphs[..count]) {
            let last = &self.glyphs[count - 1];
            self.cut(count, last.source.end);
        }
        self.glyphs.drain(..count);
        self.looked_at = 0;
        self.candidates = Candidates::default();
    }

    fn cut(&mut self, count: usize, source_end: usize) {
        let said = &self.glyphs[..count];
        let said = if has_word(said) { said } else { &[] };
        let source = self.source_start..source_end;
        let (spoken, words) = words(said, source_end);
        self.spoke |= !spoken.is_empty();
        self.ready.push_back(Segment { id: SegmentId(self.next_id), source, spoken, words });
        self.next_id += 1;
        self.source_start = source_end;
    }
}

/// The text of `glyphs` and its words, of which the last one reaches `source_end`.
fn words(glyphs: &[Glyph], source_end: usize) -> (String, Vec<SpokenWord>) {
    let mut spoken = String::with_capacity(glyphs.len());
    let mut words: Vec<SpokenWord> = vec![];
    for word in glyphs.split(|g| matches!(g.ch, ' ' | '\n')).filter(|word| !word.is_empty()) {
        if !spoken.is_empty() {
            spoken.push(' ');
        }
        let start = spoken.len();
        spoken.extend(word.iter().map(|g| g.ch));
        let covered = word.iter().map(|g| g.source.end).max().unwrap_or(source_end);
        words.push(SpokenWord { spoken: start..spoken.len(), source_end: covered });
    }
    if let Some(last) = words.last_mut() {
        last.source_end = source_end;
    }
    (spoken, words)
}

fn has_word(glyphs: &[Glyph]) -> bool {
    glyphs.iter().any(|g| g.ch.is_alphanumeric())
}

/// More than a number: `1.` is no sentence.
fn has_sentence(glyphs: &[Glyph]) -> bool {
    glyphs.iter().any(|g| g.ch.is_alphabetic())
}

/// Long enough to be heard on its own: two words, or a few characters of a script without blanks.
fn is_long_clause(glyphs: &[Glyph]) -> bool {
    let columns: usize = glyphs.iter().map(|g| if boundary::is_wide(g.ch) { 2 } else { 1 }).sum();
    let several_words = glyphs.split(|g| g.ch == ' ').filter(|word| has_word(word)).count() >= 2;
    columns >= MIN_CLAUSE_COLUMNS && (several_words || glyphs.iter().any(|g| boundary::is_wide(g.ch)))
}

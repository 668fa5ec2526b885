//! GRAPHEMES → PHONEMES: what the voices of Kokoro are told to say.
//!
//! ```text
//! text ─▶ spoken (times, dates, units, addresses as words) ─▶ tokens ─▶ tagger ─▶ pronounce, number ─▶ phonemes
//!                                                                        └ unknown word ─▶ espeak | letters
//! ```
//!
//! English follows misaki, on whose output the voices were trained, with its lexicons; other languages
//! are espeak-ng's phonemes in the same alphabet. Everything keeps the bytes of the text that it stands
//! for, because word times are told in them.
//!
//! Deliberately absent: Japanese and Chinese, whose voices were trained on phonemes that espeak-ng does
//! not give.

pub mod english;
pub mod espeak;
pub mod letters;
pub mod lexicon;
pub mod number;
pub mod other;
pub mod pronounce;
pub mod spoken;
pub mod stress;
pub mod subtokens;
pub mod tagger;
pub mod tokens;

#[cfg(test)]
#[allow(clippy::print_stderr)]
mod tests;

use std::ops::Range;

/// A run of non-spaces of the text, and what is said for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// Bytes of the given text.
    pub source: Range<usize>,
    /// Phonemes and marks; may be empty (a lone sign).
    pub phonemes: String,
}

/// Something that pronounces one language.
pub enum G2p {
    /// American or British English.
    English(english::English),
    /// Another language.
    Other(other::Other),
}

impl G2p {
    /// The phonemes of a text, by its runs of non-spaces.
    ///
    /// # Errors
    /// Of languages other than English, when espeak-ng gives no answer.
    pub fn phonemes(&mut self, text: &str) -> Result<Vec<Spoken>, espeak::EspeakError> {
        match self {
            G2p::English(english) => {
                let chunks = spoken::chunks(text);
                let phonemes = english.phonemes(&chunks);
                let spoken =
                    |(chunk, phonemes): (spoken::Chunk, String)| Spoken { source: chunk.source, phonemes };
                Ok(chunks.into_iter().zip(phonemes).map(spoken).collect())
            }
            G2p::Other(other) => other.phonemes(text),
        }
    }
}

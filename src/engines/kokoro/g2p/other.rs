//! Languages other than English, by espeak-ng.
//!
//! A clause is asked for at once, since neighbours change sounds; where its answer has as many words as
//! it, they are told apart, else the clause is one piece. Reference: `EspeakG2P` of misaki 0.9.4.

use super::Spoken;
use super::espeak::{self, Espeak, EspeakError};
use super::stress::PAUSES;

/// One language.
pub struct Other {
    espeak: Espeak,
}

impl Other {
    /// By this espeak-ng.
    pub fn new(espeak: Espeak) -> Other {
        Other { espeak }
    }

    /// As [`super::G2p::phonemes`].
    pub fn phonemes(&mut self, text: &str) -> Result<Vec<Spoken>, EspeakError> {
        let mut spoken = vec![];
        let mut clause: Vec<Spoken> = vec![];
        let mut rest = 0;
        for run in text.split_whitespace() {
            let start = rest + text[rest..].find(run).unwrap_or(0);
            rest = start + run.len();
            let core = run.trim_end_matches(|c| PAUSES.contains(c) || ")\"”»".contains(c));
            let mark: String = run[core.len()..].chars().filter(|c| PAUSES.contains(*c)).collect();
            let ends = !mark.is_empty();
            clause.push(Spoken { source: start..rest, phonemes: core.to_owned() });
            if ends {
                self.say(&mut clause, &mark)?;
                spoken.append(&mut clause);
            }
        }
        self.say(&mut clause, "")?;
        spoken.append(&mut clause);
        Ok(spoken)
    }

    /// `clause` holds words, and phonemes afterwards.
    fn say(&mut self, clause: &mut Vec<Spoken>, mark: &str) -> Result<(), EspeakError> {
        if clause.is_empty() {
            return Ok(());
        }
        let words: Vec<&str> = clause.iter().map(|word| word.phonemes.as_str()).collect();
        let ipa = self.espeak.ipa(&words.join(" "))?;
        let phonemes = espeak::other(&ipa);
        let said: Vec<&str> = phonemes.split_whitespace().collect();
        if said.len() == clause.len() {
            for (word, said) in clause.iter_mut().zip(&said) {
                word.phonemes = (*said).to_owned();
            }
        } else {
            let range = clause[0].source.start..clause[clause.len() - 1].source.end;
            *clause = vec![Spoken { source: range, phonemes: said.join(" ") }];
        }
        if let Some(last) = clause.last_mut() {
            last.phonemes.push_str(mark);
        }
        Ok(())
    }
}

//! espeak-ng as a separate process that is kept warm: text goes in line by line, phonemes come back.
//!
//! espeak-ng is under the GPL and is never linked. One process per voice answers in well under a
//! millisecond; a hung or dead one is ended and started anew at the next question. How many lines an
//! answer has is not known beforehand (one for each clause), so each question is followed by a word whose
//! answer is known, and what comes before that is the answer.
//!
//! Reference for the mapping to misaki's alphabet: `misaki/espeak.py` of misaki 0.9.4.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::lexicon::Dialect;

/// What is run.
const PROGRAM: &str = "espeak-ng";
/// A word that no text ends with, to end an answer.
const MARK: &str = "zqxmark";
/// An answer may take so long; then the process is ended.
const PATIENCE: Duration = Duration::from_secs(2);
/// Lines of an answer that wait to be read.
const LINES: usize = 256;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum EspeakError {
    /// It cannot be started.
    #[error("cannot run espeak-ng: {0}; install the package espeak-ng")]
    Absent(std::io::Error),
    /// It has ended, or does not answer.
    #[error("espeak-ng (voice {voice}) gave no answer: {reason}")]
    Silent {
        /// Its voice.
        voice: String,
        /// Why not.
        reason: &'static str,
    },
}

/// One voice of espeak-ng.
pub struct Espeak {
    voice: String,
    process: Option<Process>,
}

struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    mark: String,
}

impl Espeak {
    /// Starts it. `voice` is a language as espeak-ng names it (`en-us`, `fr-fr`, …).
    pub fn start(voice: &str) -> Result<Espeak, EspeakError> {
        Ok(Espeak { voice: voice.to_owned(), process: Some(Process::start(voice)?) })
    }

    /// The phonemes of a text in IPA, with `^` between the parts of diphthongs and affricates; clauses are
    /// separated by spaces.
    pub fn ipa(&mut self, text: &str) -> Result<String, EspeakError> {
        let process = match &mut self.process {
            Some(process) => process,
            none => none.insert(Process::start(&self.voice)?),
        };
        let answer = process.ask(text);
        if answer.is_err() {
            self.process = None;
        }
        answer.map_err(|reason| EspeakError::Silent { voice: self.voice.clone(), reason })
    }
}

impl Process {
    fn start(voice: &str) -> Result<Process, EspeakError> {
        let mut child = Command::new(PROGRAM)
            .args(["-q", "--ipa", "--tie=^", "-v", voice])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(EspeakError::Absent)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            let _ = child.kill();
            return Err(EspeakError::Silent { voice: voice.to_owned(), reason: "it has no pipes" });
        };
        let (sender, lines) = bounded(LINES);
        let read = move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        };
        let started = std::thread::Builder::new().name("espeak-ng".to_owned()).spawn(read);
        let mut process = Process { child, stdin, lines, mark: String::new() };
        started.map_err(EspeakError::Absent)?;
        let silent = |reason| EspeakError::Silent { voice: voice.to_owned(), reason };
        process.say("").map_err(silent)?;
        process.mark = process.line().map_err(silent)?;
        Ok(process)
    }

    fn ask(&mut self, text: &str) -> Result<String, &'static str> {
        // One line: espeak-ng reads lines, and control characters would end one.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.say(&text)?;
        let mut answer: Vec<String> = vec![];
        loop {
            let line = self.line()?;
            if line == self.mark {
                return Ok(answer.join(" "));
            }
            answer.push(line);
        }
    }

    fn say(&mut self, text: &str) -> Result<(), &'static str> {
        let line = if text.is_empty() { format!("{MARK}\n") } else { format!("{text}\n{MARK}\n") };
        let written = self.stdin.write_all(line.as_bytes()).and_then(|()| self.stdin.flush());
        written.map_err(|_| "it has ended")
    }

    /// The next line that says something.
    fn line(&mut self) -> Result<String, &'static str> {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).map_err(|error| match error {
                RecvTimeoutError::Timeout => "it took too long",
                RecvTimeoutError::Disconnected => "it has ended",
            })?;
            let line = line.trim();
            if !line.is_empty() {
                return Ok(line.to_owned());
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The phonemes of an English word in misaki's alphabet.
pub fn english(ipa: &str, dialect: Dialect) -> String {
    let mut phonemes = replaced(
        ipa,
        &[
            ("ʔˌn\u{329}", "ʔn"),
            ("ʔn\u{329}", "ʔn"),
            ("a^ɪ", "I"),
            ("a^ʊ", "W"),
            ("d^ʒ", "ʤ"),
            ("e^ɪ", "A"),
            ("t^ʃ", "ʧ"),
            ("ɔ^ɪ", "Y"),
            ("ə^l", "ᵊl"),
            ("ʲo", "jo"),
            ("ʲə", "jə"),
            ("e", "A"),
            ("ʲ", ""),
            ("ɚ", "əɹ"),
            ("r", "ɹ"),
            ("x", "k"),
            ("ç", "k"),
            ("ɐ", "ə"),
            ("ɬ", "l"),
            ("\u{303}", ""),
        ],
    );
    phonemes = syllabic_as_schwa(&phonemes);
    let by_dialect: &[(&str, &str)] = match dialect {
        Dialect::British => &[("e^ə", "ɛː"), ("iə", "ɪə"), ("ə^ʊ", "Q")],
        Dialect::American => &[("o^ʊ", "O"), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɪə", "iə"), ("ː", "")],
    };
    phonemes = replaced(&phonemes, by_dialect);
    replaced(&phonemes, &[("o", "ɔ"), ("ɾ", "T"), ("ʔ", "t"), ("^", "")])
}

/// The phonemes of another language in the alphabet that its voices were trained with.
pub fn other(ipa: &str) -> String {
    let signs = [
        ("a^ɪ", "I"),
        ("a^ʊ", "W"),
        ("d^z", "ʣ"),
        ("d^ʒ", "ʤ"),
        ("e^ɪ", "A"),
        ("o^ʊ", "O"),
        ("ə^ʊ", "Q"),
        ("s^s", "S"),
        ("t^s", "ʦ"),
        ("t^ʃ", "ʧ"),
        ("ɔ^ɪ", "Y"),
        ("^", ""),
        ("-", ""),
    ];
    replaced(&without_switches(ipa), &signs)
}

fn replaced(text: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// A sign below a consonant says that it is a syllable of its own.
fn syllabic_as_schwa(phonemes: &str) -> String {
    let mut result = String::with_capacity(phonemes.len());
    for c in phonemes.chars() {
        if c != '\u{329}' {
            result.push(c);
        } else if let Some(last) = result.pop() {
            result.extend(['ᵊ', last]);
        }
    }
    result
}

/// Without `(en)` and `(fr)`, which say that a word was taken for another language's.
fn without_switches(ipa: &str) -> String {
    let mut result = String::with_capacity(ipa.len());
    let mut rest = ipa;
    while let Some((before, after)) = rest.split_once('(') {
        result.push_str(before);
        match after.split_once(')') {
            Some((_, behind)) => rest = behind,
            None => return result + after,
        }
    }
    result + rest
}

#[cfg(test)]
#[allow(clippy::print_stderr)]
mod tests {
    use super::*;

    #[test]
    fn phonemes_are_written_in_misakis_alphabet() {
        assert_eq!(english("həlˈo^ʊ", Dialect::American), "həlˈO");
        assert_eq!(english("həlˈə^ʊ", Dialect::British), "həlˈQ");
        assert_eq!(english("wˈɜːld", Dialect::American), "wˈɜɹld");
        assert_eq!(english("lˈɪɾə^l", Dialect::American), "lˈɪTᵊl");
        assert_eq!(english("bˈʌʔn\u{329}", Dialect::American), "bˈʌtn");
        assert_eq!(other("(en)ˈiːme^ɪl(fr) ʒˈuʁ"), "ˈiːmAl ʒˈuʁ");
    }

    #[test]
    fn one_process_answers_again_and_again() {
        let Ok(mut espeak) = Espeak::start("en-us") else {
            eprintln!("skipped: there is no espeak-ng");
            return;
        };
        let first = espeak.ipa("hello").expect("an answer");
        assert_eq!(espeak.ipa("One. Two, three.").expect("an answer").split(' ').count(), 3);
        assert_eq!(espeak.ipa("").expect("an answer"), "");
        assert!(!espeak.ipa("a\nb\0c").expect("an answer").is_empty());
        assert_eq!(espeak.ipa("hello").expect("an answer"), first);
    }

    #[test]
    fn a_process_that_ended_is_started_again() {
        let Ok(mut espeak) = Espeak::start("en-us") else {
            eprintln!("skipped: there is no espeak-ng");
            return;
        };
        let process = espeak.process.as_mut().expect("it runs");
        process.child.kill().expect("it can be ended");
        process.child.wait().expect("it has ended");
        assert!(espeak.ipa("hello").is_err());
        assert!(espeak.ipa("hello").is_ok());
    }
}

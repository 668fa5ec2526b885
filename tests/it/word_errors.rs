//! How well a recogniser hears: word error rates.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use vivavoce::audio::wav;
use vivavoce::engines::{Asr, AsrRequest, CancelToken, INPUT_RATE_HZ, SpeechContext};

/// What was said, and its samples (16 kHz).
pub type Recording = (String, Vec<i16>);

/// Sentences of everyday for voices to say.
pub const SENTENCES: [&str; 10] = [
    "What is the capital of France?",
    "What time does the train leave?",
    "My name is John and I live in New York.",
    "Stop talking and listen to me.",
    "How many people live in Germany?",
    "Tell me a joke about computers.",
    "Can you remind me to call my mother tomorrow morning?",
    "What is the meaning of life?",
    "The quick brown fox jumps over the lazy dog.",
    "Give me three good reasons to learn music.",
];

/// The recordings of a folder, as its `transcripts.json` ({file: words}) lists them; `None` without that.
pub fn recordings(folder: &Path) -> Option<Vec<Recording>> {
    let transcripts = std::fs::read_to_string(folder.join("transcripts.json")).ok()?;
    let transcripts: BTreeMap<String, String> = serde_json::from_str(&transcripts).unwrap();
    let read = |(file, said)| (said, wav::read_i16(&folder.join(file), INPUT_RATE_HZ).unwrap());
    Some(transcripts.into_iter().map(read).collect())
}

/// Lower-case words without punctuation, spelled as PocketSphinx spells them.
fn words(text: &str) -> Vec<String> {
    let plain = text.to_lowercase().replace(|c: char| !c.is_alphanumeric() && c != '\'', " ");
    plain
        .split_whitespace()
        .map(|word| if word == "mister" { "mr".into() } else { word.to_owned() })
        .collect()
}

/// Recognises each recording; gives the word error rate over all and prints every mistake.
pub fn word_error_rate(
    asr: &mut dyn Asr,
    recordings: impl IntoIterator<Item = Recording>,
    context: Option<&Arc<SpeechContext>>,
) -> f64 {
    let (mut errors, mut total) = (0, 0);
    for (said, pcm) in recordings {
        let heard = asr
            .transcribe(&AsrRequest { pcm: &pcm, language: None, context }, &CancelToken::new())
            .unwrap()
            .text;
        let (want, got) = (words(&said), words(&heard));
        let wrong = strsim::generic_levenshtein(&want, &got);
        if wrong > 0 {
            println!("{wrong} of {} words: {said:?} was heard as {heard:?}", want.len());
        }
        errors += wrong;
        total += want.len();
    }
    errors as f64 / total as f64
}

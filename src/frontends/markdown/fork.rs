//! What a file says and what the log holds are two versions of one conversation. Pure.

use sha2::{Digest as _, Sha256};

use super::lines::Speaker;

/// What one of them said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who.
    pub speaker: Speaker,
    /// The words.
    pub text: String,
}

impl Turn {
    /// The same words, whatever an editor did to the white space at the ends of lines.
    fn same_as(&self, other: &Turn) -> bool {
        self.speaker == other.speaker && lines_of(&self.text).eq(lines_of(&other.text))
    }
}

fn lines_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty())
}

/// How a conversation goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// So many of the stored turns stay, in their stored form, with the tools that were used in them.
    pub kept: usize,
    /// The file's turns that come behind them.
    pub fresh: Vec<Turn>,
}

/// The longest common beginning keeps its stored form; from the first turn that was edited on, the file's
/// version wins. Where that leaves stored turns out, the conversation forks behind `kept` of them.
pub fn diff_and_fork(stored: &[Turn], incoming: &[Turn]) -> Merged {
    let kept = stored.iter().zip(incoming).take_while(|(one, other)| one.same_as(other)).count();
    Merged { kept, fresh: incoming[kept..].to_vec() }
}

/// Fingerprints of `turns`, of none of them, the first, the first two …: stable hashes by which the file of
/// a conversation is found again.
pub fn fingerprints(turns: &[Turn]) -> Vec<String> {
    let mut sha = Sha256::new_with_prefix("vivavoce conversation 1\n");
    let mut found = vec![shown(&sha)];
    for turn in turns {
        let text: Vec<&str> = lines_of(&turn.text).collect();
        let text = text.join("\n");
        let speaker = match turn.speaker {
            Speaker::User => b'u',
            Speaker::Assistant => b'a',
        };
        // With its length in front, no two lists make the same bytes.
        sha.update([speaker]);
        sha.update((text.len() as u64).to_be_bytes());
        sha.update(text);
        found.push(shown(&sha));
    }
    found
}

/// The fingerprint of all `turns`.
pub fn fingerprint(turns: &[Turn]) -> String {
    fingerprints(turns).pop().unwrap_or_default()
}

/// Half of the hash is plenty to tell conversations apart.
const SHOWN_BYTES: usize = 16;

fn shown(sha: &Sha256) -> String {
    let hash: [u8; 32] = sha.clone().finalize().into();
    hash[..SHOWN_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

//! What an engine keeps of an utterance between its interim recognitions and the final one.

use std::any::Any;

use super::INPUT_RATE_HZ;

/// So much of an utterance's beginning tells it from others (a tenth of a second).
const BEGINNING_SAMPLES: usize = INPUT_RATE_HZ as usize / 10;

/// What an engine keeps of one utterance. It belongs to the session and travels with the request; an engine
/// that keeps nothing leaves it empty.
#[derive(Default)]
pub struct AsrState(Option<Kept>);

struct Kept {
    /// The samples (16 kHz) that the utterance begins with.
    beginning: Vec<i16>,
    of_engine: Box<dyn Any + Send>,
}

impl AsrState {
    /// Nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What was kept of a recording that begins as `pcm` does.
    pub fn kept_of<T: 'static>(&self, pcm: &[i16]) -> Option<&T> {
        let kept = self.0.as_ref().filter(|kept| pcm.starts_with(&kept.beginning))?;
        kept.of_engine.downcast_ref()
    }

    /// Keeps `what` of the utterance `pcm`, instead of what was there.
    pub fn keep<T: Send + 'static>(&mut self, pcm: &[i16], what: T) {
        let beginning = pcm[..pcm.len().min(BEGINNING_SAMPLES)].to_vec();
        self.0 = Some(Kept { beginning, of_engine: Box::new(what) });
    }
}

impl std::fmt::Debug for AsrState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_empty() { "AsrState(empty)" } else { "AsrState(kept)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_belongs_to_one_utterance_and_one_engine() {
        let utterance: Vec<i16> = (0..4_000).collect();
        let mut state = AsrState::default();
        assert_eq!(state.kept_of::<&str>(&utterance), None);
        state.keep(&utterance[..2_000], "so far");
        assert_eq!(state.kept_of(&utterance), Some(&"so far"));
        assert_eq!(state.kept_of::<u32>(&utterance), None, "another engine's");
        assert_eq!(state.kept_of::<&str>(&utterance[1..]), None, "another utterance");
        assert_eq!(
            state.kept_of::<&str>(&utterance[..1_000]),
            None,
            "shorter than what tells it from others"
        );
        state.keep(&utterance[1..], "another");
        assert_eq!(state.kept_of(&utterance[1..]), Some(&"another"));
    }
}

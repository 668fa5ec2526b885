//! A long piece's sound in several windows, so that the first is heard before the last is made.
//!
//! Durations, pitch and energy are those of the whole piece; only what makes sound of them runs window by
//! window. Its norms then are over a window, as in training, where it only ever saw parts of utterances. Each
//! window sees a few frames beyond its borders, and neighbours are blended over some milliseconds there.

use std::ops::Range;

/// Fewer frames are one window: they are quick enough.
const WHOLE_FRAMES: usize = 32;
/// Of the first window, at least …
const FIRST_FRAMES: usize = 16;
/// … and so many more, if a word ends there.
const SEARCH_FRAMES: usize = 6;
/// What is kept of the pause before the speech.
const LEAD_FRAMES: usize = 4;
/// Each window is so many times as long as the one before: it is made while that one is heard.
const GROWTH: usize = 2;
/// What a window sees beyond its borders.
const CONTEXT_FRAMES: usize = 3;
/// Neighbours are blended over so many samples (20 ms), inside the context.
const BLEND_SAMPLES: usize = 480;

/// Frames of a piece that are rendered together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// What it is for.
    pub frames: Range<usize>,
    /// What is rendered.
    pub seen: Range<usize>,
}

/// The windows of a piece: frames of each id (a start and an end around them), and whether a word ends with an
/// id.
pub fn windows(durations: &[u32], ends_word: impl Fn(usize) -> bool) -> Vec<Window> {
    let mut ends = Vec::with_capacity(durations.len());
    let mut total = 0;
    for duration in durations {
        total += *duration as usize;
        ends.push(total);
    }
    if total <= WHOLE_FRAMES {
        return vec![whole(total)];
    }
    let mut start = ends.first().map_or(0, |pause| pause.saturating_sub(LEAD_FRAMES));
    let mut length = FIRST_FRAMES;
    let mut windows = vec![];
    while start < total {
        let word_end = (0..ends.len())
            .find(|id| ends[*id] >= start + length && ends_word(*id))
            .map(|id| ends[id])
            .filter(|end| *end <= start + length + SEARCH_FRAMES);
        let end = word_end.unwrap_or(start + length);
        // No small rest.
        let end = if total < end + length { total } else { end };
        let seen = start.saturating_sub(CONTEXT_FRAMES)..total.min(end + CONTEXT_FRAMES);
        windows.push(Window { frames: start..end, seen });
        (start, length) = (end, GROWTH * length);
    }
    windows
}

/// All frames at once.
pub fn whole(frames: usize) -> Window {
    Window { frames: 0..frames, seen: 0..frames }
}

/// Puts windows together.
#[derive(Debug, Default)]
pub struct Blend {
    /// How the window before would have gone on.
    rest: Vec<f32>,
}

impl Blend {
    /// What was rendered of a window → its own samples, blended with how the one before went on.
    pub fn next(&mut self, window: &Window, mut rendered: Vec<f32>, samples_per_frame: usize) -> Vec<f32> {
        let before = (window.frames.start - window.seen.start) * samples_per_frame;
        let own = window.frames.len() * samples_per_frame;
        rendered.drain(..before.min(rendered.len()));
        let rest = rendered.split_off(own.min(rendered.len()));
        let count = self.rest.len().min(BLEND_SAMPLES).min(rendered.len());
        for (at, (new, old)) in rendered.iter_mut().zip(&self.rest[..count]).enumerate() {
            let part = (at as f32 + 0.5) / count as f32;
            *new = old * (1.0 - part) + *new * part;
        }
        self.rest = rest;
        rendered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_piece_is_one_window() {
        assert_eq!(windows(&[10, 3, 3, 10], |_| true), [Window { frames: 0..26, seen: 0..26 }]);
    }

    #[test]
    fn windows_grow_end_with_words_and_leave_nothing_out() {
        // A pause of 10 frames, 60 phonemes of 3, and a word's end with every fifth.
        let durations: Vec<u32> = std::iter::once(10).chain([3; 60]).chain([10]).collect();
        let found = windows(&durations, |id| id % 5 == 0);
        assert_eq!(found[0].frames, 6..25, "less pause, and to the fifth phoneme's end");
        assert_eq!(found[0].seen, 3..28);
        assert!(found.windows(2).all(|pair| pair[0].frames.end == pair[1].frames.start));
        assert!(found.windows(2).all(|pair| pair[0].frames.len() < pair[1].frames.len()));
        assert_eq!(found.last().map(|last| (last.frames.end, last.seen.end)), Some((200, 200)));
        assert!(found.len() >= 3, "{found:?}");
        let unbroken = windows(&durations, |_| false);
        assert_eq!(unbroken[0].frames, 6..6 + FIRST_FRAMES);
    }

    /// Where windows agree, their blend is the whole.
    #[test]
    fn blended_windows_are_the_whole() {
        const FRAME: usize = 600;
        let durations = [4_u32; 40];
        let whole: Vec<f32> = (0..160 * FRAME).map(|at| (at as f32 * 0.01).sin()).collect();
        let mut blend = Blend::default();
        let mut joined = vec![];
        for window in windows(&durations, |_| false) {
            let rendered = whole[window.seen.start * FRAME..window.seen.end * FRAME].to_vec();
            joined.extend(blend.next(&window, rendered, FRAME));
        }
        assert_eq!(joined.len(), whole.len());
        assert!(joined.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn neighbours_that_differ_do_not_click() {
        let (one, two) = (Window { frames: 0..20, seen: 0..23 }, Window { frames: 20..40, seen: 17..40 });
        let mut blend = Blend::default();
        let mut joined = blend.next(&one, vec![0.5; 23 * 600], 600);
        joined.extend(blend.next(&two, vec![-0.5; 23 * 600], 600));
        assert_eq!(joined.len(), 40 * 600);
        assert!(joined.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.01));
    }
}

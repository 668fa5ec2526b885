//! Recordings that are too long for one go are cut where they are quietest.

use crate::engines::INPUT_RATE_HZ;

/// Seconds that are recognised in one go, at most. The model takes twenty minutes, but memory grows with the
/// length, and time with its square: two minutes are 1560 rows, and some 200 MB of keys and values.
const MAX_SECONDS: usize = 120;
/// The cut is looked for in so many seconds before that.
const SEARCH_SECONDS: usize = 10;
/// Samples of a moment whose loudness is looked at: 100 ms.
const MOMENT_SAMPLES: usize = INPUT_RATE_HZ as usize / 10;

/// How many samples are recognised in one go if `rows_left` rows of audio find room.
pub fn max_samples(rows_left: usize) -> usize {
    // 13 rows of a second; what is less than a second is not worth its own rounding.
    let seconds = (rows_left / 13).clamp(1, MAX_SECONDS);
    seconds * INPUT_RATE_HZ as usize
}

/// Pieces of at most `max_samples` (a second at least) that make up the whole recording, in order.
pub fn pieces(mut samples: &[f32], max_samples: usize) -> Vec<&[f32]> {
    let max_samples = max_samples.max(INPUT_RATE_HZ as usize);
    let mut pieces = vec![];
    while samples.len() > max_samples {
        let (piece, rest) = samples.split_at(cut(&samples[..max_samples]));
        pieces.push(piece);
        samples = rest;
    }
    pieces.push(samples);
    pieces
}

/// The middle of the quietest moment near the end; the last of equally quiet ones, so that pieces are long.
fn cut(samples: &[f32]) -> usize {
    let search = (SEARCH_SECONDS * INPUT_RATE_HZ as usize).min(samples.len() / 2);
    let from = samples.len() - search;
    let energy = |moment: &[f32]| moment.iter().map(|sample| sample * sample).sum::<f32>();
    let moments = samples[from..].chunks_exact(MOMENT_SAMPLES).enumerate().rev();
    let quietest = moments.min_by(|(_, a), (_, b)| energy(a).total_cmp(&energy(b)));
    quietest.map_or(samples.len(), |(at, _)| from + at * MOMENT_SAMPLES + MOMENT_SAMPLES / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: usize = INPUT_RATE_HZ as usize;

    fn lengths(samples: &[f32], max_seconds: usize) -> Vec<usize> {
        let pieces = pieces(samples, max_seconds * SECOND);
        assert_eq!(pieces.concat(), samples);
        pieces.iter().map(|piece| piece.len()).collect()
    }

    #[test]
    fn what_is_short_stays_whole() {
        assert_eq!(lengths(&[], 2), [0]);
        assert_eq!(lengths(&vec![0.5; 2 * SECOND], 2), [2 * SECOND]);
    }

    #[test]
    fn the_cut_is_in_the_pause() {
        let mut samples: Vec<f32> = (0..50 * SECOND).map(|at| if at % 2 == 0 { 0.4 } else { -0.4 }).collect();
        samples[17 * SECOND..17 * SECOND + SECOND / 4].fill(0.01);
        samples[36 * SECOND..37 * SECOND].fill(0.0);
        // A quieter one, too early.
        samples[2 * SECOND..3 * SECOND].fill(0.0);
        let lengths = lengths(&samples, 20);
        assert_eq!(lengths.len(), 3);
        assert!((17 * SECOND..17 * SECOND + SECOND / 4).contains(&lengths[0]), "{lengths:?}");
        assert!((36 * SECOND..37 * SECOND).contains(&(lengths[0] + lengths[1])), "{lengths:?}");
    }

    #[test]
    fn pieces_end_though_there_is_no_pause_and_no_room() {
        let lengths = lengths(&vec![0.4; 5 * SECOND], 0);
        assert!(lengths.iter().all(|length| *length <= SECOND), "{lengths:?}");
        assert!(lengths.len() <= 11, "{lengths:?}");
        assert_eq!(max_samples(0), SECOND);
        assert_eq!(max_samples(13 * 7 + 12), 7 * SECOND);
        assert_eq!(max_samples(100_000), MAX_SECONDS * SECOND);
    }
}

//! Speech that is spoken faster or slower at the same pitch, as it streams: WSOLA (Verhelst and Roelands,
//! "An overlap-add technique based on waveform similarity", ICASSP 1993), 24 kHz mono.
//!
//! Windows of 30 ms are taken from the input at a distance of `speed` times that at which they are laid into
//! the output, each from where the wave goes on most like the one before. The output is exactly as long as
//! the input divided by the speed, and does not depend on how the input was cut.

/// Length of a window.
const WINDOW: usize = 720;
/// Distance of two windows in the output: half of it, so that Hann windows add up to 1.
const HOP: usize = WINDOW / 2;
/// A window is looked for so far before and behind its place: a period of the deepest voice.
const SEARCH: usize = 240;

/// Speech on its way to another speed.
#[derive(Debug)]
pub struct Stretch {
    speed: f64,
    /// What may still be needed of the input.
    input: Vec<f32>,
    /// Where that begins in the whole input.
    start: usize,
    /// Input samples so far.
    taken: usize,
    /// Output samples so far.
    given: usize,
    /// Windows so far.
    windows: usize,
    /// Where in the input the window before was taken.
    before: usize,
    /// The second half of the window before, faded out.
    tail: Vec<f32>,
}

impl Stretch {
    /// `speed`: above 1 is faster.
    pub fn new(speed: f32) -> Stretch {
        Stretch {
            speed: f64::from(speed),
            input: Vec::new(),
            start: 0,
            taken: 0,
            given: 0,
            windows: 0,
            before: 0,
            tail: vec![0.0; HOP],
        }
    }

    /// Takes the next samples; gives what is decided by them.
    pub fn push(&mut self, samples: &[f32]) -> Vec<f32> {
        self.taken += samples.len();
        if self.speed == 1.0 {
            return samples.to_vec();
        }
        self.input.extend_from_slice(samples);
        // Whole windows of what the input so far is worth.
        let worth = (self.taken as f64 / self.speed) as usize;
        self.advance(worth.saturating_sub(self.given) / HOP * HOP)
    }

    /// Ends the speech: gives the rest.
    pub fn finish(&mut self) -> Vec<f32> {
        if self.speed == 1.0 {
            return Vec::new();
        }
        let length = (self.taken as f64 / self.speed).round() as usize;
        let missing = length.saturating_sub(self.given);
        // Silence behind the end, as much as the last windows reach into it.
        self.input.resize(self.input.len() + 2 * (WINDOW + SEARCH) + (self.speed * HOP as f64) as usize, 0.0);
        let mut rest = self.advance(missing);
        rest.truncate(missing);
        rest
    }

    /// Lays windows while their input is there, until there are `enough` samples.
    fn advance(&mut self, enough: usize) -> Vec<f32> {
        let mut out = Vec::new();
        while out.len() < enough {
            let place = (self.windows as f64 * HOP as f64 * self.speed).round() as usize;
            let natural = self.before + HOP;
            let end = self.start + self.input.len();
            if place + SEARCH + WINDOW > end || natural + HOP > end {
                break;
            }
            let chosen = if self.windows == 0 { 0 } else { self.most_alike(place, natural) };
            let from = chosen - self.start;
            for n in 0..HOP {
                let fade_in = if self.windows == 0 { 1.0 } else { hann(n) };
                out.push(self.tail[n] + fade_in * self.input[from + n]);
                self.tail[n] = hann(HOP + n) * self.input[from + HOP + n];
            }
            self.before = chosen;
            self.windows += 1;
            // What neither the search for the next window nor the wave before it can reach.
            let next = (self.windows as f64 * HOP as f64 * self.speed).round() as usize;
            let keep = next.saturating_sub(SEARCH).min(chosen + HOP).max(self.start);
            self.input.drain(..(keep - self.start).min(self.input.len()));
            self.start = keep;
        }
        self.given += out.len();
        out
    }

    /// Where around `place` the input is most like its natural continuation at `natural`.
    fn most_alike(&self, place: usize, natural: usize) -> usize {
        let at = |position: usize| &self.input[position - self.start..][..HOP];
        let wanted = at(natural);
        let likeness = |position: usize| {
            let (mut product, mut energy) = (0.0, 1e-9);
            for (a, b) in wanted.iter().zip(at(position)) {
                product += a * b;
                energy += b * b;
            }
            product / f32::sqrt(energy)
        };
        let first = place.saturating_sub(SEARCH).max(self.start);
        // Of equals, the one that is nearest: silence stays where it is.
        let mut best = (place, likeness(place));
        for position in first..=place + SEARCH {
            let found = likeness(position);
            if found > best.1 {
                best = (position, found);
            }
        }
        best.0
    }
}

/// The Hann window at sample `n`; `hann(n) + hann(n + HOP)` is 1.
fn hann(n: usize) -> f32 {
    0.5 - 0.5 * (std::f32::consts::TAU * n as f32 / WINDOW as f32).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of 200 Hz with overtones, which is louder at its end.
    fn voice() -> Vec<f32> {
        let step = std::f32::consts::TAU * 200.0 / 24_000.0;
        let wave = |n: f32| 0.4 * (step * n).sin() + 0.2 * (3.0 * step * n).sin();
        (0..24_000).map(|n| wave(n as f32) * (0.5 + n as f32 / 48_000.0)).collect()
    }

    fn stretched(speed: f32, piece: usize) -> Vec<f32> {
        let mut stretch = Stretch::new(speed);
        let mut out: Vec<f32> = voice().chunks(piece).flat_map(|piece| stretch.push(piece)).collect();
        out.extend(stretch.finish());
        out
    }

    /// Crossings of zero upwards: 200 a second for this voice.
    fn cycles(samples: &[f32]) -> usize {
        samples.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count()
    }

    #[test]
    fn the_length_changes_and_the_pitch_does_not() {
        for speed in [0.25, 1.0, 1.3, 4.0] {
            let out = stretched(speed, 1_000);
            assert_eq!(out.len(), (24_000.0 / f64::from(speed)).round() as usize, "{speed}");
            // 200 Hz, in what is neither its beginning nor its fade into the silence behind it.
            let middle = &out[out.len() / 10..out.len() * 8 / 10];
            let hz = cycles(middle) as f64 * 24_000.0 / middle.len() as f64;
            assert!((190.0..215.0).contains(&hz), "{speed}: {hz} Hz");
            let loudest = out.iter().fold(0.0_f32, |loudest, sample| loudest.max(sample.abs()));
            assert!(loudest < 0.7, "{speed}: {loudest}");
        }
    }

    #[test]
    fn how_it_was_cut_makes_no_difference() {
        let whole = stretched(1.3, 24_000);
        for piece in [97, 5_000] {
            assert_eq!(stretched(1.3, piece), whole, "{piece}");
        }
    }

    #[test]
    fn memory_does_not_grow_with_the_speech() {
        let mut stretch = Stretch::new(1.5);
        for _ in 0..5 {
            stretch.push(&voice());
        }
        assert!(stretch.input.len() < 3 * (WINDOW + SEARCH), "{}", stretch.input.len());
    }

    #[test]
    fn nothing_becomes_nothing() {
        let mut stretch = Stretch::new(2.0);
        assert!(stretch.push(&[]).is_empty());
        assert!(stretch.finish().is_empty());
        let mut stretch = Stretch::new(2.0);
        stretch.push(&[0.5; 101]);
        assert_eq!(stretch.finish().len(), 51);
    }
}

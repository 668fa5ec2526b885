//! One mono stream from one sample rate to another, by rubato's FFT resampler.
//!
//! The filter's delay is trimmed: output sample `n` lies where input sample `n · from / to` lay, and
//! a stream of `n` samples becomes one of `n · to / from`, rounded. The output does not depend on how
//! the input was cut into pieces. Not here: several channels, and rates that drift.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

/// Rates that are taken, in Hz. Far beyond any sound card; bounds the memory of a hostile WAV file.
const RATES_HZ: std::ops::RangeInclusive<u32> = 1_000..=768_000;
/// Length of a block, where the ratio allows: the delay of [`Resampler::push`], against the filter's
/// steepness (it passes up to about 96 % of the lower Nyquist frequency).
const BLOCK_MS: u32 = 20;

/// Why there is no such resampler.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ResampleError {
    /// Not a rate of sound.
    #[error("cannot resample from {from_hz} Hz to {to_hz} Hz; rates are from 1000 to 768000 Hz")]
    Rate {
        /// Rate of the input.
        from_hz: u32,
        /// Rate of the output.
        to_hz: u32,
    },
    /// The resampler itself refused. Not expected.
    #[error("cannot resample from {from_hz} Hz to {to_hz} Hz: {message}")]
    Filter {
        /// Rate of the input.
        from_hz: u32,
        /// Rate of the output.
        to_hz: u32,
        /// What rubato said.
        message: String,
    },
}

/// A mono stream on its way from one rate to another.
pub struct Resampler {
    from_hz: u32,
    to_hz: u32,
    /// `None`: the rates are the same.
    filter: Option<Filter>,
    /// Input samples of this stream so far.
    taken: u64,
    /// Output samples of this stream so far.
    given: u64,
}

struct Filter {
    fft: Fft<f32>,
    /// Input of the next block, as far as it is there.
    waiting: Vec<f32>,
    /// One block of output.
    block: Vec<f32>,
    /// Output samples that are still only the filter's delay.
    delay_left: usize,
}

impl Resampler {
    /// A resampler for streams of `from_hz` that become `to_hz`.
    pub fn new(from_hz: u32, to_hz: u32) -> Result<Resampler, ResampleError> {
        Resampler::with_blocks(from_hz, to_hz, BLOCK_MS)
    }

    /// The same with blocks of another length: half the length is half the delay, and a filter that begins
    /// to fall off twice as far from the end.
    pub fn with_blocks(from_hz: u32, to_hz: u32, block_ms: u32) -> Result<Resampler, ResampleError> {
        if !RATES_HZ.contains(&from_hz) || !RATES_HZ.contains(&to_hz) {
            return Err(ResampleError::Rate { from_hz, to_hz });
        }
        let filter = if from_hz == to_hz { None } else { Some(Filter::new(from_hz, to_hz, block_ms)?) };
        Ok(Resampler { from_hz, to_hz, filter, taken: 0, given: 0 })
    }

    /// Takes the next samples; gives what is complete, which may be nothing.
    pub fn push(&mut self, samples: &[f32]) -> Vec<f32> {
        let mut out = Vec::new();
        self.push_into(samples, &mut out);
        out
    }

    /// [`Resampler::push`] behind what is in `out`.
    pub fn push_into(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.taken += samples.len() as u64;
        let before = out.len();
        match &mut self.filter {
            None => out.extend_from_slice(samples),
            Some(filter) => filter.push(samples, out),
        }
        self.given += (out.len() - before) as u64;
    }

    /// Ends the stream: gives the rest. The next [`Resampler::push`] begins a new one.
    pub fn finish(&mut self) -> Vec<f32> {
        let mut out = Vec::new();
        let missing = self.output_len().saturating_sub(self.given) as usize;
        if let Some(filter) = &mut self.filter {
            while out.len() < missing {
                filter.push_silence_to_block_end(&mut out);
            }
        }
        out.truncate(missing);
        self.reset();
        out
    }

    /// Forgets the stream.
    pub fn reset(&mut self) {
        if let Some(filter) = &mut self.filter {
            filter.reset();
        }
        (self.taken, self.given) = (0, 0);
    }

    /// Samples that this stream will have given if it ends here.
    fn output_len(&self) -> u64 {
        let (from, to) = (u128::from(self.from_hz), u128::from(self.to_hz));
        ((u128::from(self.taken) * to + from / 2) / from) as u64
    }
}

impl Filter {
    fn new(from_hz: u32, to_hz: u32, block_ms: u32) -> Result<Filter, ResampleError> {
        let fault = |message: String| ResampleError::Filter { from_hz, to_hz, message };
        // The smallest block that has a whole number of samples on both sides is from/gcd → to/gcd.
        // An even number of those: only then is half a block, the delay, a whole number too.
        let smallest = from_hz / gcd(from_hz, to_hz);
        let blocks = (from_hz * block_ms / 1000).div_ceil(smallest).next_multiple_of(2);
        let chunk = (smallest * blocks) as usize;
        let fft = Fft::new_custom(
            from_hz as usize,
            to_hz as usize,
            chunk,
            1,
            1,
            rubato::WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .map_err(|e| fault(e.to_string()))?;
        let (input, output, delay) = (fft.input_frames_next(), fft.output_frames_next(), fft.output_delay());
        if input != chunk {
            return Err(fault(format!("blocks of {input} samples instead of {chunk}")));
        }
        Ok(Filter { waiting: Vec::with_capacity(input), block: vec![0.0; output], delay_left: delay, fft })
    }

    fn push(&mut self, mut samples: &[f32], out: &mut Vec<f32>) {
        let block_len = self.fft.input_frames_next();
        while self.waiting.len() + samples.len() >= block_len {
            let (now, later) = samples.split_at(block_len - self.waiting.len());
            self.waiting.extend_from_slice(now);
            samples = later;
            self.run_block(out);
        }
        self.waiting.extend_from_slice(samples);
    }

    fn push_silence_to_block_end(&mut self, out: &mut Vec<f32>) {
        self.waiting.resize(self.fft.input_frames_next(), 0.0);
        self.run_block(out);
    }

    /// One full block through the filter.
    fn run_block(&mut self, out: &mut Vec<f32>) {
        let (input_len, output_len) = (self.waiting.len(), self.block.len());
        // The lengths are those that the filter asked for, so neither view nor filter can refuse; a
        // block of silence would be the answer if one did.
        self.block.fill(0.0);
        if let (Ok(input), Ok(mut output)) = (
            InterleavedSlice::new(&self.waiting, 1, input_len),
            InterleavedSlice::new_mut(&mut self.block, 1, output_len),
        ) {
            let ran = self.fft.process_into_buffer(&input, &mut output, None);
            debug_assert!(ran.is_ok(), "{ran:?}");
        }
        self.waiting.clear();
        let skip = self.delay_left.min(output_len);
        self.delay_left -= skip;
        out.extend_from_slice(&self.block[skip..]);
    }

    fn reset(&mut self) {
        self.fft.reset();
        self.waiting.clear();
        self.delay_left = self.fft.output_delay();
    }
}

/// A whole recording at once.
pub fn resample(samples: &[f32], from_hz: u32, to_hz: u32) -> Result<Vec<f32>, ResampleError> {
    let mut resampler = Resampler::new(from_hz, to_hz)?;
    let mut out = resampler.push(samples);
    out.append(&mut resampler.finish());
    Ok(out)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use proptest::prelude::*;

    use super::*;

    const PAIRS: [(u32, u32); 10] = [
        (16_000, 24_000),
        (24_000, 16_000),
        (44_100, 16_000),
        (44_100, 24_000),
        (48_000, 16_000),
        (48_000, 24_000),
        (8_000, 16_000),
        (11_025, 24_000),
        (22_050, 16_000),
        (16_000, 16_000),
    ];

    fn sine(hz: f32, rate_hz: u32, len: usize) -> Vec<f32> {
        (0..len).map(|n| 0.5 * (TAU * (hz * n as f32 / rate_hz as f32)).sin()).collect()
    }

    fn loudest(samples: impl IntoIterator<Item = f32>) -> f32 {
        samples.into_iter().fold(0.0, |most, s| most.max(s.abs()))
    }

    #[test]
    fn a_sine_stays_the_same_sine_at_the_same_time() {
        for (from, to) in PAIRS {
            for hz in [220.0, 1_000.0, 3_000.0] {
                let got = resample(&sine(hz, from, from as usize), from, to).unwrap();
                let want = sine(hz, to, to as usize);
                assert_eq!(got.len(), want.len(), "{from} → {to}");
                // The ends are edges of the sine against silence; in between it must match.
                let margin = to as usize / 20;
                let error = loudest((margin..got.len() - margin).map(|n| got[n] - want[n]));
                assert!(error < 2e-3, "{from} → {to} at {hz} Hz: off by {error}");
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_hold_is_removed() {
        let got = resample(&sine(9_500.0, 48_000, 48_000), 48_000, 16_000).unwrap();
        let left = loudest(got[800..15_200].iter().copied());
        assert!(left < 2e-3, "{left} of 0.5 is left"); // 48 dB down
    }

    #[test]
    fn a_burst_between_silences_stays_where_it_was() {
        for (from, to) in PAIRS {
            let mut input = vec![0.0; from as usize];
            let (start, end) = (from as usize * 3 / 10, from as usize * 6 / 10);
            for (n, sample) in input[start..end].iter_mut().enumerate() {
                // Half a second of 400 Hz that swells and fades: no energy beyond the filter.
                let phase = n as f32 / (end - start) as f32;
                *sample = 0.8 * (TAU * 400.0 * n as f32 / from as f32).sin() * (TAU * phase / 2.0).sin();
            }
            let got = resample(&input, from, to).unwrap();
            let scale = to as f64 / from as f64;
            let (first, last) = ((start as f64 * scale) as usize, (end as f64 * scale) as usize);
            let slack = to as usize / 500; // 2 ms
            assert!(
                loudest(got[..first - slack].iter().copied()) < 2e-3,
                "{from} → {to}: sound before it starts"
            );
            assert!(
                loudest(got[last + slack..].iter().copied()) < 2e-3,
                "{from} → {to}: sound after its end"
            );
            assert!((loudest(got) - 0.8).abs() < 0.02, "{from} → {to}: loudness changed");
        }
    }

    #[test]
    fn a_step_does_not_ring_beyond_its_surroundings() {
        let mut input = vec![0.0; 16_000];
        input[8_000..].fill(0.5);
        let got = resample(&input, 16_000, 24_000).unwrap();
        let slack = 24 * 10; // 10 ms
        assert!(loudest(got[..12_000 - slack].iter().copied()) < 2e-3);
        assert!(loudest(got[12_000 + slack..24_000 - slack].iter().map(|s| s - 0.5)) < 2e-3);
        // Gibbs' overshoot (9 % of the step, more between the samples), and no more.
        assert!(loudest(got.iter().copied()) < 0.5 * 1.15, "{}", loudest(got.iter().copied()));
    }

    #[test]
    fn a_finished_stream_leaves_nothing_to_the_next() {
        let mut resampler = Resampler::new(16_000, 24_000).unwrap();
        let once = |resampler: &mut Resampler, input: &[f32]| {
            let mut out = resampler.push(input);
            out.append(&mut resampler.finish());
            out
        };
        let first = once(&mut resampler, &sine(700.0, 16_000, 5_001));
        assert_eq!(once(&mut resampler, &sine(700.0, 16_000, 5_001)), first);
        assert_eq!(loudest(once(&mut resampler, &[0.0; 3_000])), 0.0);
        let _ = resampler.push(&sine(700.0, 16_000, 5_001));
        resampler.reset();
        assert_eq!(once(&mut resampler, &sine(700.0, 16_000, 5_001)), first);
    }

    #[test]
    fn impossible_rates_are_errors() {
        for (from, to) in [(0, 16_000), (16_000, 0), (999, 16_000), (16_000, 1_000_000), (u32::MAX, 24_000)] {
            assert_eq!(
                Resampler::new(from, to).err(),
                Some(ResampleError::Rate { from_hz: from, to_hz: to })
            );
        }
        assert!(Resampler::new(44_101, 16_000).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn pieces_give_what_the_whole_gives(
            pair in 0..PAIRS.len(),
            input in proptest::collection::vec(-1.0f32..1.0, 0..6_000),
            cuts in proptest::collection::vec(0usize..1_500, 0..12),
        ) {
            let (from, to) = PAIRS[pair];
            let whole = resample(&input, from, to).unwrap();
            let exact = input.len() as f64 * f64::from(to) / f64::from(from);
            prop_assert!((whole.len() as f64 - exact).abs() <= 1.0, "{} instead of {exact}", whole.len());

            let mut resampler = Resampler::new(from, to).unwrap();
            let (mut rest, mut pieces) = (input.as_slice(), vec![]);
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                resampler.push_into(now, &mut pieces);
                rest = later;
            }
            resampler.push_into(rest, &mut pieces);
            pieces.append(&mut resampler.finish());
            prop_assert_eq!(pieces, whole);
        }
    }
}

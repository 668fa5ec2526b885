//! Instance norm with style, then the snake `x + sin²(αx)/α`, in one pass over the signal.
//!
//! The generator does this ninety-six times; as separate tensor operations it would take longer than the
//! convolutions between. On the processor it is one loop over each channel, elsewhere tensor operations.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use rayon::prelude::*;

use super::layers::{Linear, standardised};
use super::weights::Weights;
use crate::engines::kokoro::error::KokoroError;

const EPSILON: f32 = 1e-5;

/// The norm's style layer and the snake's α.
pub struct StyledSnake {
    fc: Linear,
    /// [1, channels, 1]
    alpha: Tensor,
    channels: usize,
}

impl StyledSnake {
    /// `fc` of `norm`, and `alpha`.
    pub fn load(
        norm: &Weights<'_>,
        alpha: Tensor,
        style: usize,
        channels: usize,
    ) -> Result<StyledSnake, KokoroError> {
        Ok(StyledSnake { fc: Linear::load(&norm.pp("fc"), style, 2 * channels)?, alpha, channels })
    }

    /// [1, channels, frames], style [1, style] → the same
    pub fn forward(&self, x: &Tensor, style: &Tensor) -> Result<Tensor, KokoroError> {
        let changes = self.fc.forward(style)?.reshape((1, 2 * self.channels, 1))?;
        let gain = (changes.narrow(1, 0, self.channels)? + 1.0)?;
        let offset = changes.narrow(1, self.channels, self.channels)?;
        if x.device().is_cpu() {
            let parameters = Tensor::cat(&[&gain, &offset, &self.alpha], 2)?.contiguous()?;
            return Ok(x.contiguous()?.apply_op2_no_bwd(&parameters, &Fused)?);
        }
        let x = standardised(x, f64::from(EPSILON))?.broadcast_mul(&gain)?.broadcast_add(&offset)?;
        let wave = x.broadcast_mul(&self.alpha)?.sin()?.sqr()?;
        Ok((x + wave.broadcast_div(&self.alpha)?)?)
    }
}

/// x [1, channels, frames], parameters [1, channels, 3]: gain, offset, α.
struct Fused;

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "styled-snake"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        parameters: &CpuStorage,
        parameters_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let slice = |storage, layout: &Layout| -> candle_core::Result<std::ops::Range<usize>> {
            let _: &CpuStorage = storage;
            let (start, end) = layout
                .contiguous_offsets()
                .ok_or_else(|| candle_core::Error::Msg("not contiguous".to_owned()))?;
            Ok(start..end)
        };
        let frames = x_layout.shape().dims3()?.2;
        let x = &x.as_slice::<f32>()?[slice(x, x_layout)?];
        let parameters = &parameters.as_slice::<f32>()?[slice(parameters, parameters_layout)?];
        let mut y = vec![0.0; x.len()];
        if frames > 0 {
            let rows = y.par_chunks_exact_mut(frames).zip(x.par_chunks_exact(frames));
            rows.zip(parameters.par_chunks_exact(3))
                .for_each(|((y, x), with)| channel(x, with[0], with[1], with[2], y));
        }
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }
}

fn channel(x: &[f32], gain: f32, offset: f32, alpha: f32, y: &mut [f32]) {
    let count = x.len() as f32;
    let mean = sum(x, |x| x) / count;
    let variance = sum(x, |x| (x - mean) * (x - mean)) / count;
    let scale = gain / (variance + EPSILON).sqrt();
    let inverse = 1.0 / alpha;
    for (y, x) in y.iter_mut().zip(x) {
        let styled = (x - mean) * scale + offset;
        let wave = sine(alpha * styled);
        *y = styled + wave * wave * inverse;
    }
}

/// With several sums at once, for speed and against rounding.
fn sum(x: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    const LANES: usize = 16;
    let chunks = x.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|x| of(*x)).sum();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += of(*x);
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// The sine, but for its sign (it is squared), within 1e-6 for arguments up to some thousands: reduced by
/// multiples of π (in two parts), then its Taylor series. Branchless, so that it becomes vector code.
fn sine(x: f32) -> f32 {
    /// Adding and taking away 1.5 · 2²³ rounds to whole numbers.
    const ROUND: f32 = 12_582_912.0;
    const PI_HIGH: f32 = 3.140_625;
    const PI_LOW: f32 = 9.676_536e-4;
    let turns = (x * std::f32::consts::FRAC_1_PI + ROUND) - ROUND;
    let x = x - turns * PI_HIGH - turns * PI_LOW;
    let square = x * x;
    let series = -2.505_210_8e-8 * square + 2.755_731_9e-6;
    let series = series * square - 1.984_127e-4;
    let series = series * square + 8.333_333e-3;
    let series = series * square - 0.166_666_67;
    x + x * square * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sine_is_one_but_for_its_sign() {
        for step in -100_000..100_000 {
            let x = step as f32 * 0.003;
            let expected = f64::from(x).sin().powi(2);
            let found = f64::from(sine(x)).powi(2);
            assert!((expected - found).abs() < 2e-5, "{x}: {found} instead of {expected}");
        }
    }
}

//! Instance norm with style, then the snake `x + sin²(αx)/α`, in one pass over the signal.
//!
//! The generator does this ninety-six times; as separate tensor operations it would take longer than the
//! convolutions between. On the processor it is one loop over each channel, elsewhere tensor operations.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use rayon::prelude::*;

use super::layers::{Linear, standardised};
use super::on_cpu::values;
use super::weights::Weights;
use crate::engines::kokoro::error::KokoroError;
use crate::engines::local::packed::simd::{self, Isa, Kernel, LANES, Simd};

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
        let frames = x_layout.shape().dims3()?.2;
        let (x, parameters) = (values(x, x_layout)?, values(parameters, parameters_layout)?);
        let isa = Isa::best();
        let mut y = vec![0.0; x.len()];
        if frames > 0 {
            let rows = y.par_chunks_exact_mut(frames).zip(x.par_chunks_exact(frames));
            rows.zip(parameters.par_chunks_exact(3)).for_each(|((y, x), with)| {
                isa.run(Channel { x, gain: with[0], offset: with[1], alpha: with[2], y })
            });
        }
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }
}

/// One channel of a signal.
struct Channel<'a> {
    x: &'a [f32],
    gain: f32,
    offset: f32,
    alpha: f32,
    y: &'a mut [f32],
}

impl Kernel for Channel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let count = self.x.len() as f32;
        let (vectors, rest) = self.x.as_chunks::<LANES>();
        let mut sums = simd.splat(0.0);
        for x in vectors {
            sums = simd.add(sums, simd.load(x));
        }
        let mean = (simd::sum(simd, sums) + rest.iter().sum::<f32>()) / count;
        let mut squares = simd.splat(0.0);
        for x in vectors {
            let x = simd.sub(simd.load(x), simd.splat(mean));
            squares = simd.fma(x, x, squares);
        }
        let rest_squares: f32 = rest.iter().map(|x| (x - mean) * (x - mean)).sum();
        let variance = (simd::sum(simd, squares) + rest_squares) / count;
        let scale = self.gain / (variance + EPSILON).sqrt();
        let styled = |x: &[f32; LANES]| {
            let x = simd.sub(simd.load(x), simd.splat(mean));
            simd.fma(x, simd.splat(scale), simd.splat(self.offset))
        };
        let (alpha, inverse) = (simd.splat(self.alpha), simd.splat(1.0 / self.alpha));
        let (out, rest_out) = self.y.as_chunks_mut::<LANES>();
        for (y, x) in out.iter_mut().zip(vectors) {
            let x = styled(x);
            let wave = sine(simd, simd.mul(alpha, x));
            *y = simd.lanes(simd.fma(simd.mul(wave, wave), inverse, x));
        }
        let mut last = [0.0; LANES];
        last[..rest.len()].copy_from_slice(rest);
        let x = styled(&last);
        let wave = sine(simd, simd.mul(alpha, x));
        let last = simd.lanes(simd.fma(simd.mul(wave, wave), inverse, x));
        rest_out.copy_from_slice(&last[..rest_out.len()]);
    }
}

/// The sine, but for its sign (it is squared), within 1e-6 for arguments up to some thousands: reduced by
/// multiples of π (in two parts, the first of few enough bits that products are exact), then its Taylor
/// series.
#[inline(always)]
fn sine<S: Simd>(simd: S, x: S::Floats) -> S::Floats {
    /// Adding and taking away 1.5 · 2²³ rounds to whole numbers.
    const ROUND: f32 = 12_582_912.0;
    const PI_HIGH: f32 = 3.140_625;
    const PI_LOW: f32 = 9.676_536e-4;
    const SERIES: [f32; 5] = [-2.505_210_8e-8, 2.755_731_9e-6, -1.984_127e-4, 8.333_333e-3, -0.166_666_67];
    let round = simd.splat(ROUND);
    let turns = simd.mul(x, simd.splat(std::f32::consts::FRAC_1_PI));
    let turns = simd.sub(simd.add(turns, round), round);
    let x = simd.fma(turns, simd.splat(-PI_HIGH), x);
    let x = simd.fma(turns, simd.splat(-PI_LOW), x);
    let square = simd.mul(x, x);
    let mut series = simd.splat(SERIES[0]);
    for coefficient in &SERIES[1..] {
        series = simd.fma(series, square, simd.splat(*coefficient));
    }
    simd.fma(simd.mul(x, square), series, x)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sines(Vec<f32>);

    impl Kernel for Sines {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            self.0.as_chunks::<LANES>().0.iter().flat_map(|x| simd.lanes(sine(simd, simd.load(x)))).collect()
        }
    }

    #[test]
    fn the_sine_is_one_but_for_its_sign() {
        let angles: Vec<f32> = (-160_000..160_000).map(|step| step as f32 * 0.019).collect();
        for isa in Isa::available() {
            for (x, found) in angles.iter().zip(isa.run(Sines(angles.clone()))) {
                let expected = f64::from(*x).sin().abs();
                let found = f64::from(found).abs();
                assert!((expected - found).abs() < 1e-6, "{x}: {found}, not {expected}, {}", isa.name());
            }
        }
    }

    /// Lengths around that of a vector, against the tensor operations.
    #[test]
    fn fused_is_what_the_single_steps_are() {
        for frames in [1, 15, 16, 33, 200] {
            let x: Vec<f32> = (0..3 * frames).map(|at| (at as f32 * 0.7).sin() * 3.0 + 0.5).collect();
            let x = Tensor::from_vec(x, (1, 3, frames), &candle_core::Device::Cpu).expect("a tensor");
            let parameters = [[1.1_f32, 0.2, 0.7], [0.9, -0.3, 1.3], [1.0, 0.0, 40.0]];
            let parameters = Tensor::new(&[parameters], &candle_core::Device::Cpu).expect("a tensor");
            let part = |at| parameters.narrow(2, at, 1).expect("a column");
            let separate = |x: &Tensor| -> Result<Tensor, KokoroError> {
                let x =
                    standardised(x, f64::from(EPSILON))?.broadcast_mul(&part(0))?.broadcast_add(&part(1))?;
                let wave = x.broadcast_mul(&part(2))?.sin()?.sqr()?;
                Ok((x + wave.broadcast_div(&part(2))?)?)
            };
            let fused = x.apply_op2_no_bwd(&parameters, &Fused).expect("runs");
            let off = (fused - separate(&x).expect("runs")).and_then(|off| off.abs()?.flatten_all()?.max(0));
            let off = off.and_then(|off| off.to_scalar::<f32>()).expect("a number");
            assert!(off < 1e-5, "{frames} frames: off by {off}");
        }
    }
}

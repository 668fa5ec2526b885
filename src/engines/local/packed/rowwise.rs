//! What a transformer does to rows between its products. Each row's result depends on that row alone.

use super::simd::{self, Isa, Kernel, LANES, Simd};

/// RMS normalisation: each row of `values`, as long as `weights`, becomes
/// x / √(mean(x²) + epsilon) · weight.
///
/// # Panics
/// If `values` are not whole rows, or `out` is not as long.
pub fn rms_norm(values: &[f32], weights: &[f32], epsilon: f32, out: &mut [f32]) {
    rms_norm_with(Isa::best(), values, weights, epsilon, out);
}

pub(super) fn rms_norm_with(isa: Isa, values: &[f32], weights: &[f32], epsilon: f32, out: &mut [f32]) {
    assert!(!weights.is_empty() && values.len().is_multiple_of(weights.len()), "rows as long as the weights");
    assert_eq!(values.len(), out.len(), "as many outputs as values");
    isa.run(RmsNorm { values, weights, epsilon, out });
}

/// Layer normalisation: each row of `values`, as long as `weights`, becomes
/// (x − mean(x)) / √(variance(x) + epsilon) · weight + bias.
///
/// # Panics
/// If `values` are not whole rows, there are not as many biases as weights, or `out` is not as long as
/// `values`.
pub fn layer_norm(values: &[f32], weights: &[f32], biases: &[f32], epsilon: f32, out: &mut [f32]) {
    layer_norm_with(Isa::best(), values, weights, biases, epsilon, out);
}

pub(super) fn layer_norm_with(
    isa: Isa,
    values: &[f32],
    weights: &[f32],
    biases: &[f32],
    epsilon: f32,
    out: &mut [f32],
) {
    assert!(!weights.is_empty() && values.len().is_multiple_of(weights.len()), "rows as long as the weights");
    assert_eq!(weights.len(), biases.len(), "as many biases as weights");
    assert_eq!(values.len(), out.len(), "as many outputs as values");
    isa.run(LayerNorm { values, weights, biases, epsilon, out });
}

/// The Gaussian error linear unit in its exact form, x · Φ(x), in place; within 1e-6 of it.
pub fn gelu(values: &mut [f32]) {
    gelu_with(Isa::best(), values);
}

pub(super) fn gelu_with(isa: Isa, values: &mut [f32]) {
    isa.run(Gelu { values });
}

/// ln Σ e^x; −∞ of nothing and of nothing but −∞.
pub fn log_sum_exp(values: &[f32]) -> f32 {
    log_sum_exp_with(Isa::best(), values)
}

pub(super) fn log_sum_exp_with(isa: Isa, values: &[f32]) -> f32 {
    isa.run(LogSumExp { values })
}

/// The gate of a feed-forward layer: gate · sigmoid(gate) · up.
///
/// # Panics
/// If the three are not equally long.
pub fn swiglu(gate: &[f32], up: &[f32], out: &mut [f32]) {
    swiglu_with(Isa::best(), gate, up, out);
}

pub(super) fn swiglu_with(isa: Isa, gate: &[f32], up: &[f32], out: &mut [f32]) {
    assert!(gate.len() == up.len() && up.len() == out.len(), "gate, up and output are equally long");
    isa.run(Swiglu { gate, up, out });
}

/// Rotary position embedding of heads side by side, in place: pairs (i, i + head_dim / 2) of each head
/// ("NeoX" style) turn by the angles whose `cosines` and `sines`, `head_dim / 2` each, are given.
///
/// # Panics
/// If `heads` are not whole heads, or there are not as many sines as cosines.
pub fn rotate(heads: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let pairs = cosines.len();
    assert!(pairs > 0 && pairs == sines.len() && heads.len().is_multiple_of(2 * pairs), "whole heads");
    for head in heads.chunks_exact_mut(2 * pairs) {
        let (first, second) = head.split_at_mut(pairs);
        for (((x, y), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
            (*x, *y) = (*x * cosine - *y * sine, *y * cosine + *x * sine);
        }
    }
}

struct RmsNorm<'a> {
    values: &'a [f32],
    weights: &'a [f32],
    epsilon: f32,
    out: &'a mut [f32],
}

impl Kernel for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.weights.len();
        for (values, out) in self.values.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let mut squares = simd.splat(0.0);
            for_each_vector(values, |values| {
                let values = simd.load(values);
                squares = simd.fma(values, values, squares);
            });
            let scale = 1.0 / (simd::sum(simd, squares) / width as f32 + self.epsilon).sqrt();
            for ((out, value), weight) in out.iter_mut().zip(values).zip(self.weights) {
                *out = value * scale * weight;
            }
        }
    }
}

struct LayerNorm<'a> {
    values: &'a [f32],
    weights: &'a [f32],
    biases: &'a [f32],
    epsilon: f32,
    out: &'a mut [f32],
}

impl Kernel for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.weights.len();
        for (values, out) in self.values.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let mut sums = simd.splat(0.0);
            for_each_vector(values, |values| sums = simd.add(sums, simd.load(values)));
            let mean = simd::sum(simd, sums) / width as f32;
            for (out, value) in out.iter_mut().zip(values) {
                *out = value - mean;
            }
            let mut squares = simd.splat(0.0);
            for_each_vector(out, |values| {
                let values = simd.load(values);
                squares = simd.fma(values, values, squares);
            });
            let scale = 1.0 / (simd::sum(simd, squares) / width as f32 + self.epsilon).sqrt();
            for ((out, weight), bias) in out.iter_mut().zip(self.weights).zip(self.biases) {
                *out = *out * scale * weight + bias;
            }
        }
    }
}

struct Gelu<'a> {
    values: &'a mut [f32],
}

impl Kernel for Gelu<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (vectors, rest) = self.values.as_chunks_mut::<LANES>();
        for values in vectors {
            *values = gelu_of(simd, values);
        }
        rest.copy_from_slice(&gelu_of(simd, &filled(rest))[..rest.len()]);
    }
}

/// max(x, 0) − |x| · erfc(|x| / √2) / 2, with the complementary error function's formula 7.1.26 of
/// Abramowitz and Stegun, "Handbook of Mathematical Functions": a polynomial in 1 / (1 + p·z), times e^−z².
#[inline(always)]
fn gelu_of<S: Simd>(simd: S, values: &[f32; LANES]) -> [f32; LANES] {
    const P: f32 = 0.327_591_1;
    const POLYNOMIAL: [f32; 5] = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6];
    let x = simd.load(values);
    let (zero, one) = (simd.splat(0.0), simd.splat(1.0));
    let magnitude = simd.max(x, simd.sub(zero, x));
    let z = simd.mul(magnitude, simd.splat(std::f32::consts::FRAC_1_SQRT_2));
    let t = simd.div(one, simd.fma(z, simd.splat(P), one));
    let mut sum = simd.splat(POLYNOMIAL[0]);
    for coefficient in &POLYNOMIAL[1..] {
        sum = simd.fma(sum, t, simd.splat(*coefficient));
    }
    let complement = simd.mul(simd.mul(sum, t), simd::exp(simd, simd.sub(zero, simd.mul(z, z))));
    let less = simd.mul(simd.mul(magnitude, simd.splat(0.5)), complement);
    simd.lanes(simd.sub(simd.max(x, zero), less))
}

struct LogSumExp<'a> {
    values: &'a [f32],
}

impl Kernel for LogSumExp<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let (vectors, rest) = self.values.as_chunks::<LANES>();
        let mut last = [f32::NEG_INFINITY; LANES];
        last[..rest.len()].copy_from_slice(rest);
        let mut greatest = simd.load(&last);
        for values in vectors {
            greatest = simd.max(simd.load(values), greatest);
        }
        let greatest = simd::greatest(simd, greatest);
        if greatest == f32::NEG_INFINITY {
            return greatest;
        }
        let shift = simd.splat(greatest);
        let mut sums = simd::exp(simd, simd.sub(simd.load(&last), shift));
        for values in vectors {
            sums = simd.add(sums, simd::exp(simd, simd.sub(simd.load(values), shift)));
        }
        greatest + simd::sum(simd, sums).ln()
    }
}

struct Swiglu<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Swiglu<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (outs, rest_out) = self.out.as_chunks_mut::<LANES>();
        let (gates, rest_gate) = self.gate.as_chunks::<LANES>();
        let (ups, rest_up) = self.up.as_chunks::<LANES>();
        for ((out, gate), up) in outs.iter_mut().zip(gates).zip(ups) {
            *out = gated(simd, gate, up);
        }
        rest_out.copy_from_slice(&gated(simd, &filled(rest_gate), &filled(rest_up))[..rest_out.len()]);
    }
}

#[inline(always)]
fn gated<S: Simd>(simd: S, gate: &[f32; LANES], up: &[f32; LANES]) -> [f32; LANES] {
    let (gate, up) = (simd.load(gate), simd.load(up));
    let minus = simd.sub(simd.splat(0.0), gate);
    let denominator = simd.add(simd.splat(1.0), simd::exp(simd, minus));
    simd.lanes(simd.mul(simd.div(gate, denominator), up))
}

/// All of `values`, sixteen at a time, the last filled up with zeros.
#[inline(always)]
fn for_each_vector(values: &[f32], mut visit: impl FnMut(&[f32; LANES])) {
    let (vectors, rest) = values.as_chunks::<LANES>();
    vectors.iter().for_each(&mut visit);
    if !rest.is_empty() {
        visit(&filled(rest));
    }
}

/// Fewer than sixteen values and zeros.
#[inline(always)]
fn filled(values: &[f32]) -> [f32; LANES] {
    let mut all = [0.0; LANES];
    all[..values.len()].copy_from_slice(values);
    all
}

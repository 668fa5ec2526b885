//! Functions of rows.

use super::super::rowwise::{gelu_with, layer_norm_with, log_sum_exp_with, rms_norm_with, swiglu_with};
use super::super::simd::{self, Isa, Kernel, Simd};
use super::super::{layer_norm, rms_norm, rotate};
use super::{Random, bits};

struct Exp([f32; 16]);

impl Kernel for Exp {
    type Output = [f32; 16];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [f32; 16] {
        simd.lanes(simd::exp(simd, simd.load(&self.0)))
    }
}

#[test]
fn the_exponential_is_exact_to_the_last_places() {
    let mut random = Random::new(20);
    for isa in Isa::available() {
        for _ in 0..1000 {
            let x: [f32; 16] = std::array::from_fn(|_| random.float() * 87.0);
            for (x, ours) in x.iter().zip(isa.run(Exp(x))) {
                let exact = f64::from(*x).exp();
                assert!(
                    (f64::from(ours) / exact - 1.0).abs() < 2.5e-7,
                    "{}: e^{x} is not {ours}",
                    isa.name()
                );
            }
        }
        // Beyond, it stays a number.
        let ends = isa.run(Exp([f32::NEG_INFINITY; 16]));
        assert!(ends.iter().all(|end| (0.0..1e-37).contains(end)), "{ends:?}");
        let ends = isa.run(Exp([1e30; 16]));
        assert!(ends.iter().all(|end| end.is_finite() && *end > 1e38), "{ends:?}");
        assert_eq!(isa.run(Exp([0.0; 16])), [1.0; 16]);
    }
}

#[test]
fn norms_are_their_definition_and_of_each_row_alone() {
    let mut random = Random::new(21);
    for width in [1, 8, 16, 100, 1024] {
        let (values, weights) = (random.floats(3 * width), random.floats(width));
        for isa in Isa::available() {
            let mut out = vec![f32::NAN; 3 * width];
            rms_norm_with(isa, &values, &weights, 1e-6, &mut out);
            for (row, ours) in values.chunks(width).zip(out.chunks(width)) {
                let mean = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / width as f64;
                for ((x, weight), ours) in row.iter().zip(&weights).zip(ours) {
                    let expected = f64::from(*x) / (mean + 1e-6).sqrt() * f64::from(*weight);
                    assert!((f64::from(*ours) - expected).abs() < 2e-6, "{width} {}", isa.name());
                }
            }
        }
        let mut out = vec![f32::NAN; 3 * width];
        rms_norm(&values, &weights, 1e-6, &mut out);
        let mut alone = vec![f32::NAN; width];
        rms_norm(&values[width..2 * width], &weights, 1e-6, &mut alone);
        assert_eq!(bits(&out[width..2 * width]), bits(&alone));
    }
}

#[test]
fn gates_are_their_definition() {
    let mut random = Random::new(22);
    for len in [1, 16, 47, 300] {
        let gate: Vec<f32> = random.floats(len).iter().map(|gate| gate * 100.0).collect();
        let up = random.floats(len);
        for isa in Isa::available() {
            let mut out = vec![f32::NAN; len];
            swiglu_with(isa, &gate, &up, &mut out);
            for ((gate, up), ours) in gate.iter().zip(&up).zip(out) {
                let (gate, up) = (f64::from(*gate), f64::from(*up));
                let expected = gate / (1.0 + (-gate).exp()) * up;
                let error = (f64::from(ours) - expected).abs();
                assert!(error <= expected.abs() * 1e-6 + 1e-30, "{gate} {up}: {ours} for {expected}");
            }
        }
    }
}

#[test]
fn pairs_turn_by_their_angles() {
    let angles: [f32; 2] = [std::f32::consts::FRAC_PI_2, 0.25];
    let mut heads = [1.0, 2.0, 3.0, 4.0, -1.0, 0.0, 0.5, 1.0];
    rotate(&mut heads, &angles.map(f32::cos), &angles.map(f32::sin));
    let (cos, sin) = (0.25f32.cos(), 0.25f32.sin());
    let expected = [-3.0, 2.0 * cos - 4.0 * sin, 1.0, 4.0 * cos + 2.0 * sin, -0.5, -sin, -1.0, cos];
    for (ours, expected) in heads.iter().zip(expected) {
        assert!((ours - expected).abs() < 1e-6, "{heads:?} for {expected:?}");
    }
}

#[test]
fn layer_norms_are_their_definition_and_of_each_row_alone() {
    let mut random = Random::new(31);
    for width in [1, 8, 16, 100, 1024] {
        let (mut values, weights, biases) =
            (random.floats(3 * width), random.floats(width), random.floats(width));
        // Far from zero: the variance is that around the mean.
        values[..width].iter_mut().for_each(|value| *value += 100.0);
        for isa in Isa::available() {
            let mut out = vec![f32::NAN; 3 * width];
            layer_norm_with(isa, &values, &weights, &biases, 1e-5, &mut out);
            for (row, ours) in values.chunks(width).zip(out.chunks(width)) {
                let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / width as f64;
                let squares = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>();
                let scale = 1.0 / (squares / width as f64 + 1e-5).sqrt();
                for (((x, weight), bias), ours) in row.iter().zip(&weights).zip(&biases).zip(ours) {
                    let expected = (f64::from(*x) - mean) * scale * f64::from(*weight) + f64::from(*bias);
                    assert!((f64::from(*ours) - expected).abs() < 2e-4, "{width} {}", isa.name());
                }
            }
        }
        let mut out = vec![f32::NAN; 3 * width];
        layer_norm(&values, &weights, &biases, 1e-5, &mut out);
        let mut alone = vec![f32::NAN; width];
        layer_norm(&values[width..2 * width], &weights, &biases, 1e-5, &mut alone);
        assert_eq!(bits(&out[width..2 * width]), bits(&alone));
    }
}

/// Φ by its series in 64 bits: 1/2 + φ(x) · (x + x³/3 + x⁵/15 + …).
fn normal_distribution(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..400 {
        term *= x * x / f64::from(2 * n + 1);
        sum += term;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[test]
fn the_gelu_is_the_exact_one() {
    let inputs: Vec<f32> = (-800..=800).map(|step| step as f32 / 100.0).collect();
    for isa in Isa::available() {
        let mut outputs = inputs.clone();
        gelu_with(isa, &mut outputs);
        for (x, ours) in inputs.iter().zip(&outputs) {
            let expected = f64::from(*x) * normal_distribution(f64::from(*x));
            assert!((f64::from(*ours) - expected).abs() < 1e-6, "{}: gelu({x}) is not {ours}", isa.name());
        }
        let mut ends = [1e30, -1e30, 0.0];
        gelu_with(isa, &mut ends);
        assert_eq!(ends, [1e30, 0.0, 0.0]);
    }
}

#[test]
fn the_sum_of_exponentials_neither_overflows_nor_minds_what_is_impossible() {
    let mut random = Random::new(33);
    for isa in Isa::available() {
        for count in [1, 15, 16, 17, 1000] {
            let values: Vec<f32> = random.floats(count).iter().map(|value| 100.0 + value * 10.0).collect();
            let expected = values.iter().map(|value| f64::from(*value).exp()).sum::<f64>().ln();
            let ours = f64::from(log_sum_exp_with(isa, &values));
            assert!((ours - expected).abs() < 2e-5, "{count} {}: {ours} for {expected}", isa.name());
        }
        let mut values = [f32::NEG_INFINITY; 40];
        assert_eq!(log_sum_exp_with(isa, &values), f32::NEG_INFINITY);
        assert_eq!(log_sum_exp_with(isa, &[]), f32::NEG_INFINITY);
        values[20] = 3.0;
        assert!((log_sum_exp_with(isa, &values) - 3.0).abs() < 1e-6);
    }
}

//! Rotary position embedding: which angle each pair of a head's columns turns by at a position.
//!
//! Pairs are `(i, i + head_dim/2)` ("NeoX" style) everywhere; checkpoints that pair `(2i, 2i+1)` have
//! their rows brought into this order when they are loaded. Angles are 32-bit floats made from the
//! whole position at each step, as transformers 5.23 makes them (`modeling_rope_utils.py`): there is no table
//! to outgrow, and no 16-bit position that stops being exact at 2048.

use candle_core::{Device, Result, Tensor};

use crate::engines::local::checkpoint::{DecoderConfig, RopeScaling};

/// The frequencies of one model.
#[derive(Debug, Clone)]
pub struct Rope {
    /// Radians per position, `[head_dim / 2]`.
    frequencies: Vec<f32>,
}

/// Cosines and sines for the rows of a step, `[n, head_dim / 2]` each.
#[derive(Debug, Clone)]
pub struct Rotations {
    /// Cosines.
    pub cos: Tensor,
    /// Sines.
    pub sin: Tensor,
}

impl Rope {
    /// Frequencies as the config asks for them.
    pub fn new(config: &DecoderConfig) -> Rope {
        let pairs = config.head_dim / 2;
        let plain = (0..pairs).map(|pair| {
            let exponent = (2 * pair) as f32 / config.head_dim as f32;
            // The power in 64 bits: an error in its last place grows with the position.
            1.0 / (f64::from(config.rope_theta).powf(f64::from(exponent)) as f32)
        });
        let frequencies = match &config.rope_scaling {
            RopeScaling::None => plain.collect(),
            RopeScaling::Linear { factor } => plain.map(|frequency| frequency / factor).collect(),
            RopeScaling::Factors(factors) => {
                plain.zip(factors).map(|(frequency, factor)| frequency / factor).collect()
            }
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position } => plain
                .map(|frequency| {
                    let wavelength = 2.0 * std::f32::consts::PI / frequency;
                    if wavelength < original_max_position / high_freq_factor {
                        frequency
                    } else if wavelength > original_max_position / low_freq_factor {
                        frequency / factor
                    } else {
                        let kept = (original_max_position / wavelength - low_freq_factor)
                            / (high_freq_factor - low_freq_factor);
                        (1.0 - kept) * frequency / factor + kept * frequency
                    }
                })
                .collect(),
        };
        Rope { frequencies }
    }

    /// Rotations of rows at the given positions.
    pub fn at(&self, positions: impl Iterator<Item = usize>, device: &Device) -> Result<Rotations> {
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for position in positions {
            for frequency in &self.frequencies {
                // Positions are below 2²⁴ (a limit of the config), so exact as 32-bit floats.
                let (s, c) = (position as f32 * frequency).sin_cos();
                cos.push(c);
                sin.push(s);
            }
        }
        let pairs = self.frequencies.len();
        let shape = (cos.len() / pairs, pairs);
        Ok(Rotations {
            cos: Tensor::from_vec(cos, shape, device)?,
            sin: Tensor::from_vec(sin, shape, device)?,
        })
    }
}

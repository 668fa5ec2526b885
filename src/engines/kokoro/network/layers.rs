//! The layers that the parts of the network share. Signals are [1, channels, frames], f32.

use candle_core::{D, Tensor};

use super::weights::Weights;
use crate::engines::kokoro::error::KokoroError;

type Result<T> = std::result::Result<T, KokoroError>;

/// `x · Wᵀ + b` over the last axis.
pub struct Linear {
    /// [in, out]
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Where its weights are.
    pub fn device(&self) -> &candle_core::Device {
        self.weight.device()
    }

    /// Of `weight` `[out, in]` and `bias` `[out]`.
    pub fn load(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Linear> {
        let weight = weights.get("weight", &[outputs, inputs])?.t()?.contiguous()?;
        Ok(Linear { weight, bias: weights.bias(outputs)? })
    }

    /// [rows, in] → [rows, out]
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.matmul(&self.weight)?.broadcast_add(&self.bias)?)
    }
}

/// Layer norm over the last axis.
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    /// Under the names `weight` and `bias`, or others.
    pub fn load(
        weights: &Weights<'_>,
        [weight, bias]: [&str; 2],
        size: usize,
        epsilon: f64,
    ) -> Result<LayerNorm> {
        Ok(LayerNorm { weight: weights.get(weight, &[size])?, bias: weights.get(bias, &[size])?, epsilon })
    }

    /// [rows, size] → the same
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let normed = standardised(x, self.epsilon)?;
        Ok(normed.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)?)
    }
}

/// Mean 0 and variance 1 over the last axis (the variance is the biased one).
pub fn standardised(x: &Tensor, epsilon: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    Ok(centred.broadcast_div(&(variance + epsilon)?.sqrt()?)?)
}

/// `x` where it is positive, else `slope · x`.
pub fn leaky_relu(x: &Tensor, slope: f64) -> Result<Tensor> {
    Ok(x.maximum(&(x * slope)?)?)
}

/// A convolution over frames.
pub struct Conv {
    /// [out, in, kernel]
    weight: Tensor,
    /// [1, out, 1]
    bias: Option<Tensor>,
    stride: usize,
    padding: usize,
    dilation: usize,
}

impl Conv {
    /// Weight-normalised, of the same number of frames.
    pub fn normed(
        weights: &Weights<'_>,
        inputs: usize,
        outputs: usize,
        kernel: usize,
        dilation: usize,
    ) -> Result<Conv> {
        let weight = weights.normed(&[outputs, inputs, kernel])?;
        let padding = dilation * (kernel - 1) / 2;
        Ok(Conv { weight, bias: Some(column(weights, outputs)?), stride: 1, padding, dilation })
    }

    /// Weight-normalised, one value wide, without bias: changes the number of channels.
    pub fn channels(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Conv> {
        let weight = weights.normed(&[outputs, inputs, 1])?;
        Ok(Conv { weight, bias: None, stride: 1, padding: 0, dilation: 1 })
    }

    /// Weight-normalised, every second frame.
    pub fn halving(weights: &Weights<'_>) -> Result<Conv> {
        let weight = weights.normed(&[1, 1, 3])?;
        Ok(Conv { weight, bias: Some(column(weights, 1)?), stride: 2, padding: 1, dilation: 1 })
    }

    /// A plain one.
    pub fn plain(
        weights: &Weights<'_>,
        [outputs, inputs, kernel]: [usize; 3],
        stride: usize,
        padding: usize,
    ) -> Result<Conv> {
        let weight = weights.get("weight", &[outputs, inputs, kernel])?;
        Ok(Conv { weight, bias: Some(column(weights, outputs)?), stride, padding, dilation: 1 })
    }

    /// [1, in, frames] → [1, out, frames']
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.conv1d(&self.weight, self.padding, self.stride, self.dilation, 1)?;
        Ok(match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }
}

/// A bias as [1, size, 1].
fn column(weights: &Weights<'_>, size: usize) -> Result<Tensor> {
    Ok(weights.bias(size)?.reshape((1, size, 1))?)
}

/// Adaptive instance norm: each channel standardised, then scaled and moved as the style says.
pub struct AdaIn {
    fc: Linear,
    channels: usize,
}

impl AdaIn {
    /// `fc` of `weights`.
    pub fn load(weights: &Weights<'_>, style: usize, channels: usize) -> Result<AdaIn> {
        Ok(AdaIn { fc: Linear::load(&weights.pp("fc"), style, 2 * channels)?, channels })
    }

    /// [1, channels, frames], style [1, style] → the same
    pub fn forward(&self, x: &Tensor, style: &Tensor) -> Result<Tensor> {
        let changes = self.fc.forward(style)?.reshape((1, 2 * self.channels, 1))?;
        let gain = (changes.narrow(1, 0, self.channels)? + 1.0)?;
        let offset = changes.narrow(1, self.channels, self.channels)?;
        Ok(standardised(x, 1e-5)?.broadcast_mul(&gain)?.broadcast_add(&offset)?)
    }
}

/// A residual block with style that may double the number of frames.
pub struct StyledBlock {
    norm1: AdaIn,
    norm2: AdaIn,
    conv1: Conv,
    conv2: Conv,
    shortcut: Option<Conv>,
    /// Depthwise transposed convolution: weight [channels, 1, 3] as three columns, and bias.
    doubling: Option<([Tensor; 3], Tensor)>,
}

impl StyledBlock {
    /// `AdainResBlk1d` of the reference.
    pub fn load(
        weights: &Weights<'_>,
        inputs: usize,
        outputs: usize,
        style: usize,
        doubles: bool,
    ) -> Result<StyledBlock> {
        let doubling = if doubles {
            let pool = weights.pp("pool");
            let weight = pool.normed(&[inputs, 1, 3])?;
            let tap = |tap: usize| weight.narrow(2, tap, 1)?.reshape((1, inputs, 1));
            Some(([tap(0)?, tap(1)?, tap(2)?], column(&pool, inputs)?))
        } else {
            None
        };
        let shortcut = (inputs != outputs).then(|| Conv::channels(&weights.pp("conv1x1"), inputs, outputs));
        Ok(StyledBlock {
            norm1: AdaIn::load(&weights.pp("norm1"), style, inputs)?,
            norm2: AdaIn::load(&weights.pp("norm2"), style, outputs)?,
            conv1: Conv::normed(&weights.pp("conv1"), inputs, outputs, 3, 1)?,
            conv2: Conv::normed(&weights.pp("conv2"), outputs, outputs, 3, 1)?,
            shortcut: shortcut.transpose()?,
            doubling,
        })
    }

    /// [1, in, frames] → [1, out, frames or twice as many]
    pub fn forward(&self, x: &Tensor, style: &Tensor) -> Result<Tensor> {
        let mut y = leaky_relu(&self.norm1.forward(x, style)?, 0.2)?;
        if let Some((taps, bias)) = &self.doubling {
            y = doubled(&y, taps, bias)?;
        }
        y = self.conv1.forward(&y)?;
        y = leaky_relu(&self.norm2.forward(&y, style)?, 0.2)?;
        y = self.conv2.forward(&y)?;
        let mut short = x.clone();
        if self.doubling.is_some() {
            short = repeated(&short)?;
        }
        if let Some(shortcut) = &self.shortcut {
            short = shortcut.forward(&short)?;
        }
        Ok(((y + short)? * std::f64::consts::FRAC_1_SQRT_2)?)
    }
}

/// Transposed convolution of kernel 3, stride 2, padding 1 and output padding 1, each channel by itself:
/// even frames see the middle tap, odd ones the last of this frame and the first of the next.
fn doubled(x: &Tensor, [first, middle, last]: &[Tensor; 3], bias: &Tensor) -> Result<Tensor> {
    let (_, channels, frames) = x.dims3()?;
    let even = x.broadcast_mul(middle)?;
    let next = x.narrow(2, 1, frames - 1)?.pad_with_zeros(2, 0, 1)?;
    let odd = (x.broadcast_mul(last)? + next.broadcast_mul(first)?)?;
    let both = Tensor::stack(&[even, odd], 3)?.reshape((1, channels, 2 * frames))?;
    Ok(both.broadcast_add(bias)?)
}

/// Every frame twice.
fn repeated(x: &Tensor) -> Result<Tensor> {
    let (_, channels, frames) = x.dims3()?;
    Ok(Tensor::stack(&[x, x], 3)?.reshape((1, channels, 2 * frames))?)
}

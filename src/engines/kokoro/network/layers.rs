//! The layers that the parts of the network share. Signals are [1, channels, frames], f32.

use candle_core::quantized::GgmlDType;
use candle_core::{D, Tensor};

use super::convolution::{Convolution, Transposed};
use super::on_cpu::Dense;
use super::weights::Weights;
use crate::engines::kokoro::error::KokoroError;
use crate::engines::local::packed::PackedMatrix;

type Result<T> = std::result::Result<T, KokoroError>;

/// `x · Wᵀ + b` over the last axis.
pub struct Linear(LinearWay);

enum LinearWay {
    Packed(Dense),
    /// weight [in, out]
    Tensors {
        weight: Tensor,
        bias: Tensor,
    },
}

impl Linear {
    /// Of `weight` `[out, in]` and `bias` `[out]`.
    pub fn load(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Linear> {
        Linear::of(&weights.get("weight", &[outputs, inputs])?, weights.bias(outputs)?)
    }

    /// Of a weight `[out, in]` and a bias `[out]`.
    pub fn of(weight: &Tensor, bias: Tensor) -> Result<Linear> {
        let (outputs, inputs) = weight.dims2()?;
        if !weight.device().is_cpu() {
            return Ok(Linear(LinearWay::Tensors { weight: weight.t()?.contiguous()?, bias }));
        }
        let weight: Vec<f32> = weight.flatten_all()?.to_vec1()?;
        let bytes: Vec<u8> = weight.iter().flat_map(|value| value.to_le_bytes()).collect();
        let matrix = PackedMatrix::pack(GgmlDType::F32, outputs, inputs, &bytes)
            .map_err(|error| KokoroError::Network(error.to_string()))?;
        Ok(Linear(LinearWay::Packed(Dense { matrix, bias: bias.to_vec1()? })))
    }

    /// [rows, in] → [rows, out]
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.0 {
            LinearWay::Packed(dense) => Ok(x.contiguous()?.apply_op1_no_bwd(dense)?),
            LinearWay::Tensors { weight, bias } => Ok(x.matmul(weight)?.broadcast_add(bias)?),
        }
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
pub struct Conv(Way);

enum Way {
    /// On the processor.
    Packed(Convolution),
    /// Elsewhere, and where frames are left out: weight [out, in, kernel], bias [1, out, 1].
    Tensors { weight: Tensor, bias: Option<Tensor>, stride: usize, padding: usize, dilation: usize },
}

impl Conv {
    fn of(
        weight: Tensor,
        bias: Option<Tensor>,
        stride: usize,
        padding: usize,
        dilation: usize,
    ) -> Result<Conv> {
        if stride > 1 || !weight.device().is_cpu() {
            let bias = bias.map(|bias| bias.reshape((1, (), 1))).transpose()?;
            return Ok(Conv(Way::Tensors { weight, bias, stride, padding, dilation }));
        }
        let (outputs, inputs, kernel) = weight.dims3()?;
        let bias = bias.map(|bias| bias.to_vec1::<f32>()).transpose()?.unwrap_or_default();
        let weights: Vec<f32> = weight.flatten_all()?.to_vec1()?;
        let shape = [outputs, inputs, kernel];
        Ok(Conv(Way::Packed(Convolution::new(&weights, &bias, shape, padding, dilation))))
    }

    /// Weight-normalised, of the same number of frames.
    pub fn normed(
        weights: &Weights<'_>,
        inputs: usize,
        outputs: usize,
        kernel: usize,
        dilation: usize,
    ) -> Result<Conv> {
        let weight = weights.normed(&[outputs, inputs, kernel])?;
        Conv::of(weight, Some(weights.bias(outputs)?), 1, dilation * (kernel - 1) / 2, dilation)
    }

    /// Weight-normalised, one value wide, without bias: changes the number of channels.
    pub fn channels(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Conv> {
        Conv::of(weights.normed(&[outputs, inputs, 1])?, None, 1, 0, 1)
    }

    /// Weight-normalised, every second frame.
    pub fn halving(weights: &Weights<'_>) -> Result<Conv> {
        Conv::of(weights.normed(&[1, 1, 3])?, Some(weights.bias(1)?), 2, 1, 1)
    }

    /// A plain one.
    pub fn plain(
        weights: &Weights<'_>,
        [outputs, inputs, kernel]: [usize; 3],
        stride: usize,
        padding: usize,
    ) -> Result<Conv> {
        let weight = weights.get("weight", &[outputs, inputs, kernel])?;
        Conv::of(weight, Some(weights.bias(outputs)?), stride, padding, 1)
    }

    /// [1, in, frames] → [1, out, frames']
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Way::Packed(convolution) => Ok(x.contiguous()?.apply_op1_no_bwd(convolution)?),
            Way::Tensors { weight, bias, stride, padding, dilation } => {
                let y = x.conv1d(weight, *padding, *stride, *dilation, 1)?;
                Ok(match bias {
                    Some(bias) => y.broadcast_add(bias)?,
                    None => y,
                })
            }
        }
    }

    /// The same, plus `residual` [1, out, frames'].
    pub fn forward_onto(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Way::Packed(convolution) => {
                Ok(x.contiguous()?.apply_op2_no_bwd(&residual.contiguous()?, convolution)?)
            }
            Way::Tensors { .. } => Ok((self.forward(x)? + residual)?),
        }
    }
}

/// A transposed convolution, which raises the number of frames.
pub struct Raise(RaiseWay);

enum RaiseWay {
    Packed(Transposed),
    /// weight [in, out, kernel], bias [1, out, 1].
    Tensors {
        weight: Tensor,
        bias: Tensor,
        rate: usize,
        padding: usize,
    },
}

impl Raise {
    /// Weight-normalised; each frame becomes `rate`.
    pub fn normed(
        weights: &Weights<'_>,
        [inputs, outputs, kernel]: [usize; 3],
        rate: usize,
    ) -> Result<Raise> {
        let (weight, bias) = (weights.normed(&[inputs, outputs, kernel])?, weights.bias(outputs)?);
        let padding = (kernel - rate) / 2;
        if !weight.device().is_cpu() {
            let bias = bias.reshape((1, outputs, 1))?;
            return Ok(Raise(RaiseWay::Tensors { weight, bias, rate, padding }));
        }
        let (weight, bias): (Vec<f32>, Vec<f32>) = (weight.flatten_all()?.to_vec1()?, bias.to_vec1()?);
        let shape = [inputs, outputs, kernel];
        Ok(Raise(RaiseWay::Packed(Transposed::new(&weight, &bias, shape, rate, padding))))
    }

    /// [1, in, frames] → [1, out, frames · rate]
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.0 {
            RaiseWay::Packed(transposed) => Ok(x.contiguous()?.apply_op1_no_bwd(transposed)?),
            RaiseWay::Tensors { weight, bias, rate, padding } => {
                // The padding is cut off behind it, which lets candle take its faster way.
                let y = x.conv_transpose1d(weight, 0, 0, *rate, 1, 1)?;
                Ok(y.narrow(2, *padding, x.dim(2)? * rate)?.broadcast_add(bias)?)
            }
        }
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

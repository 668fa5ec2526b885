//! Frames → samples: transposed convolutions with residual blocks, steered by the source's spectra, then
//! the inverse short-time Fourier transform.
//!
//! Reference: `Generator` and `AdaINResBlock1` of kokoro 0.9.4.

use candle_core::{Device, Tensor};

use super::layers::{Conv, Raise, leaky_relu};
use super::snake::StyledSnake;
use super::source::{Source, Stft, seeded_noise};
use super::weights::Weights;
use crate::engines::kokoro::error::KokoroError;
use crate::engines::kokoro::settings::Settings;

type Result<T> = std::result::Result<T, KokoroError>;

/// Of the source's noise.
const SEED: u64 = 0x6b6f_6b6f_726f;

/// The vocoder.
pub struct Generator {
    source: Source,
    stft: Stft,
    stages: Vec<Stage>,
    post: Conv,
    bins: usize,
}

/// One step up in rate.
struct Stage {
    up: Raise,
    noise_conv: Conv,
    noise_block: ResBlock,
    blocks: Vec<ResBlock>,
}

/// Residual convolutions of growing dilation.
struct ResBlock(Vec<(StyledSnake, Conv, StyledSnake, Conv)>);

impl ResBlock {
    fn load(
        weights: &Weights<'_>,
        channels: usize,
        kernel: usize,
        dilations: &[usize],
        style: usize,
    ) -> Result<ResBlock> {
        let mut layers = vec![];
        for (at, &dilation) in dilations.iter().enumerate() {
            let snake = |half: usize| {
                let alpha = weights.get(&format!("alpha{half}.{at}"), &[1, channels, 1])?;
                StyledSnake::load(&weights.pp(format!("adain{half}.{at}")), alpha, style, channels)
            };
            let conv = |half: usize, dilation: usize| {
                Conv::normed(&weights.pp(format!("convs{half}.{at}")), channels, channels, kernel, dilation)
            };
            layers.push((snake(1)?, conv(1, dilation)?, snake(2)?, conv(2, 1)?));
        }
        Ok(ResBlock(layers))
    }

    fn forward(&self, x: &Tensor, style: &Tensor, check: Check<'_>) -> Result<Tensor> {
        let mut x = x.clone();
        for (snake1, conv1, snake2, conv2) in &self.0 {
            check()?;
            let y = conv1.forward(&snake1.forward(&x, style)?)?;
            x = conv2.forward_onto(&snake2.forward(&y, style)?, &x)?;
        }
        Ok(x)
    }
}

/// Asked between stages; an error ends the work.
pub type Check<'c> = &'c dyn Fn() -> Result<()>;

impl Generator {
    /// `generator` of the part `decoder`.
    pub fn load(weights: &Weights<'_>, settings: &Settings) -> Result<Generator> {
        let istft = &settings.istftnet;
        let style = settings.style_dim;
        let bins = istft.gen_istft_n_fft / 2 + 1;
        let count = istft.upsample_rates.len();
        let blocks_each = istft.resblock_kernel_sizes.len();
        let mut stages = vec![];
        let mut channels = istft.upsample_initial_channel;
        for (at, (&rate, &kernel)) in
            istft.upsample_rates.iter().zip(&istft.upsample_kernel_sizes).enumerate()
        {
            let (inputs, outputs) = (channels, channels / 2);
            channels = outputs;
            let up = weights.pp(format!("ups.{at}"));
            let rest: usize = istft.upsample_rates[at + 1..].iter().product();
            let (noise_shape, stride, padding, noise_kernel) = if at + 1 < count {
                ([outputs, 2 * bins, 2 * rest], rest, rest.div_ceil(2), 7)
            } else {
                ([outputs, 2 * bins, 1], 1, 0, 11)
            };
            let noise_block = weights.pp(format!("noise_res.{at}"));
            let mut blocks = vec![];
            let shapes = istft.resblock_kernel_sizes.iter().zip(&istft.resblock_dilation_sizes);
            for (block, (&kernel, dilations)) in shapes.enumerate() {
                let weights = weights.pp(format!("resblocks.{}", at * blocks_each + block));
                blocks.push(ResBlock::load(&weights, outputs, kernel, dilations, style)?);
            }
            stages.push(Stage {
                up: Raise::normed(&up, [inputs, outputs, kernel], rate)?,
                noise_conv: Conv::plain(
                    &weights.pp(format!("noise_convs.{at}")),
                    noise_shape,
                    stride,
                    padding,
                )?,
                noise_block: ResBlock::load(&noise_block, outputs, noise_kernel, &[1, 3, 5], style)?,
                blocks,
            });
        }
        let scale = settings.samples_per_frame() / 2;
        Ok(Generator {
            source: Source::load(&weights.pp("m_source"), scale)?,
            stft: Stft::new(istft.gen_istft_n_fft, istft.gen_istft_hop_size),
            stages,
            post: Conv::normed(&weights.pp("conv_post"), channels, 2 * bins, 7, 1)?,
            bins,
        })
    }

    /// The source's spectra [1, 2 · bins, frames] of a pitch curve in Hz. `noise`: none for comparisons.
    pub fn spectra(&self, pitch_hz: &[f32], noise: bool, device: &Device) -> Result<Tensor> {
        let source = |harmonic: usize| {
            let mut seeded = seeded_noise(SEED + harmonic as u64);
            move || if noise { seeded() } else { 0.0 }
        };
        let excitation = self.source.excite(pitch_hz, source);
        let (spectra, frames) = self.stft.analyse(&excitation);
        Ok(Tensor::from_vec(spectra, (1, 2 * self.bins, frames), device)?)
    }

    /// x [1, channels, half frames], style [1, style], spectra of the source → samples.
    pub fn forward(
        &self,
        x: &Tensor,
        style: &Tensor,
        spectra: &Tensor,
        check: Check<'_>,
    ) -> Result<Vec<f32>> {
        let mut x = x.clone();
        let last = self.stages.len().saturating_sub(1);
        for (at, stage) in self.stages.iter().enumerate() {
            x = leaky_relu(&x, 0.1)?;
            let noise = stage.noise_conv.forward(spectra)?;
            let noise = stage.noise_block.forward(&noise, style, check)?;
            x = stage.up.forward(&x)?;
            if at == last {
                // One frame more, mirrored: there is a spectrum at both ends.
                x = Tensor::cat(&[&x.narrow(2, 1, 1)?, &x], 2)?;
            }
            x = (x + noise)?;
            let mut sum: Option<Tensor> = None;
            for block in &stage.blocks {
                let y = block.forward(&x, style, check)?;
                sum = Some(match sum {
                    Some(sum) => (sum + y)?,
                    None => y,
                });
            }
            if let Some(sum) = sum {
                x = (sum / stage.blocks.len() as f64)?;
            }
        }
        check()?;
        let x = self.post.forward(&leaky_relu(&x, 0.01)?)?;
        let frames = x.dim(2)?;
        let magnitudes: Vec<f32> = x.narrow(1, 0, self.bins)?.exp()?.flatten_all()?.to_vec1()?;
        let phases: Vec<f32> = x.narrow(1, self.bins, self.bins)?.sin()?.flatten_all()?.to_vec1()?;
        Ok(self.stft.synthesise(&magnitudes, &phases, frames))
    }
}

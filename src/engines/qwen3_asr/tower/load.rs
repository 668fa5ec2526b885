//! From a folder to the tower: names, order of weights, types.

use super::convolution::{Convolution, KERNEL};
use super::{Layer, Tower};
use crate::engines::layers::{FeedForward, LayerNorm, Linear};
use crate::engines::local::checkpoint::{CheckpointError, RawTensor, SafetensorsFolder};
use crate::engines::qwen3_asr::config::TowerConfig;
use crate::engines::qwen3_asr::layout::Layout;

/// The longest wavelength of the sinusoids, in rows, by 2π.
const MAX_TIMESCALE: f32 = 10_000.0;

pub(super) fn load(
    folder: &SafetensorsFolder,
    config: TowerConfig,
    eight_bits: bool,
) -> Result<Tower, CheckpointError> {
    let layout = Layout::of(folder);
    layout.check(folder, &config)?;
    let tensors = Tensors { folder, prefix: layout.tower(), eight_bits };
    let outside = Tensors { prefix: "", ..tensors };
    let [first, second] = layout.projector();
    Ok(Tower {
        // The first one, whose input has a wide range and few columns, stays exact: it takes no time.
        convolutions: [
            Tensors { eight_bits: false, ..tensors }.convolution("conv2d1")?,
            tensors.convolution("conv2d2")?,
            tensors.convolution("conv2d3")?,
        ],
        to_row: tensors.row_product(&config)?,
        positions: positions(config.chunk_rows(config.chunk_frames()), config.d_model),
        layers: (0..config.encoder_layers)
            .map(|index| tensors.layer(&format!("layers.{index}")))
            .collect::<Result<_, _>>()?,
        norm: tensors.norm("ln_post")?,
        projector: [outside.linear(first)?, outside.linear(second)?],
        config,
    })
}

/// Sines, then cosines: `[rows, width]`.
fn positions(rows: usize, width: usize) -> Vec<f32> {
    let frequencies = width / 2;
    let step = MAX_TIMESCALE.ln() / (frequencies - 1) as f32;
    let angle = |row: usize, at: usize| row as f32 * (-step * at as f32).exp();
    let row = |row: usize| {
        let sines = (0..frequencies).map(move |at| angle(row, at).sin());
        sines.chain((0..frequencies).map(move |at| angle(row, at).cos()))
    };
    (0..rows).flat_map(row).collect()
}

/// A folder whose names and shapes have been checked.
#[derive(Clone, Copy)]
struct Tensors<'a> {
    folder: &'a SafetensorsFolder,
    prefix: &'static str,
    eight_bits: bool,
}

impl Tensors<'_> {
    fn layer(&self, name: &str) -> Result<Layer, CheckpointError> {
        let linear = |part: &str| self.linear(&format!("{name}.{part}"));
        let norm = |part: &str| self.norm(&format!("{name}.{part}"));
        Ok(Layer {
            norm: norm("self_attn_layer_norm")?,
            query: linear("self_attn.q_proj")?,
            key: linear("self_attn.k_proj")?,
            value: linear("self_attn.v_proj")?,
            output: linear("self_attn.out_proj")?,
            feed_forward: FeedForward {
                norm: norm("final_layer_norm")?,
                up: linear("fc1")?,
                down: linear("fc2")?,
            },
        })
    }

    /// `[out, in, 3 (frequency), 3 (time)]` to `[out, 3 (time), 3 (frequency), in]`.
    fn convolution(&self, name: &str) -> Result<Convolution, CheckpointError> {
        const AREA: usize = KERNEL * KERNEL;
        let raw = self.tensor(&format!("{name}.weight"))?;
        let weights = self.widened(&raw)?;
        let (outputs, channels) = (raw.shape[0], raw.shape[1]);
        let mut turned = Vec::with_capacity(weights.len());
        for output in weights.chunks_exact(channels * AREA) {
            for at in 0..AREA {
                let (time, frequency) = (at / KERNEL, at % KERNEL);
                turned.extend(output.chunks_exact(AREA).map(|square| square[frequency * KERNEL + time]));
            }
        }
        let bias = self.numbers(&format!("{name}.bias"))?;
        let linear = self.product(&raw, turned, [outputs, channels * AREA], Some(bias))?;
        Ok(Convolution { linear, channels })
    }

    /// Columns of `[channel, frequency]` to those of `[frequency, channel]`.
    fn row_product(&self, config: &TowerConfig) -> Result<Linear, CheckpointError> {
        let raw = self.tensor("conv_out.weight")?;
        let weights = self.widened(&raw)?;
        let columns = config.convolved();
        let frequencies = columns / config.downsample_hidden_size;
        let mut turned = Vec::with_capacity(weights.len());
        for row in weights.chunks_exact(columns) {
            for frequency in 0..frequencies {
                turned.extend(row.chunks_exact(frequencies).map(|channel| channel[frequency]));
            }
        }
        self.product(&raw, turned, [config.d_model, columns], None)
    }

    fn linear(&self, name: &str) -> Result<Linear, CheckpointError> {
        let raw = self.tensor(&format!("{name}.weight"))?;
        let bias = self.numbers(&format!("{name}.bias"))?;
        self.product(&raw, self.widened(&raw)?, [raw.rows(), raw.columns()], Some(bias))
    }

    fn norm(&self, name: &str) -> Result<LayerNorm, CheckpointError> {
        let part = |part: &str| self.numbers(&format!("{name}.{part}"));
        Ok(LayerNorm { weight: part("weight")?, bias: part("bias")? })
    }

    fn product(
        &self,
        raw: &RawTensor,
        numbers: Vec<f32>,
        shape: [usize; 2],
        bias: Option<Vec<f32>>,
    ) -> Result<Linear, CheckpointError> {
        Linear::new(numbers, shape, bias, self.eight_bits).map_err(|error| self.wrong(raw, error))
    }

    fn numbers(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        self.widened(&self.tensor(name)?)
    }

    fn tensor(&self, name: &str) -> Result<RawTensor, CheckpointError> {
        self.folder.tensor(&format!("{}{name}", self.prefix))
    }

    fn widened(&self, raw: &RawTensor) -> Result<Vec<f32>, CheckpointError> {
        raw.to_f32().map_err(|error| self.wrong(raw, error))
    }

    fn wrong(&self, raw: &RawTensor, error: candle_core::Error) -> CheckpointError {
        CheckpointError::Damaged {
            path: self.folder.path().to_owned(),
            place: format!("tensor {}", raw.name),
            message: error.to_string(),
        }
    }
}

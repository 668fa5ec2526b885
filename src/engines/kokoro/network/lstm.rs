//! A bidirectional LSTM of one layer. The inputs of all steps are multiplied at once; the recurrence is a
//! loop over slices, on the processor wherever the rest of the network runs.

use candle_core::{Device, Tensor};

use super::layers::Linear;
use super::weights::Weights;
use crate::engines::kokoro::error::KokoroError;

/// Partial sums of a dot product; as many as a vector register holds, so that it is not one long chain.
const LANES: usize = 16;

/// Both directions; their outputs stand side by side.
pub struct BiLstm {
    forward: Direction,
    backward: Direction,
}

struct Direction {
    /// in → 4 · hidden, with both biases.
    input: Linear,
    /// [4 · hidden, hidden], row by row; gates in PyTorch's order: input, forget, cell, output.
    recurrent: Vec<f32>,
    hidden: usize,
}

impl BiLstm {
    /// Under PyTorch's names.
    pub fn load(weights: &Weights<'_>, inputs: usize, hidden: usize) -> Result<BiLstm, KokoroError> {
        let direction = |suffix: &str| -> Result<Direction, KokoroError> {
            let get = |name: &str, shape: &[usize]| weights.get(&format!("{name}_l0{suffix}"), shape);
            let gates = 4 * hidden;
            Ok(Direction {
                input: Linear::of(
                    &get("weight_ih", &[gates, inputs])?,
                    (get("bias_ih", &[gates])? + get("bias_hh", &[gates])?)?,
                )?,
                recurrent: get("weight_hh", &[gates, hidden])?.flatten_all()?.to_vec1()?,
                hidden,
            })
        };
        Ok(BiLstm { forward: direction("")?, backward: direction("_reverse")? })
    }

    /// [steps, in] → [steps, 2 · hidden]
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, KokoroError> {
        let (forward, backward) = rayon::join(|| self.forward.run(x, false), || self.backward.run(x, true));
        Ok(Tensor::cat(&[forward?, backward?], 1)?)
    }
}

impl Direction {
    fn run(&self, x: &Tensor, backward: bool) -> Result<Tensor, KokoroError> {
        let hidden = self.hidden;
        let steps = x.dim(0)?;
        let gates: Vec<f32> = self.input.forward(x)?.flatten_all()?.to_vec1()?;
        let mut output = vec![0.0; steps * hidden];
        let (mut state, mut cell) = (vec![0.0; hidden], vec![0.0; hidden]);
        let mut sums = vec![0.0; 4 * hidden];
        for step in 0..steps {
            let at = if backward { steps - 1 - step } else { step };
            let given = &gates[at * 4 * hidden..][..4 * hidden];
            for ((sum, given), row) in sums.iter_mut().zip(given).zip(self.recurrent.chunks_exact(hidden)) {
                *sum = given + dot(row, &state);
            }
            for unit in 0..hidden {
                let gate = |gate: usize| sums[gate * hidden + unit];
                cell[unit] = sigmoid(gate(1)) * cell[unit] + sigmoid(gate(0)) * gate(2).tanh();
                state[unit] = sigmoid(gate(3)) * cell[unit].tanh();
            }
            output[at * hidden..][..hidden].copy_from_slice(&state);
        }
        let output = Tensor::from_vec(output, (steps, hidden), &Device::Cpu)?;
        Ok(output.to_device(x.device())?)
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_lanes, b_lanes) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_lanes.remainder().iter().zip(b_lanes.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0.0; LANES];
    for (a, b) in a_lanes.zip(b_lanes) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

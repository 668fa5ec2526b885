//! Silero VAD v6 by ONNX Runtime: the probability that a frame is speech.
//!
//! Reference: `OnnxWrapper` of the official package silero-vad 6.2.3; golden test in
//! `tests/it/silero.rs`. The network is `silero_vad_16k_op15.onnx` of that package, which gives
//! the same bits as its `silero_vad.onnx` at half the size.
//!
//! Inputs `input` [n, 64 + 512], `state` [2, n, 128], `sr` scalar i64; outputs `output` [n, 1],
//! `stateN` [2, n, 128]. A batch mixes streams freely: the rows do not touch each other.
//!
//! Deliberately absent: hysteresis and padding ([`crate::turn::detector`]), framing
//! ([`crate::audio::framer`]), and the batching of sessions, which is the worker's.

use std::path::Path;

use ort::session::Session;
use ort::value::{Tensor, TensorRef};

use super::{
    EngineError, INPUT_RATE_HZ, VAD_CONTEXT_SAMPLES, VAD_FRAME_SAMPLES, Vad, VadFrame,
    forbid_executor_thread, onnx,
};
use crate::config;

/// Where `scripts/setup-models.sh` puts the network, below `models.dir`.
pub const MODEL: &str = "vendor/silero-vad/silero_vad_16k_op15.onnx";

const ENGINE: &str = "silero";
const MAX_BATCH: usize = 64;
const ROW_SAMPLES: usize = VAD_CONTEXT_SAMPLES + VAD_FRAME_SAMPLES;
const STATE_LAYERS: usize = 2;
const STATE_WIDTH: usize = 128;

/// The network, on one thread.
pub struct SileroVad {
    /// Shapes fixed to one row, which lets ONNX Runtime fold the shape arithmetic away: a sixth
    /// faster for the most frequent batch.
    single: Session,
    /// Any number of rows.
    batch: Session,
    sample_rate: Tensor<i64>,
    /// [MAX_BATCH, ROW_SAMPLES], of which the first n rows are used.
    input: Vec<f32>,
    /// [STATE_LAYERS, n, STATE_WIDTH] at its beginning.
    state: Vec<f32>,
}

impl SileroVad {
    /// Loads the network from `models.dir` and runs it once in both forms, so that the first frame
    /// is as fast as the tenth.
    pub fn load(models: &config::Models) -> Result<SileroVad, EngineError> {
        let environment = onnx::environment(models)?;
        let path = models.dir.join(MODEL);
        let open = |fixed_batch: Option<i64>| {
            open_session(&environment, &path, fixed_batch).map_err(|reason| load_error(&path, &reason))
        };
        let mut vad = SileroVad {
            single: open(Some(1))?,
            batch: open(None)?,
            sample_rate: Tensor::from_array(((), vec![i64::from(INPUT_RATE_HZ)]))
                .map_err(|error| load_error(&path, &error.to_string()))?,
            input: vec![0.0; MAX_BATCH * ROW_SAMPLES],
            state: vec![0.0; STATE_LAYERS * MAX_BATCH * STATE_WIDTH],
        };
        for rows in [1, MAX_BATCH] {
            let mut frames: Vec<VadFrame> = (0..rows).map(|_| VadFrame::silence()).collect();
            let mut frames: Vec<&mut VadFrame> = frames.iter_mut().collect();
            vad.run(&mut frames).map_err(|reason| load_error(&path, &reason))?;
        }
        Ok(vad)
    }

    /// One model call. Frames change only if it succeeds.
    fn run(&mut self, frames: &mut [&mut VadFrame]) -> Result<(), String> {
        let rows = frames.len();
        for (row, frame) in frames.iter().enumerate() {
            let (context, new) =
                self.input[row * ROW_SAMPLES..][..ROW_SAMPLES].split_at_mut(VAD_CONTEXT_SAMPLES);
            context.copy_from_slice(&frame.state.context);
            new.copy_from_slice(&frame.pcm[..]);
            for (layer, values) in frame.state.recurrent.chunks_exact(STATE_WIDTH).enumerate() {
                self.state[(layer * rows + row) * STATE_WIDTH..][..STATE_WIDTH].copy_from_slice(values);
            }
        }
        let session = if rows == 1 { &mut self.single } else { &mut self.batch };
        let state_len = STATE_LAYERS * rows * STATE_WIDTH;
        let told = |error: ort::Error| error.to_string();
        let outputs = session
            .run(ort::inputs![
                TensorRef::from_array_view(([rows, ROW_SAMPLES], &self.input[..rows * ROW_SAMPLES]))
                    .map_err(told)?,
                TensorRef::from_array_view(([STATE_LAYERS, rows, STATE_WIDTH], &self.state[..state_len]))
                    .map_err(told)?,
                &self.sample_rate,
            ])
            .map_err(told)?;
        let (_, probabilities) = outputs[0].try_extract_tensor::<f32>().map_err(told)?;
        let (_, state) = outputs[1].try_extract_tensor::<f32>().map_err(told)?;
        if (probabilities.len(), state.len()) != (rows, state_len) {
            return Err(format!(
                "the network gave {} probabilities and {} state values for {rows} frames",
                probabilities.len(),
                state.len()
            ));
        }
        for (row, frame) in frames.iter_mut().enumerate() {
            frame.probability = probabilities[row];
            frame.state.context.copy_from_slice(&frame.pcm[VAD_FRAME_SAMPLES - VAD_CONTEXT_SAMPLES..]);
            for (layer, values) in frame.state.recurrent.chunks_exact_mut(STATE_WIDTH).enumerate() {
                values.copy_from_slice(&state[(layer * rows + row) * STATE_WIDTH..][..STATE_WIDTH]);
            }
        }
        Ok(())
    }
}

impl Vad for SileroVad {
    fn judge(&mut self, frames: &mut [&mut VadFrame]) -> Result<(), EngineError> {
        forbid_executor_thread("Silero VAD");
        if frames.is_empty() {
            return Ok(());
        }
        if frames.len() > MAX_BATCH {
            return Err(failed(format!("{} frames in one call, {MAX_BATCH} at most", frames.len())));
        }
        self.run(frames).map_err(failed)
    }

    fn max_batch(&self) -> usize {
        MAX_BATCH
    }
}

/// A session on the calling thread alone; the shapes are fixed if the number of rows is given.
fn open_session(
    environment: &ort::environment::Environment,
    path: &Path,
    fixed_batch: Option<i64>,
) -> Result<Session, String> {
    let configure = || {
        let mut builder = Session::builder(environment)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            .with_log_level(ort::logging::LogLevel::Error)?;
        if let Some(rows) = fixed_batch {
            builder = builder
                .with_dimension_override("batch", rows)?
                .with_dimension_override("sequence", ROW_SAMPLES as i64)?;
        }
        builder.commit_from_file(path)
    };
    let session = configure().map_err(|error: ort::Error| error.to_string())?;
    let names = |outlets: &[ort::value::Outlet]| -> Vec<String> {
        outlets.iter().map(|outlet| outlet.name().to_owned()).collect()
    };
    let (inputs, outputs) = (names(session.inputs()), names(session.outputs()));
    if inputs != ["input", "state", "sr"] || outputs != ["output", "stateN"] {
        return Err(format!("it is another network: inputs {inputs:?}, outputs {outputs:?}"));
    }
    Ok(session)
}

fn load_error(path: &Path, reason: &str) -> EngineError {
    let message = format!(
        "cannot load {}: {reason}; run scripts/setup-models.sh or set models.dir in config.yml",
        path.display()
    );
    EngineError::Load { engine: ENGINE, message }
}

fn failed(message: String) -> EngineError {
    EngineError::Failed { engine: ENGINE, code: "vad_failed", message }
}

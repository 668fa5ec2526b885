//! Silero VAD: time per frame when 1, 8 or 64 sessions are judged in one call.
//!
//! A listening session needs one frame every 32 ms. Needs `scripts/setup-models.sh`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use vivavoce::config;
use vivavoce::engines::silero::SileroVad;
use vivavoce::engines::{VAD_FRAME_SAMPLES, Vad, VadFrame};

fn vad_frame(criterion: &mut Criterion) {
    let models =
        config::Models { dir: concat!(env!("CARGO_MANIFEST_DIR"), "/models").into(), ..Default::default() };
    let mut vad = SileroVad::load(&models).unwrap_or_else(|error| panic!("{error}"));
    let mut group = criterion.benchmark_group("vad_frame");
    for sessions in [1, 8, 64] {
        let mut frames: Vec<VadFrame> = (0..sessions).map(buzz).collect();
        group.bench_function(BenchmarkId::from_parameter(sessions), |bencher| {
            bencher.iter_custom(|calls| per_frame(&mut vad, &mut frames, calls));
        });
    }
    group.finish();
}

/// The time of `calls` calls, divided by the frames in a call.
fn per_frame(vad: &mut SileroVad, frames: &mut [VadFrame], calls: u64) -> Duration {
    let sessions = frames.len() as u32;
    let begun = Instant::now();
    for _ in 0..calls {
        let mut batch: Vec<&mut VadFrame> = frames.iter_mut().collect();
        vad.judge(black_box(&mut batch)).expect("frames are judged");
    }
    begun.elapsed() / sessions
}

/// A sawtooth whose pitch differs from session to session.
fn buzz(session: usize) -> VadFrame {
    let period = 80 + session;
    let pcm = std::array::from_fn::<f32, VAD_FRAME_SAMPLES, _>(|i| (i % period) as f32 / period as f32 - 0.5);
    VadFrame { pcm: Box::new(pcm), ..VadFrame::silence() }
}

criterion_group!(benches, vad_frame);
criterion_main!(benches);

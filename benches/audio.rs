//! PCM conversion and resampling: what each session costs per chunk of speech.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vivavoce::audio::{pcm, resample::Resampler};

/// 40 ms at 24 kHz, one chunk of speech.
const CHUNK: usize = 960;

fn speech(len: usize) -> Vec<f32> {
    (0..len).map(|n| 0.4 * (n as f32 * 0.05).sin() + 0.1 * (n as f32 * 0.31).sin()).collect()
}

fn conversion(c: &mut Criterion) {
    let floats = speech(CHUNK);
    let bytes = pcm::bytes_from_samples(&pcm::i16s_from_f32s(&floats));
    let mut group = c.benchmark_group("pcm, 40 ms");
    group.throughput(Throughput::Elements(CHUNK as u64));
    group.bench_function("floats to wire bytes", |b| {
        let mut out = Vec::with_capacity(2 * CHUNK);
        b.iter(|| {
            out.clear();
            pcm::append_bytes_from_f32(black_box(&floats), &mut out);
            black_box(out.len())
        });
    });
    group.bench_function("wire bytes to samples", |b| {
        let mut out = Vec::with_capacity(CHUNK);
        b.iter(|| {
            out.clear();
            pcm::append_samples(black_box(&bytes), &mut out).is_ok()
        });
    });
    let samples = pcm::i16s_from_f32s(&floats);
    group.bench_function("samples to floats", |b| {
        let mut out = vec![0.0; CHUNK];
        b.iter(|| pcm::write_f32(black_box(&samples), black_box(&mut out)));
    });
    group.finish();
}

fn resampling(c: &mut Criterion) {
    let mut group = c.benchmark_group("resample, 40 ms");
    for (from, to) in [(16_000, 24_000), (48_000, 16_000), (44_100, 16_000)] {
        let chunk = speech(from as usize / 25);
        let Ok(mut resampler) = Resampler::new(from, to) else { continue };
        let mut out = Vec::new();
        group.throughput(Throughput::Elements(chunk.len() as u64));
        group.bench_function(format!("{from} to {to} Hz"), |b| {
            b.iter(|| {
                out.clear();
                resampler.push_into(black_box(&chunk), &mut out);
                black_box(out.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, conversion, resampling);
criterion_main!(benches);

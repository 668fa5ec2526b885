//! A reply of 2,000 characters, pushed token by token, as an LLM streams it.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use vivavoce::turn::segmenter::Segmenter;

const REPLY: &str = "Sure, here is what I found. The **Rhine** rises in the Swiss Alps, e.g. near \
    Mt. Badus, and flows 1,233.4 km to the sea; see https://example.org/rhine/course for a map.\n\n\
    - First, it passes Lake Constance.\n- Then it turns north, at about 10:30 on the clock face.\n\n\
    Dr. J. R. Smith (who measured it) said: \"It is shorter than we thought!\" Run `main.rs` to check. 🎉 ";

fn stream_a_reply(c: &mut Criterion) {
    let reply: String = REPLY.chars().cycle().take(2_000).collect();
    let tokens: Vec<&str> = reply.split_inclusive(' ').collect();
    let mut group = c.benchmark_group("segmenter");
    group.throughput(Throughput::Elements(tokens.len() as u64));
    group.bench_function("2,000 characters by token", |b| {
        b.iter_batched(
            || Segmenter::new(40, 200),
            |mut segmenter| {
                for token in &tokens {
                    segmenter.push(black_box(token));
                    while let Some(segment) = segmenter.next_segment() {
                        black_box(segment);
                    }
                }
                segmenter.finish();
                while let Some(segment) = segmenter.next_segment() {
                    black_box(segment);
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, stream_a_reply);
criterion_main!(benches);

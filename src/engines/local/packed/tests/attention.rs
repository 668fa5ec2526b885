//! Attention.

use half::f16;
use proptest::prelude::*;

use super::super::attention::{attend_all_with, attend_with};
use super::super::simd::Isa;
use super::super::{KvBlocks, attend};
use super::{Random, bits, pool};

struct Case {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    positions: usize,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Case {
    fn random([heads, kv_heads, head_dim, positions]: [usize; 4], random: &mut Random) -> Self {
        // Scores of up to ±6 or so: some weights near one, others near nothing.
        let queries = random.floats(positions * heads * head_dim).iter().map(|query| query * 8.0).collect();
        let keys = random.floats(positions * kv_heads * head_dim);
        let values = random.floats(positions * kv_heads * head_dim);
        Self { heads, kv_heads, head_dim, positions, queries, keys, values }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Attention position after position, each over those before it: `chunk` of them at a time.
    fn run(&self, isa: Isa, half_precision: bool, chunk: usize) -> Vec<f32> {
        let kv_width = self.kv_heads * self.head_dim;
        let mut past = KvBlocks::new(self.kv_heads, self.head_dim, half_precision);
        let mut outputs = Vec::new();
        for begin in (0..self.positions).step_by(chunk) {
            let end = self.positions.min(begin + chunk);
            past.append(
                &self.keys[begin * kv_width..end * kv_width],
                &self.values[begin * kv_width..end * kv_width],
            );
            let queries = &self.queries[begin * self.width()..end * self.width()];
            let mut out = vec![f32::NAN; queries.len()];
            attend_with(isa, queries, self.heads, &past, self.scale(), &mut out);
            outputs.extend(out);
        }
        outputs
    }

    /// The definition, in 64 bits.
    fn expected(&self, half_precision: bool) -> Vec<f64> {
        let stored =
            |value: f32| f64::from(if half_precision { f16::from_f32(value).to_f32() } else { value });
        let mut outputs = Vec::new();
        for position in 0..self.positions {
            for head in 0..self.heads {
                let query = &self.queries[(position * self.heads + head) * self.head_dim..][..self.head_dim];
                let kv_head = head / (self.heads / self.kv_heads);
                let at = |other: usize| (other * self.kv_heads + kv_head) * self.head_dim;
                let weights: Vec<f64> = (0..=position)
                    .map(|other| {
                        let key = &self.keys[at(other)..][..self.head_dim];
                        let dot: f64 = query.iter().zip(key).map(|(q, k)| f64::from(*q) * stored(*k)).sum();
                        (dot * f64::from(self.scale())).exp()
                    })
                    .collect();
                let sum: f64 = weights.iter().sum();
                for column in 0..self.head_dim {
                    let values = (0..=position).map(|other| stored(self.values[at(other) + column]));
                    outputs.push(
                        weights.iter().zip(values).map(|(weight, value)| weight * value).sum::<f64>() / sum,
                    );
                }
            }
        }
        outputs
    }
}

#[test]
fn attention_is_its_definition() {
    let mut random = Random::new(10);
    for shape in
        [[1, 1, 8, 5], [4, 2, 16, 70], [6, 1, 20, 33], [4, 4, 64, 130], [16, 8, 128, 40], [9, 3, 80, 65]]
    {
        let case = Case::random(shape, &mut random);
        for half_precision in [false, true] {
            let expected = case.expected(half_precision);
            for isa in Isa::available() {
                let ours = case.run(isa, half_precision, case.positions);
                for (at, (ours, expected)) in ours.iter().zip(&expected).enumerate() {
                    // Values are up to 1, and f32 keeps seven digits.
                    let error = (f64::from(*ours) - expected).abs();
                    assert!(error < 5e-6, "{shape:?} {}, output {at}: {ours} for {expected}", isa.name());
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_row_has_the_same_bits_whatever_rows_come_with_it(
        group in 1usize..5,
        kv_heads in 1usize..4,
        head_dim in 1usize..70,
        positions in 1usize..150,
        chunk in 1usize..150,
        half_precision in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let case = Case::random([group * kv_heads, kv_heads, head_dim, positions], &mut Random::new(seed));
        for isa in Isa::available() {
            let one_by_one = bits(&case.run(isa, half_precision, 1));
            prop_assert_eq!(&bits(&case.run(isa, half_precision, positions)), &one_by_one, "{}", isa.name());
            prop_assert_eq!(&bits(&case.run(isa, half_precision, chunk)), &one_by_one, "{}", isa.name());
        }
    }
}

#[test]
fn threads_that_share_the_work_give_the_same_bits() {
    let case = Case::random([8, 2, 64, 100], &mut Random::new(11));
    let one = pool(1).install(|| case.run(Isa::best(), true, 100));
    for threads in [2, 3] {
        let many = pool(threads).install(|| case.run(Isa::best(), true, 100));
        assert_eq!(bits(&many), bits(&one), "{threads} threads");
    }
}

#[test]
fn what_is_cut_off_leaves_no_trace() {
    let case = Case::random([2, 1, 16, 40], &mut Random::new(12));
    let expected = case.run(Isa::best(), false, 40);
    let mut past = KvBlocks::new(1, 16, false);
    past.append(&case.keys[..16 * 21], &case.values[..16 * 21]);
    past.append(&[f32::NAN; 16 * 30], &[f32::INFINITY; 16 * 30]);
    past.truncate(100);
    assert_eq!(past.len(), 51, "cutting behind the end is nothing");
    past.truncate(21);
    past.append(&case.keys[16 * 21..], &case.values[16 * 21..]);
    // The last block still holds what was cut off, behind the end.
    assert_eq!(past.len(), 40);
    let mut out = vec![f32::NAN; case.queries.len()];
    attend(&case.queries, 2, &past, case.scale(), &mut out);
    assert_eq!(bits(&out), bits(&expected));
}

#[test]
fn sixteen_bits_take_half_the_memory() {
    let filled = |half_precision| {
        let mut past = KvBlocks::new(2, 64, half_precision);
        assert!(past.is_empty() && past.bytes() == 0);
        past.reserve(32);
        let reserved = past.bytes();
        past.append(&[0.5; 32 * 128], &[0.5; 32 * 128]);
        assert_eq!(past.bytes(), reserved, "room was made before");
        reserved
    };
    assert_eq!(filled(false), 2 * 32 * 128 * 4);
    assert_eq!(filled(true), 2 * 32 * 128 * 2);
}

#[test]
fn attention_to_all_is_that_of_the_last_position_for_every_query() {
    let mut random = Random::new(43);
    for shape in [[4, 4, 64, 130], [2, 1, 8, 5], [6, 2, 24, 33]] {
        let case = Case::random(shape, &mut random);
        let mut past = KvBlocks::new(case.kv_heads, case.head_dim, false);
        past.append(&case.keys, &case.values);
        // More queries than there are keys.
        let queries = [&case.queries[..], &case.queries[..]].concat();
        for isa in Isa::available() {
            let mut all = vec![f32::NAN; queries.len()];
            attend_all_with(isa, &queries, case.heads, &past, case.scale(), &mut all);
            for (query, ours) in queries.chunks(case.width()).zip(all.chunks(case.width())) {
                let mut last = vec![f32::NAN; query.len()];
                attend_with(isa, query, case.heads, &past, case.scale(), &mut last);
                assert_eq!(bits(ours), bits(&last), "{shape:?} {}", isa.name());
            }
        }
    }
}

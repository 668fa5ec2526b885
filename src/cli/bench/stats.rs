//! Percentiles, and a die that gives the same rolls for the same seed.

use serde::Serialize;

/// How measured times are distributed, in ms. Percentiles are by nearest rank: values that occurred.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Distribution {
    pub count: usize,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Distribution {
    /// `None` of nothing.
    pub fn of(mut values: Vec<f64>) -> Option<Distribution> {
        values.sort_by(f64::total_cmp);
        let rank = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).copied()
        };
        Some(Distribution {
            count: values.len(),
            p50: rank(50)?,
            p95: rank(95)?,
            p99: rank(99)?,
            max: *values.last()?,
        })
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to spread sessions.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0…1, 1 excluded.
    pub fn roll(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Another die.
    pub fn fork(&mut self) -> Dice {
        Dice(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let of = |values: &[f64]| Distribution::of(values.to_vec()).unwrap();
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let d = of(&hundred);
        assert_eq!((d.count, d.p50, d.p95, d.p99, d.max), (100, 50.0, 95.0, 99.0, 100.0));
        let d = of(&[3.0, 1.0, 2.0]);
        assert_eq!((d.p50, d.p95, d.max), (2.0, 3.0, 3.0));
        let d = of(&[7.0]);
        assert_eq!((d.p50, d.p99), (7.0, 7.0));
        assert_eq!(Distribution::of(Vec::new()), None);
    }

    #[test]
    fn the_same_seed_rolls_the_same_and_forks_roll_differently() {
        let rolls = |mut dice: Dice| -> Vec<f64> { (0..1_000).map(|_| dice.roll()).collect() };
        let first = rolls(Dice::new(7));
        assert_eq!(first, rolls(Dice::new(7)));
        assert_ne!(first, rolls(Dice::new(7).fork()));
        let mean = first.iter().sum::<f64>() / 1_000.0;
        assert!(first.iter().all(|roll| (0.0..1.0).contains(roll)) && (0.45..0.55).contains(&mean), "{mean}");
    }
}

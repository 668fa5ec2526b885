use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::engines::local::text::golden;

fn sampler(sampling: Sampling) -> Sampler {
    Sampler::new(sampling, 7).unwrap()
}

fn even() -> Sampling {
    Sampling { temperature: 1.0, ..Sampling::default() }
}

/// Ids and probabilities of what is chosen from.
fn probabilities(sampler: &Sampler, logits: &[f32]) -> BTreeMap<u32, f64> {
    let candidates = sampler.candidates(logits);
    let weights = weights(&candidates);
    let sum: f64 = weights.iter().sum();
    candidates.iter().zip(weights).map(|(candidate, weight)| (candidate.id, weight / sum)).collect()
}

#[test]
fn the_choice_is_that_of_transformers() {
    #[derive(Deserialize)]
    struct Case {
        setting: BTreeMap<String, f64>,
        logits: Vec<f32>,
        before: Vec<u32>,
        probabilities: BTreeMap<u32, f64>,
    }
    let cases: Vec<Case> = serde_json::from_value(golden::read("sampling.json")).unwrap();
    assert!(cases.len() >= 24);
    for (number, mut case) in cases.into_iter().enumerate() {
        let get = |name: &str, default: f64| case.setting.get(name).copied().unwrap_or(default) as f32;
        let sampler = sampler(Sampling {
            temperature: get("temperature", 1.0),
            top_k: get("top_k", 0.0) as usize,
            top_p: get("top_p", 1.0),
            min_p: get("min_p", 0.0),
            repetition_penalty: get("repetition_penalty", 1.0),
            repetition_window: 64,
        });
        sampler.penalize(&mut case.logits, &case.before);
        let ours = probabilities(&sampler, &case.logits);
        let ids = |map: &BTreeMap<u32, f64>| map.keys().copied().collect::<Vec<_>>();
        assert_eq!(ids(&ours), ids(&case.probabilities), "case {number}: {:?}", case.setting);
        for (id, expected) in &case.probabilities {
            let error = (ours[id] - expected).abs();
            assert!(error < 1e-6, "case {number}, token {id}: {} is not {expected}", ours[id]);
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_choices() {
    let logits: Vec<f32> = (0..50).map(|id| ((id * 37) % 11) as f32 / 3.0).collect();
    let choices = |seed| {
        let mut sampler = Sampler::new(even(), seed).unwrap();
        (0..40).map(|_| sampler.choose(&mut logits.clone(), &[]).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(choices(3), choices(3));
    assert_ne!(choices(3), choices(4));
    // Also after an update of the program.
    assert_eq!(choices(3)[..12], [19, 21, 35, 19, 41, 46, 30, 1, 49, 1, 21, 32]);
}

/// Pearson's chi-square test of 60 000 choices at three temperatures, at the 0.1 % level.
#[test]
fn choices_are_distributed_by_temperature() {
    let logits = [1.0f32, 0.0, -0.5, 2.0, 0.3, -2.0];
    // 0.1 % of the chi-square distribution with 5 degrees of freedom.
    const CRITICAL: f64 = 20.515;
    for temperature in [0.5, 1.0, 2.0] {
        let mut sampler = sampler(Sampling { temperature, ..Sampling::default() });
        let expected = logits.map(|logit| f64::from(logit / temperature).exp());
        let sum: f64 = expected.iter().sum();
        let mut counts = [0.0f64; 6];
        let draws = 60_000;
        for _ in 0..draws {
            counts[sampler.choose(&mut logits.clone(), &[]).unwrap() as usize] += 1.0;
        }
        let chi_square: f64 = counts
            .iter()
            .zip(expected)
            .map(|(count, weight)| {
                let expected = f64::from(draws) * weight / sum;
                (count - expected).powi(2) / expected
            })
            .sum();
        assert!(chi_square < CRITICAL, "temperature {temperature}: {chi_square} from {counts:?}");
    }
}

#[test]
fn only_the_last_tokens_are_penalized() {
    let mut greedy =
        sampler(Sampling { repetition_penalty: 2.0, repetition_window: 2, ..Sampling::default() });
    assert_eq!(greedy.choose(&mut [4.0, 3.0, -1.0], &[0]), Ok(1));
    assert_eq!(greedy.choose(&mut [4.0, 3.0, -1.0], &[0, 1, 2]), Ok(0), "it is too long ago");
    assert_eq!(greedy.choose(&mut [4.0, 3.0, -1.0], &[0, 9, 9]), Ok(0), "an id without a logit");
    assert_eq!(greedy.choose(&mut [-2.0, -1.5], &[1, 1]), Ok(0), "a negative logit falls; once, not twice");
}

#[test]
fn logits_that_are_no_numbers_are_not_chosen() {
    for sampling in [Sampling::default(), even(), Sampling { top_k: 2, top_p: 0.5, min_p: 0.1, ..even() }] {
        let mut sampler = sampler(sampling);
        let mut choose = |logits: &[f32]| sampler.choose(&mut logits.to_vec(), &[]);
        assert_eq!(choose(&[f32::NAN, f32::NEG_INFINITY, -5.0, f32::NAN]), Ok(2));
        assert_eq!(choose(&[1.0, f32::INFINITY, 2.0]), Ok(1));
        assert_eq!(choose(&[f32::MAX, f32::MIN, f32::NAN]), Ok(0));
        assert_eq!(choose(&[f32::NAN, f32::NEG_INFINITY]), Err(NothingToChoose(2)));
        assert_eq!(choose(&[]), Err(NothingToChoose(0)));
    }
}

#[test]
fn settings_that_mean_nothing_are_errors() {
    let error = |sampling| Sampler::new(sampling, 0).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        error(Sampling { temperature: -1.0, ..even() }),
        "sampling: temperature is -1; it must be 0 to 100"
    );
    assert!(error(Sampling { temperature: f32::NAN, ..even() }).contains("temperature is NaN"));
    assert!(error(Sampling { top_p: 0.0, ..even() }).contains("top_p is 0"));
    assert!(error(Sampling { min_p: 1.5, ..even() }).contains("min_p is 1.5"));
    assert!(error(Sampling { repetition_penalty: 0.0, ..even() }).contains("repetition_penalty is 0"));
}

/// Logits with ties, infinities and NaN among them.
fn wild_logits() -> impl Strategy<Value = Vec<f32>> {
    let logit = prop_oneof![
        8 => -20.0f32..20.0,
        3 => (-3i8..4).prop_map(f32::from),
        1 => Just(f32::NEG_INFINITY),
        1 => Just(f32::NAN),
    ];
    proptest::collection::vec(logit, 1..300)
}

/// Ids with a logit, the most probable first.
fn ranked(logits: &[f32]) -> Vec<u32> {
    let mut ids: Vec<u32> =
        (0..logits.len() as u32).filter(|&id| logits[id as usize] > f32::NEG_INFINITY).collect();
    ids.sort_by(|&a, &b| logits[b as usize].partial_cmp(&logits[a as usize]).unwrap().then(a.cmp(&b)));
    ids
}

proptest! {
    #[test]
    fn greedy_is_the_first_of_the_highest(logits in wild_logits()) {
        let chosen = sampler(Sampling::default()).choose(&mut logits.clone(), &[]).ok();
        prop_assert_eq!(chosen, ranked(&logits).first().copied());
    }

    #[test]
    fn top_k_keeps_the_k_most_probable(logits in wild_logits(), top_k in 1usize..40) {
        let sampler = sampler(Sampling { top_k, ..even() });
        let kept: Vec<u32> = sampler.candidates(&logits).iter().map(|candidate| candidate.id).collect();
        let ranked = ranked(&logits);
        prop_assert_eq!(kept, &ranked[..top_k.min(ranked.len())]);
    }

    #[test]
    fn top_p_keeps_the_fewest_that_reach_the_mass(logits in wild_logits(), top_p in 0.01f32..0.999) {
        let all = probabilities(&sampler(even()), &logits);
        let kept = probabilities(&sampler(Sampling { top_p, ..even() }), &logits);
        let ranked = ranked(&logits);
        prop_assert!(ranked[..kept.len()].iter().all(|id| kept.contains_key(id)));
        let mass = |count: usize| ranked[..count].iter().map(|id| all[id]).sum::<f64>();
        if !kept.is_empty() {
            prop_assert!(mass(kept.len()) >= f64::from(top_p) - 1e-9);
            prop_assert!(mass(kept.len() - 1) < f64::from(top_p) + 1e-9);
        }
    }

    #[test]
    fn min_p_keeps_what_is_near_the_highest(logits in wild_logits(), min_p in 0.001f32..1.0) {
        let all = probabilities(&sampler(even()), &logits);
        let kept = probabilities(&sampler(Sampling { min_p, ..even() }), &logits);
        let highest = all.values().copied().fold(0.0, f64::max);
        for (id, probability) in &all {
            let ratio = probability / highest;
            prop_assume!((ratio - f64::from(min_p)).abs() > 1e-9);
            prop_assert_eq!(kept.contains_key(id), ratio > f64::from(min_p));
        }
    }

    #[test]
    fn what_is_chosen_was_possible(logits in wild_logits(), seed in any::<u64>(), top_k in 0usize..5, top_p in 0.1f32..1.0) {
        let mut sampler = Sampler::new(Sampling { top_k, top_p, ..even() }, seed).unwrap();
        let possible: Vec<u32> = sampler.candidates(&logits).iter().map(|candidate| candidate.id).collect();
        match sampler.choose(&mut logits.clone(), &[]) {
            Ok(id) => prop_assert!(possible.contains(&id)),
            Err(_) => prop_assert!(ranked(&logits).is_empty()),
        }
    }
}

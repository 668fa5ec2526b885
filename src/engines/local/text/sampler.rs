//! Logits → the next token.
//!
//! Order: repetition penalty, temperature, top-k, top-p, min-p, choice: that of transformers'
//! `generate` (`_get_logits_processor`), whose recommended settings models are published with.
//! (llama.cpp applies the temperature last; with the same numbers it keeps fewer tokens when the
//! temperature is above 1 and more when it is below.)
//!
//! - repetition penalty (Keskar et al., "CTRL", 2019, section 4.1): the logit of every token among the
//!   last n is divided by the penalty if positive, else multiplied by it;
//! - top-k: the k most probable tokens;
//! - top-p (Holtzman et al., "The curious case of neural text degeneration", 2019): the fewest most
//!   probable tokens whose probabilities reach p;
//! - min-p (Nguyen et al., "Turning up the heat", 2024): tokens with at least p times the probability
//!   of the most probable one.
//!
//! Of equal logits the lower id counts as more probable, so that the result is one and the same
//! everywhere. A logit that is not a number counts as −∞. What a constraint forbids is −∞ already
//! ([`super::constraint`]).

use std::cmp::Ordering;

use super::random::SplitMix64;

/// How tokens are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// 0: always the most probable token. Above: how even the choice is.
    pub temperature: f32,
    /// Choose among so many; 0: no limit.
    pub top_k: usize,
    /// Choose among the most probable tokens with so much probability together; 1: no limit.
    pub top_p: f32,
    /// Choose among tokens with at least so much of the highest probability; 0: no limit.
    pub min_p: f32,
    /// Above 1: tokens that were there lately become less probable.
    pub repetition_penalty: f32,
    /// How many of the last tokens count as lately.
    pub repetition_window: usize,
}

impl Default for Sampling {
    /// Greedy.
    fn default() -> Sampling {
        Sampling {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            repetition_window: 64,
        }
    }
}

/// A setting that means nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("sampling: {name} is {value}; {range}")]
pub struct BadSampling {
    name: &'static str,
    value: f32,
    range: &'static str,
}

/// No token has a logit that is a number above −∞: the network's weights or the constraint are broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no token to choose: all {0} logits are -inf or not a number")]
pub struct NothingToChoose(usize);

/// Chooses the tokens of one reply.
#[derive(Debug, Clone)]
pub struct Sampler {
    sampling: Sampling,
    random: SplitMix64,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    id: u32,
    /// Logit, later divided by the temperature; never NaN.
    logit: f32,
}

impl Candidate {
    /// The more probable first; of equals, the lower id.
    fn order(&self, other: &Candidate) -> Ordering {
        other.logit.partial_cmp(&self.logit).unwrap_or(Ordering::Equal).then(self.id.cmp(&other.id))
    }
}

impl Sampler {
    /// The same seed makes the same choices on the same logits.
    pub fn new(sampling: Sampling, seed: u64) -> Result<Sampler, BadSampling> {
        let check = |name, value: f32, fits: bool, range| {
            if fits { Ok(()) } else { Err(BadSampling { name, value, range }) }
        };
        let Sampling { temperature, top_p, min_p, repetition_penalty, .. } = sampling;
        check("temperature", temperature, (0.0..=100.0).contains(&temperature), "it must be 0 to 100")?;
        check("top_p", top_p, top_p > 0.0 && top_p <= 1.0, "it must be above 0 and at most 1")?;
        check("min_p", min_p, (0.0..=1.0).contains(&min_p), "it must be 0 to 1")?;
        check(
            "repetition_penalty",
            repetition_penalty,
            repetition_penalty > 0.0 && repetition_penalty <= 10.0,
            "it must be above 0 and at most 10",
        )?;
        Ok(Sampler { sampling, random: SplitMix64::new(seed) })
    }

    /// Chooses the next token. `logits`: one per token of the vocabulary (leave out a network's padding
    /// rows); `before`: the tokens so far, prompt included. Changes `logits` by the penalty.
    pub fn choose(&mut self, logits: &mut [f32], before: &[u32]) -> Result<u32, NothingToChoose> {
        self.penalize(logits, before);
        if self.sampling.temperature == 0.0 {
            return most_probable(logits).map(|candidate| candidate.id).ok_or(NothingToChoose(logits.len()));
        }
        let candidates = self.candidates(logits);
        let weights = weights(&candidates);
        let mut ahead = self.random.next_unit() * weights.iter().sum::<f64>();
        for (candidate, weight) in candidates.iter().zip(&weights) {
            if ahead < *weight {
                return Ok(candidate.id);
            }
            ahead -= weight;
        }
        // Rounding may leave a rest behind the last one.
        candidates.last().map(|candidate| candidate.id).ok_or(NothingToChoose(logits.len()))
    }

    fn penalize(&self, logits: &mut [f32], before: &[u32]) {
        let Sampling { repetition_penalty, repetition_window, .. } = self.sampling;
        if repetition_penalty == 1.0 {
            return;
        }
        let mut lately = before[before.len().saturating_sub(repetition_window)..].to_vec();
        lately.sort_unstable();
        lately.dedup();
        for id in lately {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = if *logit > 0.0 { *logit / repetition_penalty } else { *logit * repetition_penalty };
            }
        }
    }

    /// What is chosen from, the most probable first; empty if nothing is possible.
    fn candidates(&self, logits: &[f32]) -> Vec<Candidate> {
        let Sampling { temperature, top_k, top_p, min_p, .. } = self.sampling;
        let Some(highest) = most_probable(logits) else { return vec![] };
        // Softmax takes differences only; with the highest at 0 nothing overflows.
        let scaled = |logit: f32| match logit - highest.logit {
            difference if difference.is_nan() => 0.0, // ∞ − ∞
            difference => difference / temperature,
        };
        let mut candidates = if top_k == 0 { all_possible(logits) } else { highest_few(logits, top_k) };
        for candidate in &mut candidates {
            candidate.logit = scaled(candidate.logit);
        }
        if top_p < 1.0 {
            keep_mass(&mut candidates, f64::from(top_p));
        }
        if min_p > 0.0 {
            candidates.retain(|candidate| f64::from(candidate.logit).exp() >= f64::from(min_p));
        }
        candidates.sort_unstable_by(Candidate::order);
        candidates
    }
}

/// The highest logit that is a number above −∞; of equals, the lowest id.
fn most_probable(logits: &[f32]) -> Option<Candidate> {
    let mut best: Option<Candidate> = None;
    for (id, &logit) in logits.iter().enumerate() {
        if logit > best.map_or(f32::NEG_INFINITY, |best| best.logit) {
            best = Some(Candidate { id: id as u32, logit });
        }
    }
    best
}

fn all_possible(logits: &[f32]) -> Vec<Candidate> {
    let all = logits.iter().enumerate().map(|(id, &logit)| Candidate { id: id as u32, logit });
    all.filter(|candidate| candidate.logit > f32::NEG_INFINITY).collect()
}

/// The `count` candidates with the highest logits, in any order. In one pass, since almost all of a
/// large vocabulary is below what has been seen.
fn highest_few(logits: &[f32], count: usize) -> Vec<Candidate> {
    let room = count.saturating_mul(4).min(logits.len());
    let mut few: Vec<Candidate> = Vec::with_capacity(room);
    let mut least = f32::NEG_INFINITY;
    for (id, &logit) in logits.iter().enumerate() {
        // Of equal logits the earlier ids are there already. Never true for NaN.
        if logit > least {
            few.push(Candidate { id: id as u32, logit });
            if few.len() == room && count < room {
                least = few.select_nth_unstable_by(count - 1, Candidate::order).1.logit;
                few.truncate(count);
            }
        }
    }
    if count < few.len() {
        few.select_nth_unstable_by(count - 1, Candidate::order);
        few.truncate(count);
    }
    few
}

/// What the candidates' probabilities are proportional to.
fn weights(candidates: &[Candidate]) -> Vec<f64> {
    candidates.iter().map(|candidate| f64::from(candidate.logit).exp()).collect()
}

/// Keeps the fewest most probable candidates whose probabilities reach `mass`, and at least one.
fn keep_mass(candidates: &mut Vec<Candidate>, mass: f64) {
    let enough = mass * weights(candidates).iter().sum::<f64>();
    // Mostly few are enough: sort those in front first, more only if they were too few.
    let mut sorted = 0;
    let mut reached = 0.0;
    while sorted < candidates.len() {
        let (_, rest) = candidates.split_at_mut(sorted);
        let more = (sorted * 4).max(64).min(rest.len());
        if more < rest.len() {
            rest.select_nth_unstable_by(more, Candidate::order);
        }
        rest[..more].sort_unstable_by(Candidate::order);
        for (at, weight) in weights(&rest[..more]).into_iter().enumerate() {
            reached += weight;
            if reached >= enough {
                candidates.truncate(sorted + at + 1);
                return;
            }
        }
        sorted += more;
    }
}

#[cfg(test)]
mod tests;

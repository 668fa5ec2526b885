//! How a model's makers advise to sample from it, and what the operator set instead.

use std::path::Path;

use serde::Deserialize;

use super::checkpoint::Checkpoint;
use super::text::Sampling;
use crate::config;

/// Settings that somebody chose; `None`: they did not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Advice {
    do_sample: Option<bool>,
    temperature: Option<f32>,
    top_k: Option<u32>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
}

/// For a model without any advice: Qwen3's for replies without thinking, which suits most.
const OTHERWISE: Advice = Advice {
    do_sample: None,
    temperature: Some(0.7),
    top_k: Some(20),
    top_p: Some(0.8),
    min_p: Some(0.0),
    repetition_penalty: Some(1.0),
};

impl Advice {
    /// What a checkpoint carries: `general.sampling.*` in a GGUF file, `generation_config.json` in a
    /// folder. A file that is not there or makes no sense gives none.
    pub fn of(checkpoint: &Checkpoint) -> Advice {
        match checkpoint {
            Checkpoint::Gguf(file) => {
                let number = |key: &str| {
                    let value = file.metadata().number(&format!("general.sampling.{key}"));
                    value.ok().flatten().map(|value| value as f32)
                };
                Advice {
                    do_sample: None,
                    temperature: number("temp"),
                    top_k: number("top_k").map(|k| k as u32),
                    top_p: number("top_p"),
                    min_p: number("min_p"),
                    repetition_penalty: number("penalty_repeat"),
                }
            }
            Checkpoint::Folder(_) => {
                read(&checkpoint.path().join("generation_config.json")).unwrap_or_default()
            }
        }
    }

    /// What the operator set, else what was advised, else what suits most models.
    pub fn sampling(&self, llm: &config::Llm) -> Sampling {
        let otherwise = if *self == Advice::default() { OTHERWISE } else { Advice::default() };
        let greedy = self.do_sample == Some(false);
        let temperature = if greedy { Some(0.0) } else { self.temperature };
        Sampling {
            temperature: llm.temperature.or(temperature).or(otherwise.temperature).unwrap_or(1.0),
            top_k: llm.top_k.or(self.top_k).or(otherwise.top_k).unwrap_or(0) as usize,
            top_p: llm.top_p.or(self.top_p).or(otherwise.top_p).unwrap_or(1.0),
            min_p: llm.min_p.or(self.min_p).or(otherwise.min_p).unwrap_or(0.0),
            repetition_penalty: llm
                .repetition_penalty
                .or(self.repetition_penalty)
                .or(otherwise.repetition_penalty)
                .unwrap_or(1.0),
            ..Sampling::default()
        }
    }
}

fn read(file: &Path) -> Option<Advice> {
    let text = std::fs::read_to_string(file).ok()?;
    match serde_json::from_str(&text) {
        Ok(advice) => Some(advice),
        Err(error) => {
            tracing::warn!("{}: its advice on sampling is passed over: {error}", file.display());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_overrides_the_makers() {
        let advice: Advice =
            serde_json::from_str(r#"{"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95}"#)
                .unwrap();
        let llm = config::Llm { top_k: Some(5), repetition_penalty: Some(1.2), ..Default::default() };
        let expected = Sampling {
            temperature: 0.6,
            top_k: 5,
            top_p: 0.95,
            min_p: 0.0,
            repetition_penalty: 1.2,
            ..Sampling::default()
        };
        assert_eq!(advice.sampling(&llm), expected);
    }

    #[test]
    fn a_model_that_is_not_to_be_sampled_is_greedy_until_somebody_asks_for_more() {
        let advice: Advice = serde_json::from_str(r#"{"do_sample": false, "temperature": 0.6}"#).unwrap();
        assert_eq!(advice.sampling(&config::Llm::default()).temperature, 0.0);
        let llm = config::Llm { temperature: Some(0.3), ..Default::default() };
        assert_eq!(advice.sampling(&llm).temperature, 0.3);
    }

    #[test]
    fn without_advice_a_model_is_sampled_with_care() {
        let sampling = Advice::default().sampling(&config::Llm::default());
        assert_eq!((sampling.temperature, sampling.top_k, sampling.top_p), (0.7, 20, 0.8));
    }
}

//! Golden: `tests/golden/mel/golden.safetensors`, made by `models/parity/mel/generate.py`.

use std::path::Path;

use safetensors::SafeTensors;

use super::*;
use crate::audio::wav;

const GOLDEN: &[u8] = include_bytes!("../../../tests/golden/mel/golden.safetensors");
const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/speech");
const TOLERANCE: f32 = 1e-5;

fn golden() -> SafeTensors<'static> {
    SafeTensors::deserialize(GOLDEN).unwrap()
}

fn floats(golden: &SafeTensors, name: &str) -> Vec<f32> {
    golden.tensor(name).unwrap().data().as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

fn floats_of(samples: &[i16]) -> Vec<f32> {
    samples.iter().map(|sample| f32::from(*sample) / 32_768.0).collect()
}

fn made_up_signal(golden: &SafeTensors) -> Vec<f32> {
    let samples = golden.tensor("noise.samples").unwrap();
    let samples: Vec<i16> = samples.data().as_chunks().0.iter().map(|two| i16::from_le_bytes(*two)).collect();
    floats_of(&samples)
}

#[track_caller]
fn assert_close(what: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{what}: as many values");
    let furthest = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(furthest <= TOLERANCE, "{what}: {furthest} away");
}

#[test]
fn a_made_up_signal_has_the_references_spectrogram() {
    let golden = golden();
    let signal = made_up_signal(&golden);
    for bins in [80, 128] {
        let mel = LogMel::new(bins).extract(&signal);
        assert_eq!((mel.bins(), mel.frames()), (bins, signal.len() / HOP_SAMPLES));
        assert_close(&format!("{bins} bins"), &mel.by_bin(), &floats(&golden, &format!("noise.{bins}")));
    }
    let short = LogMel::new(80).extract(&signal[..165]);
    assert_close("less than a window", &short.by_bin(), &floats(&golden, "short.80"));
}

#[test]
#[allow(clippy::print_stderr, reason = "it says that it skips")]
fn human_speech_has_the_references_spectrogram() {
    let golden = golden();
    for identity in golden.names().into_iter().filter(|name| name.ends_with(".identity")) {
        let name = identity.strip_suffix(".identity").unwrap();
        let (recording, bins) = name.strip_prefix("speech.").unwrap().rsplit_once('.').unwrap();
        let path = Path::new(RECORDINGS).join(format!("{recording}.wav"));
        if !path.exists() {
            eprintln!("skipped: there is no {}", path.display());
            continue;
        }
        let pcm = wav::read_i16(&path, 16_000).unwrap();
        let known = golden.tensor(identity).unwrap();
        let known: Vec<i64> =
            known.data().as_chunks().0.iter().map(|eight| i64::from_le_bytes(*eight)).collect();
        let sum: i64 = pcm.iter().map(|sample| i64::from(*sample)).sum();
        assert_eq!(vec![pcm.len() as i64, sum], known, "{recording} is another recording");

        let mel = LogMel::new(bins.parse().unwrap()).extract(&floats_of(&pcm));
        let frames = golden.tensor(&format!("{name}.frames")).unwrap();
        let frames: Vec<usize> =
            frames.data().as_chunks().0.iter().map(|four| u32::from_le_bytes(*four) as usize).collect();
        let ours = mel.by_bin();
        let chosen: Vec<f32> = ours
            .chunks_exact(mel.frames())
            .flat_map(|bin| frames.iter().map(move |frame| bin[*frame]))
            .collect();
        assert_close(name, &chosen, &floats(&golden, name));
    }
}

#[test]
fn silence_behind_a_signal_changes_nothing_of_it() {
    let signal = made_up_signal(&golden());
    let padded = |samples: usize| {
        let mut padded = signal.clone();
        padded.resize(samples, 0.0);
        LogMel::new(80).extract(&padded)
    };
    let (short, long) = (padded(14_400), padded(32_000));
    assert_eq!(short.by_frame()[..80 * 88], long.by_frame()[..80 * 88]);
}

#[test]
fn there_is_no_signal_too_short() {
    let mel = LogMel::new(80);
    for samples in [0, 1, 2, 159] {
        assert_eq!(mel.extract(&vec![0.5; samples]).frames(), 0);
    }
    assert_eq!(mel.extract(&[0.0; 160]).by_frame(), [(-10.0_f32 + 4.0) / 4.0; 80]);
}

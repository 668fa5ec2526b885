//! The whole engine on the tiny model, in both ways.

use std::path::Path;

use super::*;
use crate::engines::WordTime;

const TEXT: &str = "Hello, how can I help you?";

/// A folder in the layout of one way, and a configuration that names it.
fn model(network: &str) -> (tempfile::TempDir, Config) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kokoro");
    let folder = tempfile::tempdir().expect("temporary folder");
    std::fs::create_dir(folder.path().join("voices")).expect("folder is made");
    for (from, to) in [(network, network), ("config.json", "config.json"), ("voice.pt", "voices/af_heart.pt")]
    {
        std::fs::copy(golden.join(from), folder.path().join(to)).expect("file is copied");
    }
    let mut config = Config::default();
    config.models.dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    config.tts.kokoro.model = folder.path().to_string_lossy().into_owned();
    config.tts.kokoro.lexicons = golden;
    (folder, config)
}

fn say(tts: &mut KokoroTts, text: &str) -> (Vec<f32>, Vec<WordTime>, String) {
    let (mut audio, mut words, mut phonemes) = (vec![], vec![], String::new());
    tts.synthesize(text, None, &CancelToken::new(), &mut |event| {
        match event {
            TtsEvent::Audio(samples) => audio.extend(samples),
            TtsEvent::Words(times) => words.extend(times),
            TtsEvent::Phonemes(said) => phonemes.push_str(&said),
        }
        ControlFlow::Continue(())
    })
    .expect("it speaks");
    (audio, words, phonemes)
}

#[test]
fn both_ways_speak_and_time_every_word() {
    for network in ["tiny.pth", "tiny.onnx"] {
        let (_folder, config) = model(network);
        let kokoro = Kokoro::load(&config).expect("the tiny model");
        assert_eq!(kokoro.voices(), ["af_heart"]);
        let (audio, words, phonemes) = say(&mut kokoro.tts(), TEXT);
        assert_eq!(phonemes, "həlˈO, hˌW kæn ˌI hˈɛlp ju?");
        let shown: Vec<&str> = words.iter().map(|word| &TEXT[word.text.clone()]).collect();
        assert_eq!(shown, TEXT.split(' ').collect::<Vec<_>>(), "{network}");
        assert!(words.windows(2).all(|pair| pair[0].end_sample <= pair[1].end_sample));
        assert!(words[5].end_sample <= audio.len() as u64 && words[0].end_sample < audio.len() as u64 / 2);
        assert!(
            audio.iter().any(|sample| sample.abs() > 1e-3) && audio.iter().all(|sample| sample.abs() <= 1.0)
        );
        assert!(say(&mut kokoro.tts(), " ☃ ").0.is_empty());
    }
}

/// The tiny export in single precision, in half precision and quantised; the reference is what onnxruntime's
/// own Python package makes of the first. The part that the others may be off by (root mean square) is large
/// because the network is tiny and random: 0.12 and 0.18 were measured.
#[test]
fn exports_give_what_onnxruntime_gives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kokoro");
    let golden =
        candle_core::safetensors::load(folder.join("golden.safetensors"), &Device::Cpu).expect("the golden");
    let values = |name: &str| -> Vec<f32> {
        let tensor = golden[name].to_dtype(candle_core::DType::F32).and_then(|t| t.flatten_all());
        tensor.and_then(|tensor| tensor.to_vec1()).expect("numbers")
    };
    let ids: Vec<u32> = values("ids").iter().map(|id| *id as u32).collect();
    let expected = values("onnx_audio");
    let power = |samples: &mut dyn Iterator<Item = f32>| samples.map(|x| x * x).sum::<f32>();
    let mut config = Config::default();
    config.models.dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    for (file, part) in [("tiny.onnx", 1e-4), ("tiny_f16.onnx", 0.2), ("tiny_q8.onnx", 0.25)] {
        let exported = Exported::load(&folder.join(file), &config.models, 1, 1).expect("the export");
        let speech = exported.speak(&ids, &values("style"), 1.0).expect("it speaks");
        let durations: Vec<f32> =
            speech.durations.expect("it tells").iter().map(|frames| *frames as f32).collect();
        assert_eq!(durations, values("onnx_durations"), "{file}");
        assert_eq!(speech.samples.len(), expected.len(), "{file}");
        let off = power(&mut speech.samples.iter().zip(&expected).map(|(a, b)| a - b));
        let off = (off / power(&mut expected.iter().copied())).sqrt();
        assert!(off <= part, "{file} is off by {off}");
    }
}

/// Three calls at once with two sessions: they all get the same, and no session is lost.
#[test]
fn workers_speak_at_the_same_time() {
    let (folder, config) = model("tiny.onnx");
    let path = folder.path().join("tiny.onnx");
    let exported = Exported::load(&path, &config.models, 1, 2).expect("the export");
    let style = vec![0.3; exported.width().expect("a fixed one")];
    let alone = exported.speak(&[0, 50, 83, 0], &style, 1.0).expect("it speaks");
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    (0..3).map(|_| exported.speak(&[0, 50, 83, 0], &style, 1.0)).collect::<Vec<_>>()
                })
            })
            .collect();
        for call in calls {
            for speech in call.join().expect("no panic") {
                let speech = speech.expect("it speaks");
                assert_eq!(speech.durations, alone.durations);
                assert_eq!(speech.samples.len(), alone.samples.len());
            }
        }
    });
    // An error gives its session back as well.
    for _ in 0..3 {
        assert!(exported.speak(&[0, 50, 83, 0], &style[1..], 1.0).is_err());
    }
    assert_eq!(exported.idle(), 2);
}

#[test]
fn a_cancelled_text_is_not_spoken_and_a_break_ends_it() {
    let (_folder, config) = model("tiny.pth");
    let mut tts = Kokoro::load(&config).expect("the tiny model").tts();
    let cancel = CancelToken::new();
    cancel.cancel();
    let mut events = 0;
    let mut count = |_| {
        events += 1;
        ControlFlow::Break(())
    };
    assert!(matches!(tts.synthesize(TEXT, None, &cancel, &mut count), Err(EngineError::Cancelled)));
    tts.synthesize(TEXT, None, &CancelToken::new(), &mut count).expect("a break is no error");
    assert_eq!(events, 1);
}

#[test]
fn voices_that_are_not_there_are_errors_with_a_code() {
    let (_folder, mut config) = model("tiny.pth");
    let mut tts = Kokoro::load(&config).expect("the tiny model").tts();
    let mut sink = |_| ControlFlow::Continue(());
    for voice in ["bf_emma", "jf_alpha", "slt", "af_heart(x)"] {
        let error = tts.synthesize(TEXT, Some(voice), &CancelToken::new(), &mut sink).expect_err("no voice");
        assert_eq!(error.code(), "unknown_voice", "{voice}: {error}");
    }
    config.persona.voice = Some("af_nobody".to_owned());
    let error = Kokoro::load(&config).err().expect("no voice").to_string();
    assert!(error.contains("af_heart") && error.contains("persona.voice"), "{error}");
}

#[test]
fn what_is_not_pulled_is_an_error_with_the_remedy() {
    let (folder, mut config) = model("tiny.pth");
    config.models.cache = folder.path().join("cache");
    config.tts.kokoro.model = "auto".to_owned();
    let error = Kokoro::load(&config).err().expect("nothing is pulled").to_string();
    assert!(error.contains("vivavoce models pull kokoro"), "{error}");
    assert_eq!(find(&config).expect("nothing is wrong"), None);
}

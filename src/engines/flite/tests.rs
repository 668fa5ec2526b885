use std::thread;

use proptest::prelude::*;

use super::*;

/// Everything that one call gave.
#[derive(Debug, Default, PartialEq)]
struct Spoken {
    audio: Vec<f32>,
    words: Vec<WordTime>,
    chunks: usize,
}

impl Spoken {
    fn take(&mut self, event: TtsEvent) {
        match event {
            TtsEvent::Audio(mut audio) => {
                assert!(!audio.is_empty(), "an empty chunk");
                self.chunks += 1;
                self.audio.append(&mut audio);
            }
            TtsEvent::Words(mut words) => self.words.append(&mut words),
            TtsEvent::Phonemes(_) => {}
        }
    }
}

fn flite() -> FliteTts {
    FliteTts::load(&Config::default()).unwrap()
}

fn say(flite: &mut FliteTts, text: &str) -> Spoken {
    let mut spoken = Spoken::default();
    flite
        .synthesize(text, None, &CancelToken::new(), &mut |event| {
            spoken.take(event);
            ControlFlow::Continue(())
        })
        .unwrap();
    spoken
}

/// Root mean square of each 10 ms.
fn loudness(audio: &[f32]) -> Vec<f32> {
    audio.chunks(240).map(|c| (c.iter().map(|s| s * s).sum::<f32>() / c.len() as f32).sqrt()).collect()
}

const SENTENCE: &str = "What is the capital of France? I think it's Paris, but I am not sure.";

#[test]
fn a_sentence_has_a_natural_length_and_soft_edges() {
    let Spoken { audio, words, chunks } = say(&mut flite(), SENTENCE);
    let seconds = audio.len() as f32 / 24_000.0;
    assert!((3.5..4.6).contains(&seconds), "{seconds} s");
    assert!(chunks > 40, "streamed in {chunks} chunks only");
    // The voice starts within the lead that is kept (and a little for a soft first sound) …
    let loudness = loudness(&audio);
    let start_ms = loudness.iter().position(|l| *l > 0.02).unwrap() * 10;
    assert!((20..=90).contains(&start_ms), "speech starts at {start_ms} ms");
    // … and the tail stays after the last word.
    let last_ms = words.last().unwrap().end_sample / 24;
    let tail_ms = audio.len() as u64 / 24 - last_ms;
    assert!((100..=130).contains(&tail_ms), "{tail_ms} ms of tail");
    assert!(loudness[loudness.len() - 8..].iter().all(|l| *l < 0.02));
    // No edge to hear at either end: one step of 16-bit PCM is 3e-5.
    assert!(
        audio[0].abs() < 2e-4 && audio[audio.len() - 1].abs() < 2e-4,
        "{} {}",
        audio[0],
        audio[audio.len() - 1]
    );
    let peak = audio.iter().fold(0f32, |peak, s| peak.max(s.abs()));
    assert!((0.3..1.0).contains(&peak), "peak {peak}");
}

#[test]
fn words_end_where_they_are_heard_to_end() {
    // Between these words flite pauses: the times must fall where it gets quiet.
    let text = "Stop. Look, listen. Go.";
    let Spoken { audio, words, .. } = say(&mut flite(), text);
    let shown: Vec<&str> = words.iter().map(|w| &text[w.text.clone()]).collect();
    assert_eq!(shown, ["Stop.", "Look,", "listen.", "Go."]);
    let loudness = loudness(&audio);
    let mean = |range: std::ops::Range<usize>| {
        let range = range.start.min(loudness.len())..range.end.min(loudness.len());
        loudness[range.clone()].iter().sum::<f32>() / range.len().max(1) as f32
    };
    for word in &words {
        let end = (word.end_sample / 240) as usize;
        let (before, after) = (mean(end - 12..end), mean(end + 3..end + 9));
        assert!(after < 0.02 && before > 2.0 * after, "{word:?}: {before} before, {after} after");
    }
}

#[test]
fn nothing_to_say_is_no_audio_and_no_error() {
    let mut flite = flite();
    for text in ["", " \n", "...", "?!—", "😀", "世界"] {
        assert_eq!(say(&mut flite, text), Spoken::default(), "{text:?}");
    }
}

#[test]
fn a_long_text_is_spoken_in_parts_with_one_timeline() {
    let text = format!("{SENTENCE} ").repeat(5) + &"and on ".repeat(60);
    let mut flite = flite();
    let Spoken { audio, words, .. } = say(&mut flite, &text);
    assert_eq!(words.len(), text.split_whitespace().count());
    assert!(words.windows(2).all(|w| w[0].end_sample < w[1].end_sample && w[0].text.end <= w[1].text.start));
    assert!(words.last().unwrap().end_sample <= audio.len() as u64);
    // Each sentence takes as long as it does alone, wherever the parts are cut.
    let alone = say(&mut flite, SENTENCE);
    let n = alone.words.len();
    for sentence in words[..5 * n].chunks(n) {
        let took = sentence[n - 1].end_sample - sentence[0].end_sample;
        let took_alone = alone.words[n - 1].end_sample - alone.words[0].end_sample;
        assert!(took.abs_diff(took_alone) < 24 * 400, "{took} instead of {took_alone} samples");
    }
}

#[test]
fn cancel_and_break_stop_it_at_once() {
    let mut flite = flite();
    let cancelled = CancelToken::new();
    cancelled.cancel();
    let mut none = |event: TtsEvent| panic!("{event:?} after a cancel");
    assert!(matches!(flite.synthesize(SENTENCE, None, &cancelled, &mut none), Err(EngineError::Cancelled)));

    let cancel = CancelToken::new();
    let mut after = 0;
    let result = flite.synthesize(SENTENCE, None, &cancel, &mut |event| {
        after += usize::from(cancel.is_cancelled());
        if matches!(event, TtsEvent::Audio(_)) {
            cancel.cancel();
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(result, Err(EngineError::Cancelled)));
    assert_eq!(after, 0);

    let mut chunks = 0;
    let result = flite.synthesize(SENTENCE, None, &CancelToken::new(), &mut |event| {
        chunks += usize::from(matches!(event, TtsEvent::Audio(_)));
        if chunks == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(result.is_ok());
    assert_eq!(chunks, 3);
    // Nothing of a stopped call is left in the next.
    let (before, after) = (say(&mut self::flite(), "Hello."), say(&mut flite, "Hello."));
    assert_eq!((before.words, before.audio.len()), (after.words, after.audio.len()));
}

#[test]
fn a_panic_of_the_sink_arrives_at_the_caller() {
    let mut flite = flite();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = flite.synthesize("Hello.", None, &CancelToken::new(), &mut |_| panic!("sink"));
    }));
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"sink"));
    assert!(!say(&mut flite, "Hello.").audio.is_empty());
}

#[test]
fn only_its_voice_is_taken() {
    let mut flite = flite();
    let mut sink = |_| ControlFlow::Continue(());
    assert!(flite.synthesize("Hello.", Some("slt"), &CancelToken::new(), &mut sink).is_ok());
    let error = flite.synthesize("Hello.", Some("rms"), &CancelToken::new(), &mut sink).unwrap_err();
    assert_eq!(error.code(), "unknown_voice");
    assert_eq!(error.to_string(), "flite: there is no voice \"rms\"; the voices are: slt");

    let mut config = Config::default();
    config.persona.voice = Some("af_heart".into());
    let error = FliteTts::load(&config).err().unwrap().to_string();
    assert!(error.contains("af_heart") && error.contains("persona.voice"), "{error}");
}

#[test]
fn a_call_on_an_executor_thread_panics() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let caught = std::panic::catch_unwind(|| runtime.block_on(async { say(&mut flite(), "Hello.") }));
    assert!(caught.is_err());
}

/// flite draws its noise from libc's `rand()`, which all threads share. So two runs are compared in
/// what the noise does not touch: times and length exactly, loudness closely.
#[test]
fn four_threads_say_what_one_says() {
    let texts =
        ["The quick brown fox jumps.", SENTENCE, "In 1999 I paid $5.20 for it.", "Stop. Look, listen."];
    let alone: Vec<Spoken> = texts.iter().map(|text| say(&mut flite(), text)).collect();
    let alone = &alone;
    thread::scope(|scope| {
        for worker in 0..4 {
            scope.spawn(move || {
                let mut flite = flite();
                for n in 0..8 {
                    let want = &alone[(worker + n) % texts.len()];
                    let got = say(&mut flite, texts[(worker + n) % texts.len()]);
                    assert_eq!((&got.words, got.audio.len()), (&want.words, want.audio.len()));
                    let difference: f32 = loudness(&got.audio)
                        .iter()
                        .zip(loudness(&want.audio))
                        .map(|(a, b)| (a - b).abs())
                        .sum();
                    let total: f32 = loudness(&want.audio).iter().sum();
                    assert!(difference < 0.05 * total, "loudness differs by {}", difference / total);
                }
            });
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn word_times_are_in_order_and_within_the_audio(
        text in "[a-zA-Z0-9 .,'’()–—/:$%é-]{0,40}|\\PC{0,30}|([A-Z]?[a-z]{1,8}[,.!?]? ){0,8}|[ -~]{0,60}",
    ) {
        let Spoken { audio, words, .. } = say(&mut flite(), &text);
        prop_assert_eq!(words.is_empty(), audio.is_empty());
        prop_assert_eq!(words.len(), text::clean(&text).len(), "flite made other tokens");
        let (mut byte, mut sample) = (0, 0);
        for word in words {
            prop_assert!(word.text.start >= byte && word.text.end > word.text.start && word.text.end <= text.len());
            prop_assert!(text.is_char_boundary(word.text.start) && text.is_char_boundary(word.text.end));
            prop_assert!(word.end_sample >= sample);
            (byte, sample) = (word.text.end, word.end_sample);
        }
        prop_assert!(sample <= audio.len() as u64);
    }
}

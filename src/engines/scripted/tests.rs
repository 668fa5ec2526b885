use std::sync::mpsc;

use super::*;

fn scripted(edit: impl FnOnce(&mut config::Scripted)) -> Scripted {
    let mut config = config::Scripted::default();
    edit(&mut config);
    Scripted::new(&config).unwrap()
}

fn ask(user_words: &str) -> LlmRequest {
    let message = |role, content: &str| ChatMessage::new(role, content);
    LlmRequest {
        messages: vec![
            message(Role::User, "earlier"),
            message(Role::Assistant, "yes"),
            message(Role::User, user_words),
        ],
        max_new_tokens: 100,
        ..LlmRequest::default()
    }
}

/// The pieces of the reply, and how it ended.
fn generate(
    llm: &mut dyn Llm,
    request: &LlmRequest,
    cancel: &CancelToken,
) -> (Vec<String>, Result<Usage, EngineError>) {
    let mut pieces = vec![];
    let result = llm.generate(request, &mut LlmState::default(), cancel, &mut |event| {
        match event {
            LlmEvent::Text(text) => pieces.push(text),
            LlmEvent::Thought(thought) => panic!("{thought:?}"),
            LlmEvent::ToolCall(call) => {
                pieces.push(format!("[{} {} {}]", call.id, call.name, call.arguments))
            }
        }
        ControlFlow::Continue(())
    });
    (pieces, result)
}

fn code<T: std::fmt::Debug>(result: Result<T, EngineError>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn loud_frames_are_speech() {
    let probability = |amplitude: f32| {
        let pcm = Box::new(std::array::from_fn(|i| if i % 2 == 0 { amplitude } else { -amplitude }));
        let mut frame = VadFrame { pcm, probability: f32::NAN, ..VadFrame::silence() };
        scripted(|_| {}).vad().judge(&mut [&mut frame]).unwrap();
        frame.probability
    };
    assert_eq!((probability(0.02), probability(0.005), probability(0.0)), (0.95, 0.02, 0.02));
}

#[test]
fn transcripts_go_round_over_all_workers() {
    let scripted = scripted(|c| c.transcripts = vec!["one".into(), "two".into()]);
    let (mut first, mut second) = (scripted.asr(), scripted.asr());
    let text =
        |asr: &mut Box<dyn Asr>| asr.transcribe(&AsrRequest::default(), &CancelToken::new()).unwrap().text;
    let texts = [text(&mut first), text(&mut second), text(&mut first)];
    assert_eq!(texts, ["one", "two", "one"]);
}

#[test]
fn an_empty_script_says_nothing() {
    let scripted = scripted(|c| (c.transcripts, c.replies) = (vec![], vec![]));
    let cancel = CancelToken::new();
    assert_eq!(scripted.asr().transcribe(&AsrRequest::default(), &cancel).unwrap().text, "");
    assert_eq!(generate(&mut *scripted.llm(), &ask("hi"), &cancel).0, Vec::<String>::new());
}

#[test]
fn a_token_is_a_word_with_its_space() {
    let scripted = scripted(|c| c.replies = vec!["You said {echo}, right?".into()]);
    let (pieces, result) = generate(&mut *scripted.llm(), &ask("hello there"), &CancelToken::new());
    assert_eq!(pieces, ["You ", "said ", "hello ", "there, ", "right?"]);
    assert_eq!(result.unwrap(), Usage { input_tokens: 4, output_tokens: 5 });
}

#[test]
fn a_reply_ends_at_its_token_limit_and_at_a_break() {
    let scripted = scripted(|c| c.replies = vec!["a b c d".into()]);
    let mut request = ask("x");
    request.max_new_tokens = 2;
    let (pieces, _) = generate(&mut *scripted.llm(), &request, &CancelToken::new());
    assert_eq!(pieces, ["a ", "b "]);

    let mut seen = 0;
    let usage = scripted
        .llm()
        .generate(&ask("x"), &mut LlmState::default(), &CancelToken::new(), &mut |_| {
            seen += 1;
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!((seen, usage.output_tokens), (1, 1));
}

#[test]
fn speech_is_as_long_as_its_text_and_its_words_are_timed() {
    let scripted = scripted(|c| c.tts_ms_per_char = 50);
    let (mut audio, mut words) = (vec![], vec![]);
    let text = "Äh, ja  gut.";
    scripted
        .tts()
        .synthesize(text, None, &CancelToken::new(), &mut |event| {
            match event {
                TtsEvent::Audio(samples) => {
                    assert!(samples.len() <= PIECE_SAMPLES);
                    audio.extend(samples);
                }
                TtsEvent::Words(more) => words.extend(more),
                TtsEvent::Phonemes(_) => panic!("there are none"),
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    let samples_per_char = 1_200;
    assert_eq!(audio.len(), 12 * samples_per_char);
    let said: Vec<_> = words.iter().map(|word| (&text[word.text.clone()], word.end_sample)).collect();
    assert_eq!(said, [("Äh,", 3 * 1_200), ("ja", 6 * 1_200), ("gut.", 12 * 1_200)]);

    // The tone crosses the seams of the pieces without a jump: no step is steeper than a sine's.
    let steepest = TONE_AMPLITUDE * std::f64::consts::TAU * TONE_HZ / f64::from(OUTPUT_RATE_HZ);
    let jump = audio.windows(2).map(|pair| f64::from((pair[1] - pair[0]).abs())).fold(0.0, f64::max);
    assert!(jump <= steepest * 1.001, "{jump} > {steepest}");
    let loudest = audio.iter().fold(0.0, |max: f32, sample| max.max(sample.abs()));
    assert!((f64::from(loudest) - TONE_AMPLITUDE).abs() < 0.001);
}

#[test]
fn a_clip_is_as_long_as_its_audio() {
    let clip = scripted(|_| {}).clip().render_clip(&[0.0; 36_000], 24_000, "", &CancelToken::new()).unwrap();
    assert_eq!(clip.duration_ms, 1_500);
    assert_eq!(&clip.mp4[4..8], b"ftyp");
    assert_eq!(u32::from_be_bytes(clip.mp4[..4].try_into().unwrap()) as usize, clip.mp4.len());
}

#[test]
fn calls_fail_on_demand() {
    let scripted = scripted(|c| {
        c.failures = ["asr@2", "llm@1", "llm-mid@2", "tts@*", "clip@1"].map(String::from).into();
    });
    let cancel = CancelToken::new();

    let (mut first, mut second) = (scripted.asr(), scripted.asr());
    assert!(first.transcribe(&AsrRequest::default(), &cancel).is_ok());
    assert_eq!(code(second.transcribe(&AsrRequest::default(), &cancel)), "asr_failed");
    assert!(first.transcribe(&AsrRequest::default(), &cancel).is_ok());

    let mut llm = scripted.llm();
    let (pieces, result) = generate(&mut *llm, &ask("x"), &cancel);
    assert_eq!((pieces.len(), code(result)), (0, "llm_failed"));
    let (pieces, result) = generate(&mut *llm, &ask("x"), &cancel);
    assert_eq!((pieces.len(), code(result)), (3, "llm_failed"));
    assert!(generate(&mut *llm, &ask("x"), &cancel).1.is_ok());

    for _ in 0..2 {
        let spoken = scripted.tts().synthesize("x", None, &cancel, &mut |_| panic!("it fails first"));
        assert_eq!(code(spoken), "tts_failed");
    }
    assert_eq!(code(scripted.clip().render_clip(&[], 24_000, "", &cancel)), "clip_failed");
}

#[test]
fn a_short_reply_fails_at_its_end() {
    let scripted = scripted(|c| {
        c.replies = vec!["two words".into()];
        c.failures = vec!["llm-mid@*".into()];
    });
    let (pieces, result) = generate(&mut *scripted.llm(), &ask("x"), &CancelToken::new());
    assert_eq!((pieces.len(), code(result)), (2, "llm_failed"));
}

#[test]
fn a_bad_failure_is_named() {
    for bad in ["asr", "asr@", "asr@0", "asr@x", "ear@1", "asr@-1", "@*", ""] {
        let config = config::Scripted { failures: vec!["tts@1".into(), bad.into()], ..Default::default() };
        let message = Scripted::new(&config).unwrap_err().to_string();
        assert!(message.contains(&format!("`{bad}`")), "{message}");
    }
}

/// Each delay is a minute, after which the calls would succeed: only the token makes them end as
/// cancelled.
#[test]
fn a_cancel_wakes_a_sleeper() {
    const MINUTE_MS: u64 = 60_000;
    let scripted = scripted(|c| {
        (c.asr_delay_ms, c.tts_delay_ms, c.clip_delay_ms) = (MINUTE_MS, MINUTE_MS, MINUTE_MS);
        c.llm_token_ms = MINUTE_MS;
    });
    type Call = fn(&Scripted, &CancelToken, mpsc::Sender<()>) -> Result<(), EngineError>;
    let calls: [Call; 4] = [
        |s, cancel, begun| {
            begun.send(()).unwrap();
            s.asr().transcribe(&AsrRequest::default(), cancel).map(drop)
        },
        |s, cancel, begun| {
            let mut sink = |_| {
                begun.send(()).unwrap();
                ControlFlow::Continue(())
            };
            s.llm().generate(&ask("x"), &mut LlmState::default(), cancel, &mut sink).map(drop)
        },
        |s, cancel, begun| {
            begun.send(()).unwrap();
            s.tts().synthesize("x", None, cancel, &mut |_| panic!("it sleeps first"))
        },
        |s, cancel, begun| {
            begun.send(()).unwrap();
            s.clip().render_clip(&[], 24_000, "", cancel).map(drop)
        },
    ];
    for call in calls {
        let cancel = CancelToken::new();
        let (begun, has_begun) = mpsc::channel();
        thread::scope(|scope| {
            let caller = scope.spawn(|| call(&scripted, &cancel, begun));
            has_begun.recv().unwrap();
            cancel.cancel();
            assert!(matches!(caller.join().unwrap(), Err(EngineError::Cancelled)));
        });
    }
}

#[test]
fn a_sleep_lasts_its_delay_although_the_thread_was_unparked() {
    thread::current().unpark();
    let began = Instant::now();
    sleep_ms(20, &CancelToken::new()).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_set_token_stops_before_anything_is_said() {
    let scripted = scripted(|_| {});
    let cancel = CancelToken::new();
    cancel.cancel();
    assert!(matches!(
        scripted.asr().transcribe(&AsrRequest::default(), &cancel),
        Err(EngineError::Cancelled)
    ));
    let (pieces, result) = generate(&mut *scripted.llm(), &ask("x"), &cancel);
    assert!(pieces.is_empty() && matches!(result, Err(EngineError::Cancelled)));
}

#[test]
fn tools_are_called_where_the_script_says_so_and_their_answers_can_be_said() {
    let scripted = scripted(|c| {
        let calls = r#"Let me see. {call add {"a": {"b": "}"}}} {call now {}} Well."#;
        c.replies = vec![calls.into(), "It is {tool}.".into(), "{call now} and {call x {".into()];
    });
    let mut llm = scripted.llm();
    let mut request = ask("how late is it");
    let mut said = |request: &LlmRequest| generate(&mut *llm, request, &CancelToken::new()).0;
    let first = ["Let ", "me ", "see. ", r#"[call_1_1 add {"a": {"b": "}"}}]"#, "[call_1_2 now {}]", "Well."];
    assert_eq!(said(&request), first);
    request.messages.push(ChatMessage::new(Role::Tool, "noon"));
    assert_eq!(said(&request), ["It ", "is ", "noon."]);
    assert_eq!(said(&request).concat(), "{call now} and {call x {", "what is no call is text");
}

//! Timelines and properties of the speech detector.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

const RAW: DetectorConfig = DetectorConfig {
    threshold: 0.5,
    negative_threshold: 0.35,
    min_speech_ms: 0,
    hangover_ms: 500,
    prefix_padding_ms: 0,
    max_utterance_s: 3_600,
};
const SESSION: DetectorConfig =
    DetectorConfig { min_speech_ms: 120, prefix_padding_ms: 300, max_utterance_s: 30, ..RAW };

/// Frames of a timeline like `"0 ms speech; 900 ms silence; 1500 ms end"`: what begins when.
/// A frame is what its first sample is.
fn frames(timeline: &str) -> Vec<f32> {
    let marks: Vec<(f32, f32)> = timeline
        .split("; ")
        .map(|mark| {
            let (ms, sound) = mark.split_once(" ms ").expect("`T ms SOUND`");
            let probability = match sound {
                "speech" => 0.9,
                "unsure" => 0.4,
                "silence" | "end" => 0.1,
                "NaN" => f32::NAN,
                "infinity" => f32::INFINITY,
                other => panic!("no such sound: {other}"),
            };
            (ms.parse().expect("milliseconds"), probability)
        })
        .collect();
    let end_ms = marks.last().expect("a mark").0;
    (0..)
        .map(|frame| frame as f32 * 32.0)
        .take_while(|at_ms| *at_ms < end_ms)
        .map(|at_ms| marks.iter().rfind(|(from_ms, _)| *from_ms <= at_ms).expect("starts at 0").1)
        .collect()
}

fn edges(config: &DetectorConfig, frames: &[f32]) -> Vec<Edge> {
    let mut detector = SpeechDetector::new(config.clone());
    frames.iter().flat_map(|frame| detector.push(*frame)).collect()
}

/// One line per edge, in ms, after the end of the frame that gave it.
fn tell(detector: &mut SpeechDetector, frames: &[f32]) -> String {
    let mut story = String::new();
    for frame in frames {
        for edge in detector.push(*frame) {
            let ms = |sample: &u64| *sample as f64 / 16.0;
            let span = |range: &Range<u64>| format!("{}..{}", ms(&range.start), ms(&range.end));
            let what = match &edge {
                Edge::Start { sample } => format!("start {}", ms(sample)),
                Edge::Pause { sample } => format!("pause {}", ms(sample)),
                Edge::Continue { sample } => format!("continue {}", ms(sample)),
                Edge::Split { utterance } => format!("split {}", span(utterance)),
                Edge::End { utterance, voice_end } => {
                    format!("end {} voice {}", span(utterance), ms(voice_end))
                }
            };
            story += &format!("{} ms: {what}\n", ms(&detector.position()));
        }
    }
    story
}

fn check_with(config: &DetectorConfig, timeline: &str, expected: Expect) {
    expected.assert_eq(&tell(&mut SpeechDetector::new(config.clone()), &frames(timeline)));
}

fn check(timeline: &str, expected: Expect) {
    check_with(&SESSION, timeline, expected);
}

#[test]
fn an_utterance_has_padding_before_and_the_hangover_behind() {
    check(
        "0 ms silence; 640 ms speech; 1600 ms silence; 3000 ms end",
        expect![[r#"
        768 ms: start 340
        1632 ms: pause 1600
        2144 ms: end 340..2144 voice 1600
    "#]],
    );
}

#[test]
fn padding_does_not_reach_before_the_first_sample() {
    check(
        "0 ms speech; 960 ms silence; 2000 ms end",
        expect![[r#"
        128 ms: start 0
        992 ms: pause 960
        1504 ms: end 0..1504 voice 960
    "#]],
    );
}

#[test]
fn padding_does_not_reach_into_the_utterance_before() {
    check(
        "0 ms speech; 640 ms silence; 1280 ms speech; 1600 ms silence; 3000 ms end",
        expect![[r#"
        128 ms: start 0
        672 ms: pause 640
        1184 ms: end 0..1184 voice 640
        1408 ms: start 1184
        1632 ms: pause 1600
        2144 ms: end 1184..2144 voice 1600
    "#]],
    );
}

#[test]
fn a_pause_shorter_than_the_hangover_does_not_end_an_utterance() {
    check(
        "0 ms speech; 640 ms silence; 1120 ms speech; 1920 ms silence; 2560 ms end",
        expect![[r#"
        128 ms: start 0
        672 ms: pause 640
        1152 ms: continue 1120
        1952 ms: pause 1920
        2464 ms: end 0..2464 voice 1920
    "#]],
    );
}

#[test]
fn unsure_frames_neither_start_nor_pause_nor_continue_nor_end() {
    check(
        "0 ms unsure; 320 ms speech; 640 ms unsure; 1600 ms silence; 1632 ms unsure; 3200 ms silence; 3232 ms end",
        expect![[r#"
            448 ms: start 20
            1632 ms: pause 1600
            3232 ms: end 20..3232 voice 1600
        "#]],
    );
}

#[test]
fn a_click_starts_nothing() {
    check("0 ms silence; 320 ms speech; 416 ms silence; 2000 ms end", expect![[""]]);
    check_with(
        &RAW,
        "0 ms silence; 320 ms speech; 416 ms silence; 2000 ms end",
        expect![[r#"
        352 ms: start 320
        448 ms: pause 416
        960 ms: end 320..960 voice 416
    "#]],
    );
}

#[test]
fn speech_in_short_pieces_adds_up() {
    check(
        "0 ms speech; 64 ms silence; 320 ms speech; 352 ms silence; 640 ms speech; 672 ms end",
        expect![[r#"
            672 ms: start 0
        "#]],
    );
}

#[test]
fn what_is_no_probability_is_silence() {
    check(
        "0 ms speech; 640 ms NaN; 960 ms infinity; 1600 ms end",
        expect![[r#"
        128 ms: start 0
        672 ms: pause 640
        1184 ms: end 0..1184 voice 640
    "#]],
    );
}

#[test]
fn without_hangover_the_first_silent_frame_ends() {
    let config = DetectorConfig { hangover_ms: 0, ..SESSION };
    check_with(
        &config,
        "0 ms speech; 320 ms silence; 640 ms end",
        expect![[r#"
        128 ms: start 0
        352 ms: end 0..352 voice 320
    "#]],
    );
}

#[test]
fn a_long_utterance_is_split_without_gap_or_overlap() {
    let config = DetectorConfig { max_utterance_s: 1, ..SESSION };
    check_with(
        &config,
        "0 ms silence; 640 ms speech; 3200 ms silence; 4000 ms end",
        expect![[r#"
        768 ms: start 340
        1312 ms: split 340..1312
        2304 ms: split 1312..2304
        3232 ms: pause 3200
        3296 ms: split 2304..3296
        3744 ms: end 3296..3744 voice 3200
    "#]],
    );
}

#[test]
fn a_split_in_the_last_silence_keeps_the_place_where_the_voice_ended() {
    let config = DetectorConfig { max_utterance_s: 1, ..SESSION };
    check_with(
        &config,
        "0 ms speech; 896 ms silence; 2000 ms end",
        expect![[r#"
        128 ms: start 0
        928 ms: pause 896
        992 ms: split 0..992
        1440 ms: end 992..1440 voice 896
    "#]],
    );
}

#[test]
fn a_sound_that_never_gets_to_be_speech_is_forgotten() {
    let config = DetectorConfig { max_utterance_s: 1, ..SESSION };
    let mut detector = SpeechDetector::new(config);
    tell(&mut detector, &frames("0 ms speech; 64 ms silence; 96 ms unsure; 1024 ms end"));
    assert_eq!(detector.voiced_samples(), 0);
    assert_eq!(detector.keep_from(), detector.position() - 300 * 16);
}

#[test]
fn configuring_keeps_position_and_utterance_but_not_audio_given_up() {
    let mut detector = SpeechDetector::new(SESSION);
    let mut story = tell(&mut detector, &frames("0 ms silence; 1600 ms end"));
    let given_up_before = detector.keep_from();
    detector.configure(DetectorConfig { prefix_padding_ms: 1_000, ..SESSION });
    assert_eq!(detector.keep_from(), given_up_before);
    story += &tell(&mut detector, &frames("0 ms speech; 320 ms silence; 640 ms end"));
    detector.configure(DetectorConfig { hangover_ms: 320, ..SESSION });
    story += &tell(&mut detector, &frames("0 ms silence; 320 ms end"));
    expect![[r#"
        1728 ms: start 1300
        1952 ms: pause 1920
        2272 ms: end 1300..2272 voice 1920
    "#]]
    .assert_eq(&story);
}

#[test]
fn reset_forgets_the_utterance_and_what_was_before() {
    let mut detector = SpeechDetector::new(SESSION);
    let mut story = tell(&mut detector, &frames("0 ms speech; 640 ms end"));
    detector.reset();
    assert!(!detector.speaking());
    assert_eq!((detector.voiced_samples(), detector.position()), (0, 640 * 16));
    story += &tell(&mut detector, &frames("0 ms silence; 96 ms speech; 640 ms end"));
    expect![[r#"
        128 ms: start 0
        864 ms: start 640
    "#]]
    .assert_eq(&story);
}

#[test]
fn counters_follow_the_utterance() {
    let mut detector = SpeechDetector::new(SESSION);
    let mut state_after = |timeline| {
        tell(&mut detector, &frames(timeline));
        (detector.speaking(), detector.voiced_samples() / 512, detector.silence_samples() / 512)
    };
    assert_eq!(state_after("0 ms silence; 320 ms speech; 416 ms end"), (false, 3, 0));
    assert_eq!(state_after("0 ms silence; 64 ms end"), (false, 3, 0), "no utterance, so no pause");
    assert_eq!(state_after("0 ms speech; 32 ms end"), (true, 4, 0));
    assert_eq!(state_after("0 ms silence; 32 ms unsure; 96 ms end"), (true, 4, 3));
    assert_eq!(state_after("0 ms speech; 32 ms unsure; 64 ms end"), (true, 6, 0));
    assert_eq!(state_after("0 ms silence; 640 ms end"), (false, 0, 0));
}

fn any_config() -> impl Strategy<Value = DetectorConfig> {
    (0..400u32, 0..800u32, 0..600u32, 1..5u32).prop_map(
        |(min_speech_ms, hangover_ms, prefix_padding_ms, max_utterance_s)| DetectorConfig {
            min_speech_ms,
            hangover_ms,
            prefix_padding_ms,
            max_utterance_s,
            ..RAW
        },
    )
}

/// Runs of frames, as sounds come, with the thresholds themselves and values beside them.
fn any_frames() -> impl Strategy<Value = Vec<f32>> {
    let probability = prop_oneof![
        4 => Just(0.9f32),
        4 => Just(0.1),
        2 => Just(0.4),
        1 => Just(0.5),
        1 => Just(0.35),
        1 => prop_oneof![Just(f32::NAN), Just(-1.0), Just(1.5)],
        2 => 0.0..=1.0f32,
    ];
    prop::collection::vec((probability, 1..40usize), 0..40)
        .prop_map(|runs| runs.into_iter().flat_map(|(p, frames)| vec![p; frames]).collect())
}

proptest! {
    #[test]
    fn edges_come_in_order_and_utterances_do_not_overlap(config in any_config(), frames in any_frames()) {
        let mut detector = SpeechDetector::new(config.clone());
        let mut part_start: Option<u64> = None;
        let mut pause_start: Option<u64> = None;
        let mut covered_to = 0;
        for probability in frames {
            let kept_from = detector.keep_from();
            for edge in detector.push(probability) {
                match edge {
                    Edge::Start { sample } => {
                        prop_assert!(part_start.is_none());
                        prop_assert!(sample >= covered_to && sample >= kept_from);
                        part_start = Some(sample);
                    }
                    Edge::Pause { sample } => {
                        prop_assert!(part_start.is_some() && pause_start.is_none());
                        pause_start = Some(sample);
                    }
                    Edge::Continue { sample } => {
                        prop_assert!(part_start.is_some());
                        prop_assert!(pause_start.take().is_some_and(|pause| pause < sample));
                    }
                    Edge::Split { utterance } => {
                        prop_assert_eq!(part_start, Some(utterance.start));
                        prop_assert!(!utterance.is_empty());
                        prop_assert_eq!(utterance.end, detector.position());
                        part_start = Some(utterance.end);
                        covered_to = utterance.end;
                    }
                    Edge::End { utterance, voice_end } => {
                        prop_assert_eq!(part_start.take(), Some(utterance.start));
                        prop_assert!(!utterance.is_empty());
                        prop_assert_eq!(utterance.end, detector.position());
                        if config.hangover_ms > 0 {
                            prop_assert_eq!(pause_start.take(), Some(voice_end));
                        }
                        prop_assert!(
                            utterance.end - voice_end >= u64::from(config.hangover_ms) * 16
                        );
                        covered_to = utterance.end;
                    }
                }
            }
            prop_assert_eq!(detector.speaking(), part_start.is_some());
            prop_assert!(detector.keep_from() >= kept_from, "keep_from moved back");
            let held = detector.position() - detector.keep_from();
            let most = u64::from(config.max_utterance_s) * 16_000 + u64::from(config.prefix_padding_ms) * 16;
            prop_assert!(held <= most, "{held} samples to keep");
        }
    }

    #[test]
    fn a_minimum_of_speech_only_drops_utterances_and_delays_their_start(
        min_speech_ms in 1..400u32, frames in any_frames(),
    ) {
        let ends = |config: DetectorConfig| -> Vec<Edge> {
            edges(&config, &frames).into_iter().filter(|edge| matches!(edge, Edge::End { .. })).collect()
        };
        let all = ends(RAW);
        for end in ends(DetectorConfig { min_speech_ms, ..RAW }) {
            prop_assert!(all.contains(&end));
        }
    }
}

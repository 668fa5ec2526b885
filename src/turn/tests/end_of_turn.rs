//! Turn detection `smart`: pauses that a model judges.

use expect_test::expect;

use super::timeline::{NEVER, Script, check};
use crate::turn::config::TurnDetection;

/// Pauses of 200 ms are judged; 500 ms of silence without a judgement and 1 s with it end a turn. Nothing
/// is answered, so that timelines are short.
fn script(judge: &[(u64, Result<f32, &'static str>)]) -> Script {
    let mut script = Script { judge: judge.to_vec(), asr: vec![(10, Ok(""))], ..Script::default() };
    script.config.detection = TurnDetection::Smart;
    script.config.smart_limit_ms = 1_000;
    script
}

#[test]
fn a_finished_turn_ends_at_once() {
    check(
        &script(&[(40, Ok(0.51))]),
        "0 ms speech; 640 ms silence",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        864 ms    → judge 1: 0–864 ms
        904 ms    speech to 640 ms
        904 ms    → transcribe 1: 0–896 ms
        904 ms    status transcribing #1
        914 ms    transcript #1 "" (896 ms)
        914 ms    → commit #1: Empty, heard ""
        919 ms    end #1 Empty
        919 ms    status listening
    "#]],
    );
}

#[test]
fn what_was_recognised_ahead_is_used_when_the_turn_is_found_finished() {
    let mut script = script(&[(40, Ok(0.9))]);
    script.config.speculate_after_ms = 96;
    script.asr = vec![(30, Ok("early words"))];
    check(
        &script,
        "0 ms speech; 640 ms silence; 1100 ms interrupt",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        736 ms    → transcribe 1: 0–736 ms
        864 ms    → judge 1: 0–864 ms
        904 ms    speech to 640 ms
        904 ms    status transcribing #1
        904 ms    transcript #1 "early words" (896 ms)
        904 ms    → generate for "early words"
        904 ms    status thinking #1
        1004 ms   → speak s0 "Hello you."
        1034 ms   status speaking #1
        1034 ms   text #1 s0 "Hello you."
        1034 ms   audio #1 s0 chunks 0–10 (0–440 ms) until 1074 ms
        1094 ms   → speak s1 "How are you?"
        1100 ms   → cancel reply
        1100 ms   interrupt #1 by Client, heard ""
        1100 ms   → commit #1: Interrupted, said "early words", heard "" of "Hello you. How are you?"
        1105 ms   end #1 Interrupted
        1105 ms   status listening
    "#]],
    );
}

#[test]
fn an_unfinished_turn_ends_at_the_limit() {
    check(
        &script(&[(40, Ok(0.5))]),
        "0 ms speech; 640 ms silence",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        864 ms    → judge 1: 0–864 ms
        1696 ms   speech to 640 ms
        1696 ms   → transcribe 1: 0–1696 ms
        1696 ms   status transcribing #1
        1706 ms   transcript #1 "" (1696 ms)
        1706 ms   → commit #1: Empty, heard ""
        1711 ms   end #1 Empty
        1711 ms   status listening
    "#]],
    );
}

#[test]
fn an_unfinished_turn_goes_on_and_is_judged_as_a_whole_at_the_next_pause() {
    let script = script(&[(40, Ok(0.1)), (40, Ok(0.9))]);
    check(
        &script,
        "0 ms speech; 640 ms silence; 1500 ms speech; 1920 ms silence",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        864 ms    → judge 1: 0–864 ms
        2144 ms   → judge 2: 0–2144 ms
        2184 ms   speech to 1920 ms
        2184 ms   → transcribe 1: 0–2176 ms
        2184 ms   status transcribing #1
        2194 ms   transcript #1 "" (2176 ms)
        2194 ms   → commit #1: Empty, heard ""
        2199 ms   end #1 Empty
        2199 ms   status listening
    "#]],
    );
}

#[test]
fn a_judgement_after_speech_has_begun_again_is_ignored() {
    // It would have ended the turn in the middle of a word.
    let script = script(&[(200, Ok(0.9)), (40, Ok(0.1))]);
    check(
        &script,
        "0 ms speech; 640 ms silence; 928 ms speech; 1280 ms silence",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        864 ms    → judge 1: 0–864 ms
        960 ms    → forget judge 1
        1504 ms   → judge 2: 0–1504 ms
        2336 ms   speech to 1280 ms
        2336 ms   → transcribe 1: 0–2336 ms
        2336 ms   status transcribing #1
        2346 ms   transcript #1 "" (2336 ms)
        2346 ms   → commit #1: Empty, heard ""
        2351 ms   end #1 Empty
        2351 ms   status listening
    "#]],
    );
}

#[test]
fn a_judgement_that_does_not_come_leaves_the_hangover() {
    check(
        &script(&[(NEVER, Ok(0.9))]),
        "0 ms speech; 640 ms silence",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        864 ms    → judge 1: 0–864 ms
        1184 ms   speech to 640 ms
        1184 ms   → forget judge 1
        1184 ms   → transcribe 1: 0–1184 ms
        1184 ms   status transcribing #1
        1194 ms   transcript #1 "" (1184 ms)
        1194 ms   → commit #1: Empty, heard ""
        1199 ms   end #1 Empty
        1199 ms   status listening
    "#]],
    );
}

#[test]
fn a_model_that_fails_leaves_the_hangover_and_is_complained_of_once() {
    let script = script(&[(40, Err("turn_judge_failed"))]);
    check(
        &script,
        "0 ms speech; 640 ms silence; 2000 ms speech; 2400 ms silence",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        864 ms    → judge 1: 0–864 ms
        904 ms    error #1 turn_judge_failed
        1184 ms   speech to 640 ms
        1184 ms   → transcribe 1: 0–1184 ms
        1184 ms   status transcribing #1
        1194 ms   transcript #1 "" (1184 ms)
        1194 ms   → commit #1: Empty, heard ""
        1199 ms   end #1 Empty
        1199 ms   status listening
        2112 ms   speech from 1684 ms
        2112 ms   status user_speaking #2
        2624 ms   → judge 2: 1684–2624 ms
        2944 ms   speech to 2400 ms
        2944 ms   → transcribe 2: 1684–2944 ms
        2944 ms   status transcribing #2
        2954 ms   transcript #2 "" (1260 ms)
        2954 ms   → commit #2: Empty, heard ""
        2959 ms   end #2 Empty
        2959 ms   status listening
    "#]],
    );
}

#[test]
fn a_model_that_recovers_is_heard_again() {
    let script = script(&[(40, Err("turn_judge_failed")), (40, Ok(0.9))]);
    check(
        &script,
        "0 ms speech; 640 ms silence; 2000 ms speech; 2400 ms silence",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        864 ms    → judge 1: 0–864 ms
        904 ms    error #1 turn_judge_failed
        1184 ms   speech to 640 ms
        1184 ms   → transcribe 1: 0–1184 ms
        1184 ms   status transcribing #1
        1194 ms   transcript #1 "" (1184 ms)
        1194 ms   → commit #1: Empty, heard ""
        1199 ms   end #1 Empty
        1199 ms   status listening
        2112 ms   speech from 1684 ms
        2112 ms   status user_speaking #2
        2624 ms   → judge 2: 1684–2624 ms
        2664 ms   speech to 2400 ms
        2664 ms   → transcribe 2: 1684–2656 ms
        2664 ms   status transcribing #2
        2674 ms   transcript #2 "" (972 ms)
        2674 ms   → commit #2: Empty, heard ""
        2679 ms   end #2 Empty
        2679 ms   status listening
    "#]],
    );
}

#[test]
fn the_last_eight_seconds_are_judged() {
    check(
        &script(&[(40, Ok(0.9))]),
        "0 ms speech; 9600 ms silence",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        9824 ms   → judge 1: 1824–9824 ms
        9864 ms   speech to 9600 ms
        9864 ms   → transcribe 1: 0–9856 ms
        9864 ms   status transcribing #1
        9874 ms   transcript #1 "" (9856 ms)
        9874 ms   → commit #1: Empty, heard ""
        9879 ms   end #1 Empty
        9879 ms   status listening
    "#]],
    );
}

#[test]
fn what_was_said_before_a_reply_was_dropped_belongs_to_the_turn() {
    let mut script = script(&[(40, Ok(0.9))]);
    script.asr = vec![(2_000, Ok("I would like"))];
    check(
        &script,
        "0 ms speech; 640 ms silence; 1280 ms speech; 1600 ms silence; 2000 ms interrupt",
        expect![[r#"
            0 ms      status listening
            128 ms    speech from 0 ms
            128 ms    status user_speaking #1
            864 ms    → judge 1: 0–864 ms
            904 ms    speech to 640 ms
            904 ms    → transcribe 1: 0–896 ms
            904 ms    status transcribing #1
            1408 ms   speech from 980 ms
            1408 ms   → commit #1: Superseded, heard ""
            1408 ms   status user_speaking #2
            1413 ms   end #1 Superseded
            1824 ms   → judge 2: 0–1824 ms
            1864 ms   speech to 1600 ms
            1864 ms   → transcribe 2: 980–1856 ms
            1864 ms   status transcribing #2
            2000 ms   interrupt #2 by Client, heard ""
            2000 ms   → forget transcribe 1
            2000 ms   → forget transcribe 2
            2000 ms   → commit #2: Interrupted, heard ""
            2005 ms   end #2 Interrupted
            2005 ms   status listening
        "#]],
    );
}

#[test]
fn a_split_in_the_pause_leaves_no_empty_part() {
    let mut script = script(&[(16, Ok(0.9))]);
    script.config.max_utterance_s = 1;
    check(
        &script,
        "0 ms speech; 768 ms silence",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        992 ms    → transcribe 1: 0–992 ms
        992 ms    → judge 1: 0–992 ms
        1024 ms   speech to 768 ms
        1024 ms   → transcribe 2: 992–1024 ms
        1024 ms   status transcribing #1
        1034 ms   transcript #1 "" (1024 ms)
        1034 ms   → commit #1: Empty, heard ""
        1039 ms   end #1 Empty
        1039 ms   status listening
    "#]],
    );
}

#[test]
fn a_sound_during_a_reply_is_not_judged() {
    let mut script = script(&[(40, Ok(0.1))]);
    script.asr = vec![(10, Ok("hello"))];
    check(
        &script,
        "0 ms speech; 640 ms silence; 2500 ms speech; 2660 ms silence; 3300 ms interrupt",
        expect![[r#"
            0 ms      status listening
            128 ms    speech from 0 ms
            128 ms    status user_speaking #1
            864 ms    → judge 1: 0–864 ms
            1696 ms   speech to 640 ms
            1696 ms   → transcribe 1: 0–1696 ms
            1696 ms   status transcribing #1
            1706 ms   transcript #1 "hello" (1696 ms)
            1706 ms   → generate for "hello"
            1706 ms   status thinking #1
            1806 ms   → speak s0 "Hello you."
            1836 ms   status speaking #1
            1836 ms   text #1 s0 "Hello you."
            1836 ms   audio #1 s0 chunks 0–10 (0–440 ms) until 1876 ms
            1896 ms   → speak s1 "How are you?"
            1916 ms   audio #1 s0 chunks 11–14 (440–600 ms) until 2036 ms
            2076 ms   text #1 s1 "How are you?"
            2076 ms   audio #1 s1 chunks 15–15 (600–640 ms)
            2076 ms   whole text #1 s1 "Hello you. How are you?"
            2116 ms   audio #1 s1 chunks 16–28 (640–1160 ms) until 2596 ms
            2624 ms   speech from 2196 ms
            2624 ms   pause #1
            3200 ms   speech to 2656 ms
            3200 ms   resume #1 from chunk 29
            3212 ms   audio #1 s1 chunks 29–31 (1160–1280 ms) until 3292 ms
            3300 ms   → cancel reply
            3300 ms   interrupt #1 by Client, heard "Hello you. How"
            3300 ms   → commit #1: Interrupted, said "hello", heard "Hello you. How" of "Hello you. How are you?"
            3305 ms   end #1 Interrupted
            3305 ms   status listening
        "#]],
    );
}

#[test]
fn the_mode_can_change_in_a_pause() {
    let script = script(&[(400, Ok(0.9))]);
    check(
        &script,
        "0 ms speech; 640 ms silence; 900 ms vad; 1600 ms smart; 1700 ms speech; 2100 ms silence",
        expect![[r#"
            0 ms      status listening
            128 ms    speech from 0 ms
            128 ms    status user_speaking #1
            864 ms    → judge 1: 0–864 ms
            900 ms    → forget judge 1
            1184 ms   speech to 640 ms
            1184 ms   → transcribe 1: 0–1184 ms
            1184 ms   status transcribing #1
            1194 ms   transcript #1 "" (1184 ms)
            1194 ms   → commit #1: Empty, heard ""
            1199 ms   end #1 Empty
            1199 ms   status listening
            1824 ms   speech from 1396 ms
            1824 ms   status user_speaking #2
            2304 ms   → judge 2: 1396–2304 ms
            2624 ms   speech to 2080 ms
            2624 ms   → forget judge 2
            2624 ms   → transcribe 2: 1396–2624 ms
            2624 ms   status transcribing #2
            2634 ms   transcript #2 "" (1228 ms)
            2634 ms   → commit #2: Empty, heard ""
            2639 ms   end #2 Empty
            2639 ms   status listening
        "#]],
    );
}

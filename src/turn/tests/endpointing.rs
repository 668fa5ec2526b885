//! When utterances make a turn: hangover, speculation, joining, splits.

use expect_test::expect;

use super::timeline::{NEVER, Script, check, says};

#[test]
fn a_question_and_its_answer() {
    check(
        &Script { shows_metrics: true, ..Script::default() },
        "0 ms speech; 928 ms silence",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        1472 ms   speech to 928 ms
        1472 ms   → transcribe 1: 0–1472 ms
        1472 ms   status transcribing #1
        1522 ms   transcript #1 "hello" (1472 ms)
        1522 ms   → generate for "hello"
        1522 ms   status thinking #1
        1622 ms   → speak s0 "Hello you."
        1652 ms   status speaking #1
        1652 ms   text #1 s0 "Hello you."
        1652 ms   audio #1 s0 chunks 0–10 (0–440 ms) until 1692 ms
        1712 ms   → speak s1 "How are you?"
        1732 ms   audio #1 s0 chunks 11–14 (440–600 ms) until 1852 ms
        1892 ms   text #1 s1 "How are you?"
        1892 ms   audio #1 s1 chunks 15–15 (600–640 ms)
        1892 ms   whole text #1 s1 "Hello you. How are you?"
        1932 ms   audio #1 s1 chunks 16–32 (640–1320 ms) until 2572 ms
        2972 ms   → forget reply
        2972 ms   → commit #1: Completed, said "hello", heard "Hello you. How are you?"
        2977 ms   metrics #1 544 · 50 · 100 · 30 · 180 · 1500
        2977 ms   end #1 Completed
        2977 ms   status listening
    "#]],
    );
}

#[test]
fn a_click_starts_nothing() {
    check(
        &Script::default(),
        "320 ms speech; 400 ms silence",
        expect![[r#"
        0 ms      status listening
    "#]],
    );
}

#[test]
fn no_words_end_the_turn_quietly() {
    let script = Script { asr: vec![(50, Ok(" "))], ..Script::default() };
    check(
        &script,
        "0 ms speech; 640 ms silence",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        1184 ms   speech to 640 ms
        1184 ms   → transcribe 1: 0–1184 ms
        1184 ms   status transcribing #1
        1234 ms   transcript #1 "" (1184 ms)
        1234 ms   → commit #1: Empty, heard ""
        1239 ms   end #1 Empty
        1239 ms   status listening
    "#]],
    );
}

#[test]
fn what_was_recognised_in_the_silence_is_used_at_its_end() {
    let mut script = Script::default();
    script.config.speculate_after_ms = 96;
    script.asr = vec![(200, Ok("early words"))];
    check(
        &script,
        "0 ms speech; 928 ms silence; 1900 ms interrupt",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        1024 ms   → transcribe 1: 0–1024 ms
        1472 ms   speech to 928 ms
        1472 ms   status transcribing #1
        1472 ms   transcript #1 "early words" (1472 ms)
        1472 ms   → generate for "early words"
        1472 ms   status thinking #1
        1572 ms   → speak s0 "Hello you."
        1602 ms   status speaking #1
        1602 ms   text #1 s0 "Hello you."
        1602 ms   audio #1 s0 chunks 0–10 (0–440 ms) until 1642 ms
        1662 ms   → speak s1 "How are you?"
        1682 ms   audio #1 s0 chunks 11–14 (440–600 ms) until 1802 ms
        1842 ms   text #1 s1 "How are you?"
        1842 ms   audio #1 s1 chunks 15–15 (600–640 ms)
        1842 ms   whole text #1 s1 "Hello you. How are you?"
        1882 ms   audio #1 s1 chunks 16–16 (640–680 ms)
        1900 ms   → cancel reply
        1900 ms   interrupt #1 by Client, heard ""
        1900 ms   → commit #1: Interrupted, said "early words", heard "" of "Hello you. How are you?"
        1905 ms   end #1 Interrupted
        1905 ms   status listening
    "#]],
    );
}

#[test]
fn recognition_that_began_in_the_silence_may_end_after_it() {
    let mut script = Script::default();
    script.config.speculate_after_ms = 96;
    script.asr = vec![(600, Ok("slow words"))];
    check(
        &script,
        "0 ms speech; 928 ms silence; 1900 ms interrupt",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        1024 ms   → transcribe 1: 0–1024 ms
        1472 ms   speech to 928 ms
        1472 ms   status transcribing #1
        1624 ms   transcript #1 "slow words" (1472 ms)
        1624 ms   → generate for "slow words"
        1624 ms   status thinking #1
        1724 ms   → speak s0 "Hello you."
        1754 ms   status speaking #1
        1754 ms   text #1 s0 "Hello you."
        1754 ms   audio #1 s0 chunks 0–10 (0–440 ms) until 1794 ms
        1814 ms   → speak s1 "How are you?"
        1834 ms   audio #1 s0 chunks 11–12 (440–520 ms) until 1874 ms
        1900 ms   → cancel reply
        1900 ms   interrupt #1 by Client, heard ""
        1900 ms   → commit #1: Interrupted, said "slow words", heard "" of "Hello you. How are you?"
        1905 ms   end #1 Interrupted
        1905 ms   status listening
    "#]],
    );
}

#[test]
fn what_was_recognised_is_dropped_when_the_user_goes_on() {
    let mut script = Script::default();
    script.config.speculate_after_ms = 96;
    script.asr = vec![(100, Ok("I would")), (100, Ok("I would like tea"))];
    check(
        &script,
        "0 ms speech; 640 ms silence; 960 ms speech; 1600 ms silence; 2300 ms interrupt",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        736 ms    → transcribe 1: 0–736 ms
        1696 ms   → transcribe 2: 0–1696 ms
        2144 ms   speech to 1600 ms
        2144 ms   status transcribing #1
        2144 ms   transcript #1 "I would like tea" (2144 ms)
        2144 ms   → generate for "I would like tea"
        2144 ms   status thinking #1
        2244 ms   → speak s0 "Hello you."
        2274 ms   status speaking #1
        2274 ms   text #1 s0 "Hello you."
        2274 ms   audio #1 s0 chunks 0–6 (0–280 ms) until 2294 ms
        2300 ms   → cancel reply
        2300 ms   interrupt #1 by Client, heard ""
        2300 ms   → commit #1: Interrupted, said "I would like tea", heard "" of "Hello you. How are you?"
        2305 ms   end #1 Interrupted
        2305 ms   status listening
    "#]],
    );
}

#[test]
fn a_speculation_that_failed_is_not_repeated_in_the_same_silence() {
    let mut script = Script::default();
    script.config.speculate_after_ms = 96;
    script.asr = vec![(10, Err("asr_failed")), (10, Ok("words"))];
    check(
        &script,
        "0 ms speech; 640 ms silence; 1500 ms interrupt",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        736 ms    → transcribe 1: 0–736 ms
        1184 ms   speech to 640 ms
        1184 ms   → transcribe 2: 0–1184 ms
        1184 ms   status transcribing #1
        1194 ms   transcript #1 "words" (1184 ms)
        1194 ms   → generate for "words"
        1194 ms   status thinking #1
        1294 ms   → speak s0 "Hello you."
        1324 ms   status speaking #1
        1324 ms   text #1 s0 "Hello you."
        1324 ms   audio #1 s0 chunks 0–10 (0–440 ms) until 1364 ms
        1384 ms   → speak s1 "How are you?"
        1404 ms   audio #1 s0 chunks 11–13 (440–560 ms) until 1484 ms
        1500 ms   → cancel reply
        1500 ms   interrupt #1 by Client, heard ""
        1500 ms   → commit #1: Interrupted, said "words", heard "" of "Hello you. How are you?"
        1505 ms   end #1 Interrupted
        1505 ms   status listening
    "#]],
    );
}

#[test]
fn words_while_the_user_speaks() {
    let mut script = Script::default();
    script.config.interim_ms = 500;
    script.asr = vec![(20, Ok("one")), (20, Ok("one")), (20, Ok("one two")), (20, Ok("one two three"))];
    check(
        &script,
        "320 ms speech; 2240 ms silence; 3000 ms interrupt",
        expect![[r#"
        0 ms      status listening
        448 ms    speech from 20 ms
        448 ms    status user_speaking #1
        544 ms    → transcribe 1: 20–544 ms
        564 ms    partial #1 "one"
        1056 ms   → transcribe 2: 20–1056 ms
        1568 ms   → transcribe 3: 20–1568 ms
        1588 ms   partial #1 "one two"
        2112 ms   → transcribe 4: 20–2112 ms
        2132 ms   partial #1 "one two three"
        2784 ms   speech to 2240 ms
        2784 ms   → transcribe 5: 20–2784 ms
        2784 ms   status transcribing #1
        2804 ms   transcript #1 "one two three" (2764 ms)
        2804 ms   → generate for "one two three"
        2804 ms   status thinking #1
        2904 ms   → speak s0 "Hello you."
        2934 ms   status speaking #1
        2934 ms   text #1 s0 "Hello you."
        2934 ms   audio #1 s0 chunks 0–10 (0–440 ms) until 2974 ms
        2994 ms   → speak s1 "How are you?"
        3000 ms   → cancel reply
        3000 ms   interrupt #1 by Client, heard ""
        3000 ms   → commit #1: Interrupted, said "one two three", heard "" of "Hello you. How are you?"
        3005 ms   end #1 Interrupted
        3005 ms   status listening
    "#]],
    );
}

#[test]
fn slow_recognition_shows_words_less_often() {
    let mut script = Script::default();
    script.config.interim_ms = 320;
    script.asr = vec![(900, Ok("one")), (900, Ok("one two")), (20, Ok("one two three"))];
    check(
        &script,
        "320 ms speech; 2240 ms silence; 2800 ms interrupt",
        expect![[r#"
        0 ms      status listening
        448 ms    speech from 20 ms
        448 ms    status user_speaking #1
        448 ms    → transcribe 1: 20–448 ms
        1348 ms   partial #1 "one"
        1472 ms   → transcribe 2: 20–1472 ms
        2372 ms   partial #1 "one two"
        2784 ms   speech to 2240 ms
        2784 ms   → transcribe 3: 20–2784 ms
        2784 ms   status transcribing #1
        2800 ms   interrupt #1 by Client, heard ""
        2800 ms   → forget transcribe 3
        2800 ms   → commit #1: Interrupted, heard ""
        2805 ms   end #1 Interrupted
        2805 ms   status listening
    "#]],
    );
}

#[test]
fn going_on_while_words_are_recognised_joins_both() {
    let script =
        Script { asr: vec![(900, Ok("I would like")), (50, Ok("a cup of tea"))], ..Script::default() };
    check(
        &script,
        "0 ms speech; 640 ms silence; 1280 ms speech; 1920 ms silence; 2700 ms interrupt",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        1184 ms   speech to 640 ms
        1184 ms   → transcribe 1: 0–1184 ms
        1184 ms   status transcribing #1
        1408 ms   speech from 1184 ms
        1408 ms   → commit #1: Superseded, heard ""
        1408 ms   status user_speaking #2
        1413 ms   end #1 Superseded
        2464 ms   speech to 1920 ms
        2464 ms   → transcribe 2: 1184–2464 ms
        2464 ms   status transcribing #2
        2514 ms   transcript #2 "I would like a cup of tea" (2464 ms)
        2514 ms   → generate for "I would like a cup of tea"
        2514 ms   status thinking #2
        2614 ms   → speak s0 "Hello you."
        2644 ms   status speaking #2
        2644 ms   text #2 s0 "Hello you."
        2644 ms   audio #2 s0 chunks 0–10 (0–440 ms) until 2684 ms
        2700 ms   → cancel reply
        2700 ms   interrupt #2 by Client, heard ""
        2700 ms   → commit #2: Interrupted, said "I would like a cup of tea", heard "" of "Hello you. How are you?"
        2705 ms   end #2 Interrupted
        2705 ms   status listening
    "#]],
    );
}

#[test]
fn going_on_before_the_reply_is_heard_joins_both() {
    let script = Script {
        asr: vec![(10, Ok("I would like")), (50, Ok("a cup of tea"))],
        llm: vec![vec![(2_000, super::timeline::Llm::Says("late"))], says("Here it is.")],
        ..Script::default()
    };
    check(
        &script,
        "0 ms speech; 640 ms silence; 1280 ms speech; 1920 ms silence",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        1184 ms   speech to 640 ms
        1184 ms   → transcribe 1: 0–1184 ms
        1184 ms   status transcribing #1
        1194 ms   transcript #1 "I would like" (1184 ms)
        1194 ms   → generate for "I would like"
        1194 ms   status thinking #1
        1408 ms   speech from 1184 ms
        1408 ms   → cancel reply
        1408 ms   → commit #1: Superseded, heard ""
        1408 ms   status user_speaking #2
        1413 ms   end #1 Superseded
        2464 ms   speech to 1920 ms
        2464 ms   → transcribe 2: 1184–2464 ms
        2464 ms   status transcribing #2
        2514 ms   transcript #2 "I would like a cup of tea" (2464 ms)
        2514 ms   → generate for "I would like a cup of tea"
        2514 ms   status thinking #2
        2614 ms   → speak s0 "Here it is."
        2644 ms   status speaking #2
        2644 ms   text #2 s0 "Here it is."
        2644 ms   audio #2 s0 chunks 0–1 (0–80 ms)
        2644 ms   whole text #2 s0 "Here it is."
        2654 ms   audio #2 s0 chunks 2–16 (80–660 ms) until 2904 ms
        3304 ms   → forget reply
        3304 ms   → commit #2: Completed, said "I would like a cup of tea", heard "Here it is."
        3309 ms   end #2 Completed
        3309 ms   status listening
    "#]],
    );
}

#[test]
fn a_noise_before_the_reply_is_heard_only_delays_it() {
    let script = Script {
        asr: vec![(10, Ok("a cup of tea")), (50, Ok(""))],
        llm: vec![vec![(NEVER, super::timeline::Llm::Ends)], says("Here it is.")],
        ..Script::default()
    };
    check(
        &script,
        "0 ms speech; 640 ms silence; 1280 ms speech; 1472 ms silence",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        1184 ms   speech to 640 ms
        1184 ms   → transcribe 1: 0–1184 ms
        1184 ms   status transcribing #1
        1194 ms   transcript #1 "a cup of tea" (1184 ms)
        1194 ms   → generate for "a cup of tea"
        1194 ms   status thinking #1
        1408 ms   speech from 1184 ms
        1408 ms   → cancel reply
        1408 ms   → commit #1: Superseded, heard ""
        1408 ms   status user_speaking #2
        1413 ms   end #1 Superseded
        2016 ms   speech to 1472 ms
        2016 ms   → transcribe 2: 1184–2016 ms
        2016 ms   status transcribing #2
        2066 ms   transcript #2 "a cup of tea" (2016 ms)
        2066 ms   → generate for "a cup of tea"
        2066 ms   status thinking #2
        2166 ms   → speak s0 "Here it is."
        2196 ms   status speaking #2
        2196 ms   text #2 s0 "Here it is."
        2196 ms   audio #2 s0 chunks 0–1 (0–80 ms)
        2196 ms   whole text #2 s0 "Here it is."
        2206 ms   audio #2 s0 chunks 2–16 (80–660 ms) until 2456 ms
        2856 ms   → forget reply
        2856 ms   → commit #2: Completed, said "a cup of tea", heard "Here it is."
        2861 ms   end #2 Completed
        2861 ms   status listening
    "#]],
    );
}

#[test]
fn a_long_utterance_is_split_for_recognition_and_stays_one_turn() {
    let mut script = Script::default();
    script.config.max_utterance_s = 1;
    script.asr = vec![(700, Ok("one")), (10, Ok("two")), (10, Ok("three")), (10, Ok(""))];
    check(
        &script,
        "320 ms speech; 2560 ms silence; 3300 ms interrupt",
        expect![[r#"
        0 ms      status listening
        448 ms    speech from 20 ms
        448 ms    status user_speaking #1
        992 ms    → transcribe 1: 20–992 ms
        1984 ms   → transcribe 2: 992–1984 ms
        2976 ms   → transcribe 3: 1984–2976 ms
        3104 ms   speech to 2560 ms
        3104 ms   → transcribe 4: 2976–3104 ms
        3104 ms   status transcribing #1
        3114 ms   transcript #1 "one two three" (3084 ms)
        3114 ms   → generate for "one two three"
        3114 ms   status thinking #1
        3214 ms   → speak s0 "Hello you."
        3244 ms   status speaking #1
        3244 ms   text #1 s0 "Hello you."
        3244 ms   audio #1 s0 chunks 0–10 (0–440 ms) until 3284 ms
        3300 ms   → cancel reply
        3300 ms   interrupt #1 by Client, heard ""
        3300 ms   → commit #1: Interrupted, said "one two three", heard "" of "Hello you. How are you?"
        3305 ms   end #1 Interrupted
        3305 ms   status listening
    "#]],
    );
}

#[test]
fn a_split_in_the_silence_does_not_double_what_was_recognised_ahead() {
    let mut script = Script::default();
    script.config.max_utterance_s = 1;
    script.config.speculate_after_ms = 96;
    script.asr = vec![(10, Ok("one")), (10, Ok("one")), (10, Ok(""))];
    check(
        &script,
        "0 ms speech; 800 ms silence; 1600 ms interrupt",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        896 ms    → transcribe 1: 0–896 ms
        992 ms    → transcribe 2: 0–992 ms
        1344 ms   speech to 800 ms
        1344 ms   → transcribe 3: 992–1344 ms
        1344 ms   status transcribing #1
        1354 ms   transcript #1 "one" (1344 ms)
        1354 ms   → generate for "one"
        1354 ms   status thinking #1
        1454 ms   → speak s0 "Hello you."
        1484 ms   status speaking #1
        1484 ms   text #1 s0 "Hello you."
        1484 ms   audio #1 s0 chunks 0–10 (0–440 ms) until 1524 ms
        1544 ms   → speak s1 "How are you?"
        1564 ms   audio #1 s0 chunks 11–11 (440–480 ms)
        1600 ms   → cancel reply
        1600 ms   interrupt #1 by Client, heard ""
        1600 ms   → commit #1: Interrupted, said "one", heard "" of "Hello you. How are you?"
        1605 ms   end #1 Interrupted
        1605 ms   status listening
    "#]],
    );
}

#[test]
fn settings_apply_from_the_next_frame() {
    let script = Script::default();
    check(
        &script,
        "0 ms speech; 320 ms hangover 96; 640 ms silence; 1000 ms interrupt",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        768 ms    speech to 640 ms
        768 ms    → transcribe 1: 0–768 ms
        768 ms    status transcribing #1
        818 ms    transcript #1 "hello" (768 ms)
        818 ms    → generate for "hello"
        818 ms    status thinking #1
        918 ms    → speak s0 "Hello you."
        948 ms    status speaking #1
        948 ms    text #1 s0 "Hello you."
        948 ms    audio #1 s0 chunks 0–10 (0–440 ms) until 988 ms
        1000 ms   → cancel reply
        1000 ms   interrupt #1 by Client, heard ""
        1000 ms   → commit #1: Interrupted, said "hello", heard "" of "Hello you. How are you?"
        1005 ms   end #1 Interrupted
        1005 ms   status listening
    "#]],
    );
}

//! Turns that the client makes: typed words, and manual mode.

use expect_test::expect;

use super::timeline::{Script, check, says};

#[test]
fn manual_mode_commits_what_was_said_since_the_last_commit() {
    let script = Script { llm: vec![says("Yes."), says("No.")], ..Script::default() };
    let steps = "10 ms manual; 20 ms commit; 500 ms speech; 960 ms commit; 2200 ms clear; 2500 ms commit";
    check(
        &script,
        steps,
        expect![[r#"
        0 ms      status listening
        20 ms     error  nothing_to_commit
        960 ms    status user_speaking #1
        960 ms    → transcribe 1: 0–960 ms
        960 ms    status transcribing #1
        1010 ms   transcript #1 "hello" (960 ms)
        1010 ms   → generate for "hello"
        1010 ms   status thinking #1
        1110 ms   → speak s0 "Yes."
        1140 ms   status speaking #1
        1140 ms   text #1 s0 "Yes."
        1140 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        1140 ms   whole text #1 s0 "Yes."
        1150 ms   audio #1 s0 chunks 2–5 (80–240 ms) until 1160 ms
        1380 ms   → forget reply
        1380 ms   → commit #1: Completed, said "hello", heard "Yes."
        1385 ms   end #1 Completed
        1385 ms   status listening
        2500 ms   status user_speaking #2
        2500 ms   → transcribe 2: 2176–2496 ms
        2500 ms   status transcribing #2
        2550 ms   transcript #2 "hello" (320 ms)
        2550 ms   → generate for "hello"
        2550 ms   status thinking #2
        2650 ms   → speak s0 "No."
        2680 ms   status speaking #2
        2680 ms   text #2 s0 "No."
        2680 ms   audio #2 s0 chunks 6–7 (0–80 ms)
        2680 ms   whole text #2 s0 "No."
        2690 ms   audio #2 s0 chunks 8–10 (80–180 ms) until 2700 ms
        2860 ms   → forget reply
        2860 ms   → commit #2: Completed, said "hello", heard "No."
        2865 ms   end #2 Completed
        2865 ms   status listening
    "#]],
    );
}

#[test]
fn manual_mode_interrupts_joins_and_refuses() {
    let script = Script { asr: vec![(300, Ok("one")), (50, Ok("two"))], ..Script::default() };
    let steps = "0 ms manual; 320 ms commit; 480 ms commit; 1280 ms commit; 1300 ms interrupt; 1400 ms vad; 1500 ms commit";
    check(
        &script,
        steps,
        expect![[r#"
        0 ms      status listening
        320 ms    status user_speaking #1
        320 ms    → transcribe 1: 0–320 ms
        320 ms    status transcribing #1
        480 ms    → commit #1: Superseded, heard ""
        480 ms    status user_speaking #2
        480 ms    → transcribe 2: 320–480 ms
        480 ms    status transcribing #2
        485 ms    end #1 Superseded
        620 ms    transcript #2 "one two" (480 ms)
        620 ms    → generate for "one two"
        620 ms    status thinking #2
        720 ms    → speak s0 "Hello you."
        750 ms    status speaking #2
        750 ms    text #2 s0 "Hello you."
        750 ms    audio #2 s0 chunks 0–10 (0–440 ms) until 790 ms
        810 ms    → speak s1 "How are you?"
        830 ms    audio #2 s0 chunks 11–14 (440–600 ms) until 950 ms
        990 ms    text #2 s1 "How are you?"
        990 ms    audio #2 s1 chunks 15–15 (600–640 ms)
        990 ms    whole text #2 s1 "Hello you. How are you?"
        1030 ms   audio #2 s1 chunks 16–22 (640–920 ms) until 1270 ms
        1280 ms   → cancel reply
        1280 ms   interrupt #2 by Client, heard "Hello"
        1280 ms   → commit #2: Interrupted, said "one two", heard "Hello" of "Hello you. How are you?"
        1280 ms   status user_speaking #3
        1280 ms   → transcribe 3: 480–1280 ms
        1280 ms   status transcribing #3
        1285 ms   end #2 Interrupted
        1300 ms   interrupt #3 by Client, heard ""
        1300 ms   → forget transcribe 3
        1300 ms   → commit #3: Interrupted, heard ""
        1305 ms   end #3 Interrupted
        1305 ms   status listening
        1500 ms   error  nothing_to_commit
    "#]],
    );
}

#[test]
fn a_change_of_mode_ends_what_is_being_said() {
    let script = Script::default();
    check(
        &script,
        "0 ms speech; 500 ms manual; 2000 ms vad; 2100 ms close",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        500 ms    → commit #1: Empty, heard ""
        505 ms    end #1 Empty
        505 ms    status listening
    "#]],
    );
}

#[test]
fn typed_words_are_a_turn_without_a_transcript() {
    check(
        &Script::default(),
        "100 ms text  Hi there ; 3000 ms text ",
        expect![[r#"
        0 ms      status listening
        100 ms    → generate for "Hi there"
        100 ms    status thinking #1
        200 ms    → speak s0 "Hello you."
        230 ms    status speaking #1
        230 ms    text #1 s0 "Hello you."
        230 ms    audio #1 s0 chunks 0–10 (0–440 ms) until 270 ms
        290 ms    → speak s1 "How are you?"
        310 ms    audio #1 s0 chunks 11–14 (440–600 ms) until 430 ms
        470 ms    text #1 s1 "How are you?"
        470 ms    audio #1 s1 chunks 15–15 (600–640 ms)
        470 ms    whole text #1 s1 "Hello you. How are you?"
        510 ms    audio #1 s1 chunks 16–32 (640–1320 ms) until 1150 ms
        1550 ms   → forget reply
        1550 ms   → commit #1: Completed, typed "Hi there", heard "Hello you. How are you?"
        1555 ms   end #1 Completed
        1555 ms   status listening
        3000 ms   → commit #2: Empty, heard ""
        3005 ms   end #2 Empty
    "#]],
    );
}

#[test]
fn words_typed_while_speaking_or_recognising_join_them() {
    let script = Script { asr: vec![(300, Ok("said"))], ..Script::default() };
    check(
        &script,
        "0 ms speech; 300 ms text typed; 640 ms silence; 1300 ms text more; 1500 ms interrupt",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        1184 ms   speech to 640 ms
        1184 ms   → transcribe 1: 0–1184 ms
        1184 ms   status transcribing #1
        1484 ms   transcript #1 "typed said more" (1184 ms)
        1484 ms   → generate for "typed said more"
        1484 ms   status thinking #1
        1500 ms   → cancel reply
        1500 ms   interrupt #1 by Client, heard ""
        1500 ms   → commit #1: Interrupted, said "typed said more", heard ""
        1505 ms   end #1 Interrupted
        1505 ms   status listening
    "#]],
    );
}

#[test]
fn typed_words_survive_a_change_of_mode() {
    let script = Script { llm: vec![says("Yes.")], ..Script::default() };
    check(
        &script,
        "0 ms speech; 300 ms text typed; 400 ms manual",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        400 ms    status transcribing #1
        400 ms    → generate for "typed"
        400 ms    status thinking #1
        500 ms    → speak s0 "Yes."
        530 ms    status speaking #1
        530 ms    text #1 s0 "Yes."
        530 ms    audio #1 s0 chunks 0–1 (0–80 ms)
        530 ms    whole text #1 s0 "Yes."
        540 ms    audio #1 s0 chunks 2–5 (80–240 ms) until 550 ms
        770 ms    → forget reply
        770 ms    → commit #1: Completed, typed "typed", heard "Yes."
        775 ms    end #1 Completed
        775 ms    status listening
    "#]],
    );
}

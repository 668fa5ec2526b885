//! Speech and requests during a reply: pause, resume, interrupt, and what was heard by then.

use expect_test::{Expect, expect};

use super::timeline::{Llm, NEVER, Script, check_answer, says};

/// A question is answered from 1324 ms on, for 4.3 s.
pub(super) fn long_reply() -> Script {
    let text = "One two three four five six seven. Eight nine ten eleven twelve thirteen.";
    Script { asr: vec![(10, Ok("count")), (50, Ok("stop it"))], llm: vec![says(text)], ..Script::default() }
}

/// From the middle of the reply on; what comes before is [`super::endpointing`]'s matter.
pub(super) fn check(script: &Script, steps: &str, expected: Expect) {
    check_answer(script, steps, 1_530, expected);
}

#[test]
fn speech_interrupts_once_it_is_long_enough_and_becomes_the_next_turn() {
    let script = Script { llm: vec![long_reply().llm[0].clone(), says("All right.")], ..long_reply() };
    check(
        &script,
        "2048 ms speech; 2688 ms silence",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–30 (600–1240 ms) until 2164 ms
        2176 ms   speech from 1748 ms
        2176 ms   pause #1
        2368 ms   → cancel reply
        2368 ms   interrupt #1 by Speech, heard "One two three"
        2368 ms   → commit #1: Interrupted, said "count", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        2368 ms   status user_speaking #2
        2373 ms   end #1 Interrupted
        3232 ms   speech to 2688 ms
        3232 ms   → transcribe 2: 1748–3232 ms
        3232 ms   status transcribing #2
        3282 ms   transcript #2 "stop it" (1484 ms)
        3282 ms   → generate for "stop it"
        3282 ms   status thinking #2
        3382 ms   → speak s0 "All right."
        3412 ms   status speaking #2
        3412 ms   text #2 s0 "All right."
        3412 ms   audio #2 s0 chunks 31–32 (0–80 ms)
        3412 ms   whole text #2 s0 "All right."
        3422 ms   audio #2 s0 chunks 33–45 (80–600 ms) until 3612 ms
        4012 ms   → forget reply
        4012 ms   → commit #2: Completed, said "stop it", heard "All right."
        4017 ms   end #2 Completed
        4017 ms   status listening
    "#]],
    );
}

#[test]
fn a_cough_pauses_and_the_reply_goes_on_from_the_same_sample() {
    check(
        &long_reply(),
        "2048 ms speech; 2272 ms silence",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–30 (600–1240 ms) until 2164 ms
        2176 ms   speech from 1748 ms
        2176 ms   pause #1
        2816 ms   speech to 2272 ms
        2816 ms   resume #1 from chunk 31
        2844 ms   audio #1 s0 chunks 31–50 (1240–2040 ms) until 3604 ms
        3644 ms   text #1 s1 "Eight nine ten eleven twelve thirteen."
        3644 ms   audio #1 s1 chunks 51–51 (2040–2080 ms)
        3644 ms   whole text #1 s1 "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        3684 ms   audio #1 s1 chunks 52–107 (2080–4320 ms) until 5884 ms
        6284 ms   → forget reply
        6284 ms   → commit #1: Completed, said "count", heard "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        6289 ms   end #1 Completed
        6289 ms   status listening
    "#]],
    );
}

#[test]
fn a_click_does_not_even_pause() {
    check(
        &long_reply(),
        "2048 ms speech; 2112 ms silence; 2300 ms interrupt",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–33 (600–1360 ms) until 2284 ms
        2300 ms   → cancel reply
        2300 ms   interrupt #1 by Client, heard "One two three"
        2300 ms   → commit #1: Interrupted, said "count", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        2305 ms   end #1 Interrupted
        2305 ms   status listening
    "#]],
    );
}

#[test]
fn without_resuming_speech_interrupts_at_once() {
    let mut script = long_reply();
    script.config.resume_false_interruption = false;
    script.asr = vec![(10, Ok("count")), (50, Ok(""))];
    check(
        &script,
        "2048 ms speech; 2272 ms silence",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–30 (600–1240 ms) until 2164 ms
        2176 ms   speech from 1748 ms
        2176 ms   → cancel reply
        2176 ms   interrupt #1 by Speech, heard "One two three"
        2176 ms   → commit #1: Interrupted, said "count", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        2176 ms   status user_speaking #2
        2181 ms   end #1 Interrupted
        2816 ms   speech to 2272 ms
        2816 ms   → transcribe 2: 1748–2816 ms
        2816 ms   status transcribing #2
        2866 ms   transcript #2 "" (1068 ms)
        2866 ms   → commit #2: Empty, heard ""
        2871 ms   end #2 Empty
        2871 ms   status listening
    "#]],
    );
}

#[test]
fn words_are_asked_for_and_found_while_the_user_speaks() {
    let mut script = long_reply();
    script.config.min_interrupt_words = 2;
    check(
        &script,
        "2048 ms speech; 3072 ms silence; 3800 ms interrupt",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–30 (600–1240 ms) until 2164 ms
        2176 ms   speech from 1748 ms
        2176 ms   pause #1
        2368 ms   → transcribe 2: 1748–2368 ms
        2418 ms   → cancel reply
        2418 ms   interrupt #1 by Speech, heard "One two three"
        2418 ms   → commit #1: Interrupted, said "count", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        2418 ms   status user_speaking #2
        2423 ms   end #1 Interrupted
        3616 ms   speech to 3072 ms
        3616 ms   → transcribe 3: 1748–3616 ms
        3616 ms   status transcribing #2
        3666 ms   transcript #2 "stop it" (1868 ms)
        3666 ms   → generate for "stop it"
        3666 ms   status thinking #2
        3766 ms   → speak s0 "One two three four five six seven."
        3796 ms   status speaking #2
        3796 ms   text #2 s0 "One two three four five six seven."
        3796 ms   audio #2 s0 chunks 31–32 (0–80 ms)
        3800 ms   → cancel reply
        3800 ms   interrupt #2 by Client, heard ""
        3800 ms   → commit #2: Interrupted, said "stop it", heard "" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        3805 ms   end #2 Interrupted
        3805 ms   status listening
    "#]],
    );
}

#[test]
fn words_are_asked_for_and_found_when_the_sound_has_ended() {
    let mut script = long_reply();
    script.config.min_interrupt_words = 2;
    script.asr = vec![(10, Ok("count")), (1_000, Ok("stop it"))];
    check(
        &script,
        "2048 ms speech; 2432 ms silence; 6000 ms interrupt",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–30 (600–1240 ms) until 2164 ms
        2176 ms   speech from 1748 ms
        2176 ms   pause #1
        2368 ms   → transcribe 2: 1748–2368 ms
        2976 ms   speech to 2432 ms
        2976 ms   → forget transcribe 2
        2976 ms   → transcribe 3: 1748–2976 ms
        3976 ms   → cancel reply
        3976 ms   interrupt #1 by Speech, heard "One two three"
        3976 ms   → commit #1: Interrupted, said "count", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        3976 ms   status user_speaking #2
        3976 ms   status transcribing #2
        3976 ms   transcript #2 "stop it" (1228 ms)
        3976 ms   → generate for "stop it"
        3976 ms   status thinking #2
        3981 ms   end #1 Interrupted
        4076 ms   → speak s0 "One two three four five six seven."
        4106 ms   status speaking #2
        4106 ms   text #2 s0 "One two three four five six seven."
        4106 ms   audio #2 s0 chunks 31–45 (0–600 ms) until 4306 ms
        4316 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        4346 ms   audio #2 s0 chunks 46–81 (600–2040 ms) until 5746 ms
        5786 ms   text #2 s1 "Eight nine ten eleven twelve thirteen."
        5786 ms   audio #2 s1 chunks 82–82 (2040–2080 ms)
        5786 ms   whole text #2 s1 "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        5826 ms   audio #2 s1 chunks 83–87 (2080–2280 ms) until 5986 ms
        6000 ms   → cancel reply
        6000 ms   interrupt #2 by Client, heard "One two three four five six"
        6000 ms   → commit #2: Interrupted, said "stop it", heard "One two three four five six" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        6005 ms   end #2 Interrupted
        6005 ms   status listening
    "#]],
    );
}

#[test]
fn too_few_words_do_not_interrupt() {
    let mut script = long_reply();
    script.config.min_interrupt_words = 2;
    script.asr = vec![(10, Ok("count")), (50, Ok("mhm"))];
    check(
        &script,
        "2048 ms speech; 2560 ms silence; 4000 ms interrupt",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–30 (600–1240 ms) until 2164 ms
        2176 ms   speech from 1748 ms
        2176 ms   pause #1
        2368 ms   → transcribe 2: 1748–2368 ms
        2880 ms   → transcribe 3: 1748–2880 ms
        3104 ms   speech to 2560 ms
        3104 ms   → transcribe 4: 1748–3104 ms
        3154 ms   resume #1 from chunk 31
        3182 ms   audio #1 s0 chunks 31–50 (1240–2040 ms) until 3942 ms
        3982 ms   text #1 s1 "Eight nine ten eleven twelve thirteen."
        3982 ms   audio #1 s1 chunks 51–51 (2040–2080 ms)
        3982 ms   whole text #1 s1 "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        4000 ms   → cancel reply
        4000 ms   interrupt #1 by Client, heard "One two three four five six"
        4000 ms   → commit #1: Interrupted, said "count", heard "One two three four five six" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        4005 ms   end #1 Interrupted
        4005 ms   status listening
    "#]],
    );
}

#[test]
fn a_short_sound_is_not_asked_for_words() {
    let mut script = long_reply();
    script.config.min_interrupt_words = 1;
    check(
        &script,
        "2048 ms speech; 2272 ms silence; 3000 ms interrupt",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–30 (600–1240 ms) until 2164 ms
        2176 ms   speech from 1748 ms
        2176 ms   pause #1
        2816 ms   speech to 2272 ms
        2816 ms   resume #1 from chunk 31
        2844 ms   audio #1 s0 chunks 31–34 (1240–1400 ms) until 2964 ms
        3000 ms   → cancel reply
        3000 ms   interrupt #1 by Client, heard "One two three"
        3000 ms   → commit #1: Interrupted, said "count", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        3005 ms   end #1 Interrupted
        3005 ms   status listening
    "#]],
    );
}

#[test]
fn a_second_sound_before_the_words_of_the_first_are_known_is_heard_with_it() {
    let mut script = long_reply();
    script.config.min_interrupt_words = 2;
    script.asr = vec![(10, Ok("count")), (1_500, Ok("")), (1_500, Ok("please")), (20, Ok("please stop"))];
    let steps = "2048 ms speech; 2432 ms silence; 3200 ms speech; 3520 ms silence; 5000 ms interrupt";
    check(
        &script,
        steps,
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–30 (600–1240 ms) until 2164 ms
        2176 ms   speech from 1748 ms
        2176 ms   pause #1
        2368 ms   → transcribe 2: 1748–2368 ms
        2976 ms   speech to 2432 ms
        2976 ms   → forget transcribe 2
        2976 ms   → transcribe 3: 1748–2976 ms
        3328 ms   speech from 2976 ms
        4064 ms   speech to 3520 ms
        4064 ms   → forget transcribe 3
        4064 ms   → transcribe 4: 1748–4064 ms
        4084 ms   → cancel reply
        4084 ms   interrupt #1 by Speech, heard "One two three"
        4084 ms   → commit #1: Interrupted, said "count", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        4084 ms   status user_speaking #2
        4084 ms   status transcribing #2
        4084 ms   transcript #2 "please stop" (2316 ms)
        4084 ms   → generate for "please stop"
        4084 ms   status thinking #2
        4089 ms   end #1 Interrupted
        4184 ms   → speak s0 "One two three four five six seven."
        4214 ms   status speaking #2
        4214 ms   text #2 s0 "One two three four five six seven."
        4214 ms   audio #2 s0 chunks 31–45 (0–600 ms) until 4414 ms
        4424 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        4454 ms   audio #2 s0 chunks 46–59 (600–1160 ms) until 4974 ms
        5000 ms   → cancel reply
        5000 ms   interrupt #2 by Client, heard "One two three"
        5000 ms   → commit #2: Interrupted, said "please stop", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        5005 ms   end #2 Interrupted
        5005 ms   status listening
    "#]],
    );
}

#[test]
fn recognition_that_fails_is_no_word() {
    let mut script = long_reply();
    script.config.min_interrupt_words = 1;
    script.asr = vec![(10, Ok("count")), (50, Err("asr_failed"))];
    check(
        &script,
        "2048 ms speech; 2432 ms silence; 3500 ms interrupt",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–30 (600–1240 ms) until 2164 ms
        2176 ms   speech from 1748 ms
        2176 ms   pause #1
        2368 ms   → transcribe 2: 1748–2368 ms
        2418 ms   error  asr_failed
        2880 ms   → transcribe 3: 1748–2880 ms
        2930 ms   error  asr_failed
        2976 ms   speech to 2432 ms
        2976 ms   → transcribe 4: 1748–2976 ms
        3026 ms   error  asr_failed
        3026 ms   resume #1 from chunk 31
        3054 ms   audio #1 s0 chunks 31–42 (1240–1720 ms) until 3494 ms
        3500 ms   → cancel reply
        3500 ms   interrupt #1 by Client, heard "One two three four"
        3500 ms   → commit #1: Interrupted, said "count", heard "One two three four" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        3505 ms   end #1 Interrupted
        3505 ms   status listening
    "#]],
    );
}

#[test]
fn so_long_a_sound_interrupts_without_words() {
    let mut script = long_reply();
    script.config.max_utterance_s = 1;
    script.config.min_interrupt_words = 1;
    script.asr = vec![(10, Ok("count")), (10, Ok(""))];
    check(
        &script,
        "2048 ms speech; 3200 ms silence",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–30 (600–1240 ms) until 2164 ms
        2176 ms   speech from 1748 ms
        2176 ms   pause #1
        2368 ms   → transcribe 3: 1748–2368 ms
        2720 ms   → cancel reply
        2720 ms   interrupt #1 by Speech, heard "One two three"
        2720 ms   → commit #1: Interrupted, said "count", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        2720 ms   status user_speaking #2
        2720 ms   → transcribe 4: 1748–2720 ms
        2725 ms   end #1 Interrupted
        3712 ms   → transcribe 5: 2720–3712 ms
        3744 ms   speech to 3200 ms
        3744 ms   → transcribe 6: 3712–3744 ms
        3744 ms   status transcribing #2
        3754 ms   transcript #2 "" (1996 ms)
        3754 ms   → commit #2: Empty, heard ""
        3759 ms   end #2 Empty
        3759 ms   status listening
    "#]],
    );
}

#[test]
fn an_interrupt_while_a_sound_is_judged_is_the_clients() {
    check(
        &long_reply(),
        "2048 ms speech; 2240 ms interrupt; 2400 ms silence; 4000 ms interrupt",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–30 (600–1240 ms) until 2164 ms
        2176 ms   speech from 1748 ms
        2176 ms   pause #1
        2240 ms   → cancel reply
        2240 ms   interrupt #1 by Client, heard "One two three"
        2240 ms   → commit #1: Interrupted, said "count", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        2240 ms   status user_speaking #2
        2245 ms   end #1 Interrupted
        2944 ms   speech to 2400 ms
        2944 ms   → transcribe 2: 1748–2944 ms
        2944 ms   status transcribing #2
        2994 ms   transcript #2 "stop it" (1196 ms)
        2994 ms   → generate for "stop it"
        2994 ms   status thinking #2
        3094 ms   → speak s0 "One two three four five six seven."
        3124 ms   status speaking #2
        3124 ms   text #2 s0 "One two three four five six seven."
        3124 ms   audio #2 s0 chunks 31–45 (0–600 ms) until 3324 ms
        3334 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        3364 ms   audio #2 s0 chunks 46–61 (600–1240 ms) until 3964 ms
        4000 ms   → cancel reply
        4000 ms   interrupt #2 by Client, heard "One two three"
        4000 ms   → commit #2: Interrupted, said "stop it", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        4005 ms   end #2 Interrupted
        4005 ms   status listening
    "#]],
    );
}

#[test]
fn interrupts_before_anything_was_heard() {
    let script =
        Script { asr: vec![(400, Ok("count"))], llm: vec![vec![(NEVER, Llm::Ends)]], ..long_reply() };
    let steps = "600 ms interrupt; 1300 ms interrupt; 1400 ms interrupt; 1500 ms text now; 1600 ms interrupt";
    check(
        &script,
        steps,
        expect![[r#"
        1600 ms   → cancel reply
        1600 ms   interrupt #2 by Client, heard ""
        1600 ms   → commit #2: Interrupted, typed "now", heard ""
        1605 ms   end #2 Interrupted
        1605 ms   status listening
    "#]],
    );
}

#[test]
fn typed_words_interrupt_a_reply_and_a_sound_goes_with_them() {
    let script = Script {
        llm: vec![long_reply().llm[0].clone(), says("All right.")],
        asr: vec![(10, Ok("count")), (50, Ok("said"))],
        ..long_reply()
    };
    check(
        &script,
        "1900 ms text typed; 2100 ms interrupt",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–23 (600–960 ms) until 1884 ms
        1900 ms   → cancel reply
        1900 ms   interrupt #1 by Client, heard "One two"
        1900 ms   → commit #1: Interrupted, said "count", heard "One two" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        1900 ms   → generate for "typed"
        1900 ms   status thinking #2
        1905 ms   end #1 Interrupted
        2000 ms   → speak s0 "All right."
        2030 ms   status speaking #2
        2030 ms   text #2 s0 "All right."
        2030 ms   audio #2 s0 chunks 24–25 (0–80 ms)
        2030 ms   whole text #2 s0 "All right."
        2040 ms   audio #2 s0 chunks 26–34 (80–440 ms) until 2070 ms
        2100 ms   → cancel reply
        2100 ms   interrupt #2 by Client, heard ""
        2100 ms   → commit #2: Interrupted, typed "typed", heard "" of "All right."
        2105 ms   end #2 Interrupted
        2105 ms   status listening
    "#]],
    );
    check(
        &script,
        "2048 ms speech; 2240 ms text typed; 2432 ms silence; 3100 ms interrupt",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–30 (600–1240 ms) until 2164 ms
        2176 ms   speech from 1748 ms
        2176 ms   pause #1
        2240 ms   → cancel reply
        2240 ms   interrupt #1 by Client, heard "One two three"
        2240 ms   → commit #1: Interrupted, said "count", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        2240 ms   status user_speaking #2
        2245 ms   end #1 Interrupted
        2976 ms   speech to 2432 ms
        2976 ms   → transcribe 2: 1748–2976 ms
        2976 ms   status transcribing #2
        3026 ms   transcript #2 "typed said" (1228 ms)
        3026 ms   → generate for "typed said"
        3026 ms   status thinking #2
        3100 ms   → cancel reply
        3100 ms   interrupt #2 by Client, heard ""
        3100 ms   → commit #2: Interrupted, said "typed said", heard ""
        3105 ms   end #2 Interrupted
        3105 ms   status listening
    "#]],
    );
}

#[test]
fn what_is_said_while_the_end_is_reported_is_the_next_turn() {
    let script = Script {
        llm: vec![says("Yes."), says("Go on.")],
        asr: vec![(10, Ok("count")), (50, Ok("what else"))],
        ..Script::default()
    };
    check(
        &script,
        "1376 ms speech; 1530 ms played 5; 2016 ms silence",
        expect![[r#"
        1530 ms   → forget reply
        1530 ms   → commit #1: Completed, said "count", heard "Yes."
        1530 ms   status user_speaking #2
        1535 ms   end #1 Completed
        2560 ms   speech to 2016 ms
        2560 ms   → transcribe 2: 1184–2560 ms
        2560 ms   status transcribing #2
        2610 ms   transcript #2 "what else" (1376 ms)
        2610 ms   → generate for "what else"
        2610 ms   status thinking #2
        2710 ms   → speak s0 "Go on."
        2740 ms   status speaking #2
        2740 ms   text #2 s0 "Go on."
        2740 ms   audio #2 s0 chunks 6–7 (0–80 ms)
        2740 ms   whole text #2 s0 "Go on."
        2750 ms   audio #2 s0 chunks 8–14 (80–360 ms) until 2770 ms
        3100 ms   → forget reply
        3100 ms   → commit #2: Completed, said "what else", heard "Go on."
        3105 ms   end #2 Completed
        3105 ms   status listening
    "#]],
    );
}

#[test]
fn a_change_of_mode_lets_a_held_reply_go_on() {
    check(
        &long_reply(),
        "2048 ms speech; 2240 ms manual; 3000 ms interrupt",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–30 (600–1240 ms) until 2164 ms
        2176 ms   speech from 1748 ms
        2176 ms   pause #1
        2240 ms   resume #1 from chunk 31
        2268 ms   audio #1 s0 chunks 31–49 (1240–2000 ms) until 2988 ms
        3000 ms   → cancel reply
        3000 ms   interrupt #1 by Client, heard "One two three four five"
        3000 ms   → commit #1: Interrupted, said "count", heard "One two three four five" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        3005 ms   end #1 Interrupted
        3005 ms   status listening
    "#]],
    );
}

#[test]
fn a_lower_limit_counts_for_the_sound_that_is_judged() {
    check(
        &long_reply(),
        "2048 ms speech; 2200 ms min_interrupt 100; 2400 ms close",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–30 (600–1240 ms) until 2164 ms
        2176 ms   speech from 1748 ms
        2176 ms   pause #1
        2208 ms   → cancel reply
        2208 ms   interrupt #1 by Speech, heard "One two three"
        2208 ms   → commit #1: Interrupted, said "count", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        2208 ms   status user_speaking #2
        2213 ms   end #1 Interrupted
        2400 ms   → commit #2: Interrupted, heard ""
        2405 ms   end #2 Interrupted
    "#]],
    );
}

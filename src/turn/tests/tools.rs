//! Tools: how a run goes on after them, what is heard meanwhile, and what remains of it.

use expect_test::expect;

use super::timeline::{Llm, NEVER, Script, check_answer, says};

/// Calls `name` after 100 ms, and then answers.
pub(super) fn calls_and_says(name: &'static str, text: &'static str) -> Vec<Vec<(u64, Llm)>> {
    vec![vec![(100, Llm::Calls(name)), (0, Llm::Ends)], says(text)]
}

#[test]
fn the_llm_is_asked_again_with_what_the_tool_gave() {
    let script = Script { llm: calls_and_says("now", "It is noon."), ..Script::default() };
    check_answer(
        &script,
        "",
        1_200,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   tool call #1 now
        1334 ms   → run now
        1534 ms   tool result #1 now: a result
        1534 ms   → generate for "hello" behind "", 1. call_0 now@0 = a result
        1634 ms   → speak s0 "It is noon."
        1664 ms   status speaking #1
        1664 ms   text #1 s0 "It is noon."
        1664 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        1664 ms   whole text #1 s0 "It is noon."
        1674 ms   audio #1 s0 chunks 2–16 (80–660 ms) until 1924 ms
        2324 ms   → forget reply
        2324 ms   → commit #1: Completed, said "hello", 1. call_0 now@0 = a result, heard "It is noon."
        2329 ms   end #1 Completed
        2329 ms   status listening
    "#]],
    );
}

#[test]
fn what_was_written_before_a_call_is_heard_while_the_tool_runs_and_belongs_to_one_reply() {
    let llm = vec![
        vec![(100, Llm::Says("Let me look.")), (0, Llm::Calls("look")), (0, Llm::Ends)],
        vec![(100, Llm::Says("It is there.")), (0, Llm::Ends)],
    ];
    let script = Script { llm, ..Script::default() };
    check_answer(
        &script,
        "",
        1_200,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   tool call #1 look
        1334 ms   → run look
        1334 ms   → speak s0 "Let me look."
        1364 ms   status speaking #1
        1364 ms   text #1 s0 "Let me look."
        1364 ms   audio #1 s0 chunks 0–13 (0–560 ms) until 1524 ms
        1534 ms   tool result #1 look: a result
        1534 ms   → generate for "hello" behind "Let me look.", 1. call_0 look@12 = a result
        1564 ms   audio #1 s0 chunks 14–15 (560–640 ms) until 1604 ms
        1634 ms   → speak s1 "It is there."
        1644 ms   audio #1 s0 chunks 16–17 (640–720 ms) until 1684 ms
        1724 ms   text #1 s1 "It is there."
        1724 ms   audio #1 s1 chunks 18–18 (720–760 ms)
        1724 ms   whole text #1 s1 "Let me look.\nIt is there."
        1764 ms   audio #1 s1 chunks 19–35 (760–1440 ms) until 2404 ms
        2804 ms   → forget reply
        2804 ms   → commit #1: Completed, said "hello", 1. call_0 look@12 = a result, heard "Let me look.\nIt is there."
        2809 ms   end #1 Completed
        2809 ms   status listening
    "#]],
    );
}

#[test]
fn tools_of_one_request_run_together_and_all_are_waited_for() {
    let llm = vec![
        vec![(100, Llm::Calls("slow")), (10, Llm::Calls("fast")), (0, Llm::Ends)],
        says("Both are there."),
    ];
    let tools = vec![(500, Ok("late")), (20, Ok("early"))];
    let script = Script { llm, tools, ..Script::default() };
    check_answer(
        &script,
        "",
        1_200,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   tool call #1 slow
        1334 ms   → run slow
        1344 ms   tool call #1 fast
        1344 ms   → run fast
        1364 ms   tool result #1 fast: early
        1834 ms   tool result #1 slow: late
        1834 ms   → generate for "hello" behind "", 1. call_0 slow@0 = late, 1. call_0_2 fast@0 = early
        1934 ms   → speak s0 "Both are there."
        1964 ms   status speaking #1
        1964 ms   text #1 s0 "Both are there."
        1964 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        1964 ms   whole text #1 s0 "Both are there."
        1974 ms   audio #1 s0 chunks 2–22 (80–900 ms) until 2464 ms
        2864 ms   → forget reply
        2864 ms   → commit #1: Completed, said "hello", 1. call_0 slow@0 = late, 1. call_0_2 fast@0 = early, heard "Both are there."
        2869 ms   end #1 Completed
        2869 ms   status listening
    "#]],
    );
}

#[test]
fn a_tool_that_answers_before_the_llm_ends_waits_for_it() {
    let llm =
        vec![vec![(100, Llm::Calls("now")), (400, Llm::Says("So.")), (0, Llm::Ends)], says("It is noon.")];
    let script = Script { llm, tools: vec![(10, Ok("12:00"))], ..Script::default() };
    check_answer(
        &script,
        "",
        1_200,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   tool call #1 now
        1334 ms   → run now
        1344 ms   tool result #1 now: 12:00
        1734 ms   → generate for "hello" behind "So.", 1. call_0 now@3 = 12:00
        1734 ms   → speak s0 "So."
        1764 ms   status speaking #1
        1764 ms   text #1 s0 "So."
        1764 ms   audio #1 s0 chunks 0–4 (0–180 ms) until 1784 ms
        1834 ms   → speak s1 "It is noon."
        1864 ms   text #1 s1 "It is noon."
        1864 ms   audio #1 s1 chunks 5–6 (180–260 ms)
        1864 ms   whole text #1 s1 "So.\nIt is noon."
        1874 ms   audio #1 s1 chunks 7–21 (260–840 ms) until 2204 ms
        2604 ms   → forget reply
        2604 ms   → commit #1: Completed, said "hello", 1. call_0 now@3 = 12:00, heard "So.\nIt is noon."
        2609 ms   end #1 Completed
        2609 ms   status listening
    "#]],
    );
}

#[test]
fn who_speaks_before_anything_was_heard_goes_on_with_the_turn_and_the_tool_is_forgotten() {
    let script = Script {
        llm: calls_and_says("look", "Found it."),
        tools: vec![(800, Ok("too late")), (50, Ok("there"))],
        asr: vec![(50, Ok("first")), (50, Ok("second"))],
        ..Script::default()
    };
    check_answer(
        &script,
        "1500 ms speech; 2000 ms silence",
        1_200,
        expect![[r#"
        1234 ms   transcript #1 "first" (1184 ms)
        1234 ms   → generate for "first"
        1234 ms   status thinking #1
        1334 ms   tool call #1 look
        1334 ms   → run look
        1600 ms   speech from 1184 ms
        1600 ms   → cancel reply
        1600 ms   → commit #1: Superseded, 1. call_0 look@0 = nothing, heard ""
        1600 ms   status user_speaking #2
        1605 ms   end #1 Superseded
        2528 ms   speech to 1984 ms
        2528 ms   → transcribe 2: 1184–2528 ms
        2528 ms   status transcribing #2
        2578 ms   transcript #2 "first second" (2528 ms)
        2578 ms   → generate for "first second"
        2578 ms   status thinking #2
        2678 ms   → speak s0 "Found it."
        2708 ms   status speaking #2
        2708 ms   text #2 s0 "Found it."
        2708 ms   audio #2 s0 chunks 0–1 (0–80 ms)
        2708 ms   whole text #2 s0 "Found it."
        2718 ms   audio #2 s0 chunks 2–13 (80–540 ms) until 2848 ms
        3248 ms   → forget reply
        3248 ms   → commit #2: Completed, said "first second", heard "Found it."
        3253 ms   end #2 Completed
        3253 ms   status listening
    "#]],
    );
}

#[test]
fn a_tool_that_hangs_is_given_up_and_the_llm_is_told() {
    let mut script = Script {
        llm: calls_and_says("look", "It fails."),
        tools: vec![(NEVER, Ok(""))],
        ..Script::default()
    };
    script.config.filler.clear();
    check_answer(
        &script,
        "",
        1_300,
        expect![[r#"
        1334 ms   tool call #1 look
        1334 ms   → run look
        12334 ms  tool result #1 look: error: no answer in time
        12334 ms  → generate for "hello" behind "", 1. call_0 look@0 = error: no answer in time
        12434 ms  → speak s0 "It fails."
        12464 ms  status speaking #1
        12464 ms  text #1 s0 "It fails."
        12464 ms  audio #1 s0 chunks 0–1 (0–80 ms)
        12464 ms  whole text #1 s0 "It fails."
        12474 ms  audio #1 s0 chunks 2–13 (80–540 ms) until 12604 ms
        13004 ms  → forget reply
        13004 ms  → commit #1: Completed, said "hello", 1. call_0 look@0 = error: no answer in time, heard "It fails."
        13009 ms  end #1 Completed
        13009 ms  status listening
    "#]],
    );
}

#[test]
fn a_tool_that_fails_is_the_llms_business() {
    let script = Script {
        llm: calls_and_says("look", "I cannot see it."),
        tools: vec![(50, Err("dark"))],
        ..Script::default()
    };
    check_answer(
        &script,
        "",
        1_300,
        expect![[r#"
        1334 ms   tool call #1 look
        1334 ms   → run look
        1384 ms   tool result #1 look: dark
        1384 ms   → generate for "hello" behind "", 1. call_0 look@0 = dark
        1484 ms   → speak s0 "I cannot see it."
        1514 ms   status speaking #1
        1514 ms   text #1 s0 "I cannot see it."
        1514 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        1514 ms   whole text #1 s0 "I cannot see it."
        1524 ms   audio #1 s0 chunks 2–23 (80–960 ms) until 2074 ms
        2474 ms   → forget reply
        2474 ms   → commit #1: Completed, said "hello", 1. call_0 look@0 = dark, heard "I cannot see it."
        2479 ms   end #1 Completed
        2479 ms   status listening
    "#]],
    );
}

#[test]
fn each_request_has_its_own_time_outs() {
    let llm = vec![vec![(100, Llm::Calls("now")), (0, Llm::Ends)], vec![(NEVER, Llm::Ends)]];
    let mut script = Script { llm, ..Script::default() };
    script.config.llm_first_token_timeout_ms = 1_000;
    check_answer(
        &script,
        "",
        1_300,
        expect![[r#"
        1334 ms   tool call #1 now
        1334 ms   → run now
        1534 ms   tool result #1 now: a result
        1534 ms   → generate for "hello" behind "", 1. call_0 now@0 = a result
        3534 ms   → stop generating
        3534 ms   error #1 llm_timeout
        3534 ms   → speak s0 "Sorry."
        3564 ms   status speaking #1
        3564 ms   text #1 s0 "Sorry."
        3564 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        3564 ms   whole text #1 s0 "Sorry."
        3574 ms   audio #1 s0 chunks 2–8 (80–360 ms) until 3594 ms
        3924 ms   → forget reply
        3924 ms   → commit #1: Failed, said "hello", 1. call_0 now@0 = a result, heard "Sorry."
        3929 ms   end #1 Failed
        3929 ms   status listening
    "#]],
    );
}

#[test]
fn the_last_request_is_without_tools_and_calls_in_it_are_ignored() {
    let llm = vec![vec![(100, Llm::Calls("again")), (0, Llm::Says("Hm.")), (0, Llm::Ends)]];
    let mut script = Script { llm, ..Script::default() };
    script.config.max_rounds = 3;
    check_answer(
        &script,
        "",
        1_300,
        expect![[r#"
        1334 ms   tool call #1 again
        1334 ms   → run again
        1334 ms   → speak s0 "Hm."
        1364 ms   status speaking #1
        1364 ms   text #1 s0 "Hm."
        1364 ms   audio #1 s0 chunks 0–4 (0–180 ms) until 1384 ms
        1534 ms   tool result #1 again: a result
        1534 ms   → generate for "hello" behind "Hm.", 1. call_0 again@3 = a result
        1634 ms   tool call #1 again
        1634 ms   → run again
        1634 ms   → speak s1 "Hm."
        1664 ms   text #1 s1 "Hm."
        1664 ms   audio #1 s1 chunks 5–9 (180–360 ms) until 1684 ms
        1834 ms   tool result #1 again: a result
        1834 ms   → generate for "hello" behind "Hm.\nHm.", 1. call_0 again@3 = a result, 2. call_0_2 again@7 = a result without tools
        1934 ms   → speak s2 "Hm."
        1964 ms   text #1 s2 "Hm."
        1964 ms   audio #1 s2 chunks 10–11 (360–440 ms)
        1964 ms   whole text #1 s2 "Hm.\nHm.\nHm."
        1974 ms   audio #1 s2 chunks 12–14 (440–540 ms) until 1984 ms
        2144 ms   → forget reply
        2144 ms   → commit #1: Completed, said "hello", 1. call_0 again@3 = a result, 2. call_0_2 again@7 = a result, heard "Hm.\nHm.\nHm."
        2149 ms   end #1 Completed
        2149 ms   status listening
    "#]],
    );
}

#[test]
fn a_goodbye_is_heard_before_the_session_ends() {
    let llm = vec![vec![(100, Llm::Says("Goodbye.")), (0, Llm::Calls("end_session")), (0, Llm::Ends)]];
    let script = Script { llm, ..Script::default() };
    check_answer(
        &script,
        "",
        1_200,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   tool call #1 end_session
        1334 ms   → run end_session
        1334 ms   → speak s0 "Goodbye."
        1364 ms   status speaking #1
        1364 ms   text #1 s0 "Goodbye."
        1364 ms   audio #1 s0 chunks 0–11 (0–480 ms) until 1444 ms
        1534 ms   tool result #1 end_session: a result
        1534 ms   whole text #1 s0 "Goodbye."
        1844 ms   → forget reply
        1844 ms   → commit #1: Completed, said "hello", 1. call_0 end_session@8 = a result, heard "Goodbye."
        1844 ms   → end session
        1849 ms   end #1 Completed
        1849 ms   status listening
    "#]],
    );
}

#[test]
fn an_end_without_a_goodbye_gets_one() {
    let script = Script { llm: calls_and_says("end_session", "Bye."), ..Script::default() };
    check_answer(
        &script,
        "",
        1_200,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   tool call #1 end_session
        1334 ms   → run end_session
        1534 ms   tool result #1 end_session: a result
        1534 ms   → generate for "hello" behind "", 1. call_0 end_session@0 = a result
        1634 ms   → speak s0 "Bye."
        1664 ms   status speaking #1
        1664 ms   text #1 s0 "Bye."
        1664 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        1664 ms   whole text #1 s0 "Bye."
        1674 ms   audio #1 s0 chunks 2–5 (80–240 ms) until 1684 ms
        1904 ms   → forget reply
        1904 ms   → commit #1: Completed, said "hello", 1. call_0 end_session@0 = a result, heard "Bye."
        1904 ms   → end session
        1909 ms   end #1 Completed
        1909 ms   status listening
    "#]],
    );
}

#[test]
fn who_interrupts_the_goodbye_stays() {
    let llm = vec![
        vec![(100, Llm::Says("Goodbye then.")), (0, Llm::Calls("end_session")), (0, Llm::Ends)],
        says("Yes?"),
    ];
    let script = Script { llm, ..Script::default() };
    check_answer(
        &script,
        "1700 ms text wait",
        1_600,
        expect![[r#"
        1700 ms   → cancel reply
        1700 ms   interrupt #1 by Client, heard ""
        1700 ms   → commit #1: Interrupted, said "hello", 1. call_0 end_session@13 = a result, heard "" of "Goodbye then."
        1700 ms   → generate for "wait"
        1700 ms   status thinking #2
        1705 ms   end #1 Interrupted
        1800 ms   → speak s0 "Yes?"
        1830 ms   status speaking #2
        1830 ms   text #2 s0 "Yes?"
        1830 ms   audio #2 s0 chunks 18–19 (0–80 ms)
        1830 ms   whole text #2 s0 "Yes?"
        1840 ms   audio #2 s0 chunks 20–23 (80–240 ms) until 1850 ms
        2070 ms   → forget reply
        2070 ms   → commit #2: Completed, typed "wait", heard "Yes?"
        2075 ms   end #2 Completed
        2075 ms   status listening
    "#]],
    );
}

#[test]
fn who_speaks_on_at_its_very_end_stays_too() {
    let llm = vec![
        vec![(100, Llm::Says("Goodbye.")), (0, Llm::Calls("end_session")), (0, Llm::Ends)],
        says("Yes?"),
    ];
    let script = Script { llm, asr: vec![(50, Ok("hello")), (50, Ok("wait"))], ..Script::default() };
    check_answer(
        &script,
        "1500 ms speech; 1700 ms played 11; 2000 ms silence",
        1_600,
        expect![[r#"
        1600 ms   speech from 1184 ms
        1600 ms   pause #1
        1700 ms   → forget reply
        1700 ms   → commit #1: Completed, said "hello", 1. call_0 end_session@8 = a result, heard "Goodbye."
        1700 ms   status user_speaking #2
        1705 ms   end #1 Completed
        2528 ms   speech to 1984 ms
        2528 ms   → transcribe 2: 1184–2528 ms
        2528 ms   status transcribing #2
        2578 ms   transcript #2 "wait" (1344 ms)
        2578 ms   → generate for "wait"
        2578 ms   status thinking #2
        2678 ms   → speak s0 "Yes?"
        2708 ms   status speaking #2
        2708 ms   text #2 s0 "Yes?"
        2708 ms   audio #2 s0 chunks 12–13 (0–80 ms)
        2708 ms   whole text #2 s0 "Yes?"
        2718 ms   audio #2 s0 chunks 14–17 (80–240 ms) until 2728 ms
        2948 ms   → forget reply
        2948 ms   → commit #2: Completed, said "wait", heard "Yes?"
        2953 ms   end #2 Completed
        2953 ms   status listening
    "#]],
    );
}

#[test]
fn a_call_that_is_known_only_after_the_text_was_cut_off_is_ignored() {
    let llm = vec![vec![(100, Llm::Says("Much too long.")), (10, Llm::Calls("now")), (0, Llm::Ends)]];
    let mut script = Script { llm, ..Script::default() };
    script.config.max_reply_chars = 10;
    check_answer(
        &script,
        "",
        1_300,
        expect![[r#"
        1334 ms   → stop generating
        1334 ms   → speak s0 "Much too long."
        1364 ms   status speaking #1
        1364 ms   text #1 s0 "Much too long."
        1364 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        1364 ms   whole text #1 s0 "Much too long."
        1374 ms   audio #1 s0 chunks 2–20 (80–840 ms) until 1804 ms
        2204 ms   → forget reply
        2204 ms   → commit #1: Completed, said "hello", heard "Much too long."
        2209 ms   end #1 Completed
        2209 ms   status listening
    "#]],
    );
}

#[test]
fn a_call_keeps_the_llm_alive() {
    let llm = vec![
        vec![(100, Llm::Calls("look_up")), (1_800, Llm::Says("Found it.")), (0, Llm::Ends)],
        vec![(50, Llm::Ends)],
    ];
    let mut script = Script { llm, ..Script::default() };
    script.config.llm_first_token_timeout_ms = 200;
    script.config.llm_token_timeout_ms = 1_000;
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   tool call #1 look_up
        1334 ms   → run look_up
        1534 ms   tool result #1 look_up: a result
        3134 ms   → generate for "hello" behind "Found it.", 1. call_0 look_up@9 = a result
        3134 ms   → speak s0 "Found it."
        3164 ms   status speaking #1
        3164 ms   text #1 s0 "Found it."
        3164 ms   audio #1 s0 chunks 0–4 (0–200 ms) until 3174 ms
        3184 ms   whole text #1 s0 "Found it."
        3184 ms   audio #1 s0 chunks 5–13 (200–540 ms) until 3304 ms
        3704 ms   → forget reply
        3704 ms   → commit #1: Completed, said "hello", 1. call_0 look_up@9 = a result, heard "Found it."
        3709 ms   end #1 Completed
        3709 ms   status listening
    "#]],
    );
}

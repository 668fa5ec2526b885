//! Replies that the client asks for, messages that it puts in, and turns that nobody answers by themselves.

use expect_test::expect;

use super::timeline::{Llm, Script, check, says};
use crate::turn::config::TurnConfig;

/// As the Realtime wire sets it up.
fn realtime() -> Script {
    let script = Script::default();
    let config =
        TurnConfig { resume_false_interruption: false, joins: false, amendable_replies: 2, ..script.config };
    Script { config, shows_all: true, ..script }
}

#[test]
fn without_auto_reply_words_wait_for_the_client_who_may_ask_before_they_are_known() {
    let mut script = realtime();
    script.config.auto_reply = false;
    script.asr = vec![(400, Ok("one")), (50, Ok("two"))];
    script.llm = vec![says("Yes.")];
    check(
        &script,
        "0 ms manual; 320 ms commit; 480 ms commit; 490 ms respond 7; 500 ms respond 8",
        expect![[r#""#]],
    );
}

#[test]
fn a_message_stands_behind_what_was_said_before_it() {
    let mut script = realtime();
    script.llm = vec![says("Yes.")];
    check(&script, "10 ms respond 1; 20 ms insert 5; 30 ms respond 2; 400 ms respond 3", expect![[r#""#]]);
}

#[test]
fn a_reply_that_is_read_is_not_spoken_and_a_voice_stops_it() {
    let mut script = realtime();
    script.llm = vec![vec![
        (100, Llm::Says(" One ")),
        (100, Llm::Says("two. ")),
        (900, Llm::Says("Three.")),
        (0, Llm::Ends),
    ]];
    check(&script, "0 ms write 1; 500 ms speech; 800 ms silence; 3000 ms close", expect![[r#""#]]);
}

#[test]
fn a_clients_tool_ends_the_reply() {
    let mut script = realtime();
    script.client_tools = &["look"];
    script.llm =
        vec![vec![(50, Llm::Says("Let me see.")), (10, Llm::Calls("look")), (10, Llm::Ends)], says("Sunny.")];
    check(&script, "0 ms respond 1; 200 ms insert 9; 210 ms respond 2", expect![[r#""#]]);
}

#[test]
fn a_reply_runs_on_where_voices_do_not_interrupt() {
    let mut script = realtime();
    script.config.interrupts = false;
    script.llm = vec![says("One two three four five."), says("Yes.")];
    check(&script, "0 ms respond 1; 320 ms speech; 640 ms silence", expect![[r#""#]]);
}

#[test]
fn every_utterance_is_a_turn_of_its_own_where_they_are_not_joined() {
    let mut script = realtime();
    script.asr = vec![(900, Ok("one")), (50, Ok("two"))];
    script.llm = vec![says("Yes.")];
    check(&script, "0 ms speech; 320 ms silence; 960 ms speech; 1280 ms silence", expect![[r#""#]]);
}

#[test]
fn what_was_heard_is_amended_after_the_fact() {
    let mut script = realtime();
    script.llm = vec![says("One two three four.")];
    check(
        &script,
        "0 ms respond 1; 3000 ms truncate 1 420; 3010 ms truncate 1 90000; 3020 ms truncate 9 0; 3100 ms respond 2; \
         3500 ms truncate 2 60",
        expect![[r#""#]],
    );
}

#[test]
fn a_long_silence_is_broken_and_the_user_stops_that() {
    let mut script = realtime();
    script.config.idle_reply_ms = 500;
    script.llm = vec![says("Yes."), says("Are you there?"), says("Well.")];
    check(&script, "0 ms respond 1; 1400 ms speech; 1600 ms silence; 2300 ms close", expect![[r#""#]]);
}

#[test]
fn a_cancel_for_a_turn_that_is_over_hits_no_other() {
    let mut script = realtime();
    script.llm = vec![says("Yes.")];
    check(
        &script,
        "0 ms respond 1; 600 ms respond 2; 800 ms interrupt_turn 1; 820 ms interrupt_turn 2",
        expect![[r#""#]],
    );
}

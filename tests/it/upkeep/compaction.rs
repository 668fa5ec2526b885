//! What is told and what is written when a conversation is compacted. The scripted model counts a word as a
//! token; the system prompt has two.

use vivavoce::config::Config;
use vivavoce::conversation::Role;
use vivavoce::session::messages::{FromClient, NewMessage};
use vivavoce::turn::io::MessageId;

use super::talk::House;

const SUMMARY: &str = r#"{call write_summary {"text": "They counted."}}"#;
/// Forty words.
const LONG: &str = "one two three four five six seven eight nine ten one two three four five six seven eight nine ten \
                    one two three four five six seven eight nine ten one two three four five six seven eight nine ten";
const BROADCAST: &str = "system: [Compacted context summary]\nThey counted.";

/// The model says these in turn.
fn model(replies: &[&str]) -> impl Fn(&mut Config) + use<> {
    let replies: Vec<String> = replies.iter().map(|reply| (*reply).to_owned()).collect();
    move |config| config.scripted.replies.clone_from(&replies)
}

#[tokio::test]
async fn before_a_run_an_old_conversation_is_compacted() {
    let house = House::new(|config| {
        model(&[LONG, "four five six", SUMMARY, "seven"])(config);
        config.compaction.threshold = Some(60);
        config.compaction.retained_tokens = 20;
    });
    let mut talk = house.talk(true);
    assert_eq!(talk.say("say many words").await, [&format!("text {LONG}"), "end Completed"]);
    // Two of the system, three and forty and two: below, and so is what is estimated behind them.
    assert_eq!(talk.say("and then?").await, ["text four five six", "end Completed"]);
    let words = "one two three four five six seven eight nine ten one two three four five six";
    let lines = talk.say(words).await;
    assert_eq!(lines, ["compact_start", "compact_done", BROADCAST, "text seven", "end Completed"]);

    let asked = format!("user: {words}");
    let old = talk.logged(talk.before[0]);
    assert_eq!(old[..2], ["session_start", "user: say many words"]);
    let last = [
        "usage",
        "turn_end: Completed",
        "user: and then?",
        "assistant: four five six (Completed)",
        "usage",
        "turn_end: Completed",
        &asked,
    ];
    assert_eq!(old[3..], last);
    let new = talk.logged(talk.session);
    let expected = [
        "session_start, compacted",
        BROADCAST,
        "user: and then?",
        "assistant: four five six (Completed)",
        &asked,
        "assistant: seven (Completed)",
        "usage",
        "turn_end: Completed",
    ];
    assert_eq!(new, expected);
    talk.hang_up().await;
}

#[tokio::test]
async fn a_compaction_that_fails_lets_the_run_go_on() {
    let house = House::new(|config| {
        model(&["one two three", "No.", "No!", "four"])(config);
        config.compaction.threshold = Some(8);
        config.compaction.retained_tokens = 0;
        config.compaction.worker_max_turns = 2;
    });
    let mut talk = house.talk(true);
    talk.say("say three words").await;
    let lines = talk.say("and then my friend?").await;
    assert_eq!(lines, ["compact_start", "compact_failed upkeep_no_answer", "text four", "end Completed"]);
    assert!(talk.before.is_empty());
    let history = talk.history();
    let texts: Vec<&str> = history.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["say three words", "one two three", "and then my friend?", "four"]);
    talk.hang_up().await;
}

/// What the model reads of this sum, and the sum, make a prompt much longer.
const SUM: &str = "one plus two plus three plus four plus five plus six plus seven plus eight plus nine plus ten \
                   plus one plus two plus three plus four plus five plus six plus seven plus eight plus nine";

/// A first turn that fills the prompt, and a second one that calls a tool.
fn grows(config: &mut Config, then: &[&str]) {
    let call = format!(r#"Wait. {{call calculate {{"expression": "{SUM}"}}}}"#);
    let many = [LONG; 4].join(" ");
    model(&[&[many.as_str(), call.as_str()], then].concat())(config);
    config.tools.builtin = vec!["calculate".to_owned()];
    config.compaction.request_threshold = Some(180);
    config.compaction.retained_tokens = 0;
}

#[tokio::test]
async fn a_run_that_grows_too_long_yields_and_goes_on_in_the_new_session() {
    let house = House::new(|config| grows(config, &[SUMMARY, "Done now."]));
    let mut talk = house.talk(true);
    talk.say("say many words").await;
    let lines = talk.say("add them up").await;
    let expected = [
        "text Wait. ",
        "call calculate",
        "result calculate",
        "compact_start",
        "compact_done",
        BROADCAST,
        "text \nDone now.",
        "end Completed",
    ];
    assert_eq!(lines, expected);

    let old = talk.logged(talk.before[0]);
    let yielded = ["user: add them up", "call: calculate", "result: calculate", "assistant:  (Yielded)"];
    assert_eq!(old[old.len() - 4..], yielded);
    let new = talk.logged(talk.session);
    let expected = [
        "session_start, compacted",
        BROADCAST,
        "user: add them up",
        "call: calculate",
        "result: calculate",
        "assistant: Wait. \nDone now. (Completed)",
        "usage",
        "usage",
        "turn_end: Completed",
    ];
    assert_eq!(new, expected);
    talk.hang_up().await;
}

#[tokio::test]
async fn a_failed_compaction_inside_a_run_that_no_longer_fits_ends_the_turn_with_what_it_had() {
    let house = House::new(|config| {
        grows(config, &["No."]);
        config.compaction.context_tokens = Some(181);
        config.compaction.worker_max_turns = 1;
    });
    let mut talk = house.talk(true);
    talk.say("say many words").await;
    let lines = talk.say("add them up").await;
    let expected = [
        "text Wait. ",
        "call calculate",
        "result calculate",
        "compact_start",
        "compact_failed upkeep_no_answer",
        "error context_full",
        "text \nSorry.",
        "end Failed",
    ];
    assert_eq!(lines, expected);
    let history = talk.history();
    let texts: Vec<(Role, &str)> =
        history.iter().skip(2).map(|(role, text)| (*role, text.as_str())).collect();
    assert_eq!(texts.len(), 4, "{texts:?}");
    assert_eq!(texts[0], (Role::User, "add them up"));
    assert_eq!((texts[1].0, texts[2].0), (Role::ToolCall, Role::ToolResult));
    assert_eq!(texts[3], (Role::Assistant, "Wait. \nSorry."), "what was written before is not there twice");
    talk.hang_up().await;
}

#[tokio::test]
async fn tasks_go_along_and_are_there_when_somebody_resumes() {
    let house = House::new(|config| {
        model(&[r#"{call task_create {"title": "Call Anna"}}"#, LONG, SUMMARY, "Yes."])(config);
        config.tools.builtin = vec!["tasks".to_owned()];
        config.compaction.threshold = Some(8);
        config.compaction.retained_tokens = 0;
    });
    let mut talk = house.talk(true);
    talk.say("note that down").await;
    let lines = talk.say(LONG).await;
    let told = "system: [Session TaskStore snapshot]\n\
                {\"tasks\":[{\"id\":1,\"title\":\"Call Anna\",\"status\":\"pending\"}]}";
    assert_eq!(lines[..4], ["compact_start", "compact_done", BROADCAST, told]);
    let session = talk.session;
    talk.hang_up().await;
    let writer = house.log.continue_session(session).unwrap();
    let (listed, _) = writer.tasks().run("task_list", "").unwrap();
    assert_eq!(listed, r#"{"tasks":[{"id":1,"title":"Call Anna","status":"pending"}]}"#);
}

#[tokio::test]
async fn only_new_system_messages_are_told_and_instructions_stay() {
    let house = House::new(|config| {
        let long = [LONG; 3].join(" ");
        model(&[&long, SUMMARY, &long, SUMMARY, "seven"])(config);
        config.compaction.threshold = Some(30);
        config.compaction.retained_tokens = 0;
    });
    let mut talk = house.talk(true);
    let message = NewMessage::System("Speak slowly.".to_owned());
    talk.to_session.send(FromClient::Insert { id: MessageId(1), message, place: None }).await.unwrap();
    talk.say("say three words").await;
    let first = talk.say("and then what else?").await;
    let told = ["compact_start", "compact_done", BROADCAST];
    assert_eq!(first[..3], told);
    let second = talk.say("a b c d e f g h").await;
    assert_eq!(second[..3], told, "neither the instructions nor the first summary again");
    let new = talk.logged(talk.session);
    assert_eq!(new[..3], ["session_start, compacted", BROADCAST, "system: Speak slowly."]);
    assert_eq!(new.iter().filter(|line| line.starts_with("system: ")).count(), 2, "{new:?}");
    talk.hang_up().await;
}

#[tokio::test]
async fn three_failures_in_a_row_switch_compaction_off() {
    let house = House::new(|config| {
        model(&["No."])(config);
        config.compaction.threshold = Some(4);
        config.compaction.retained_tokens = 0;
        config.compaction.worker_max_turns = 1;
    });
    let mut talk = house.talk(true);
    talk.say("say some words").await;
    for _ in 0..3 {
        assert!(talk.say("and then?").await.contains(&"compact_start".to_owned()));
    }
    assert_eq!(talk.say("and then?").await, ["text No.", "end Completed"]);
    talk.hang_up().await;
}

#[tokio::test]
async fn over_the_threshold_again_straight_after_is_an_error_and_no_loop() {
    let house = House::new(|config| {
        model(&["one two three", SUMMARY, "four", "five"])(config);
        config.compaction.threshold = Some(8);
        config.compaction.retained_tokens = 0;
    });
    let mut talk = house.talk(true);
    talk.say("say three words").await;
    let lines = talk.say("one two three four five six seven eight nine").await;
    assert_eq!(
        lines,
        ["compact_start", "compact_done", BROADCAST, "error compact_thrash", "text four", "end Completed"]
    );
    assert_eq!(talk.say("again").await, ["text five", "end Completed"]);
    talk.hang_up().await;
}

#[tokio::test]
async fn without_a_threshold_nothing_is_compacted() {
    for threshold in [None, Some(0)] {
        let house = House::new(|config| {
            model(&[LONG])(config);
            config.compaction.threshold = threshold;
            config.compaction.request_threshold = threshold;
            config.compaction.retained_tokens = 0;
        });
        let mut talk = house.talk(true);
        for _ in 0..5 {
            assert_eq!(talk.say("and then?").await.len(), 2);
        }
        assert!(talk.before.is_empty());
        talk.hang_up().await;
    }
}

#[tokio::test]
async fn the_pause_after_a_spoken_reply_is_used_and_the_next_words_wait_for_nothing() {
    let house = House::new(|config| {
        model(&["one two three", SUMMARY, "four"])(config);
        config.compaction.threshold = Some(4);
        config.compaction.retained_tokens = 0;
    });
    let mut talk = house.talk(false);
    assert_eq!(talk.say("say three words").await, ["said one two three", "end Completed"]);
    let pause = talk.until(|line| line.starts_with("system: ")).await;
    assert_eq!(pause, ["compact_start", "compact_done", BROADCAST]);
    assert_eq!(talk.say("and?").await, ["said four", "end Completed"]);
    assert_eq!(talk.logged(talk.session)[2], "user: and?");
    talk.hang_up().await;
}

#[tokio::test]
async fn new_words_end_a_summary_that_is_being_written_and_nothing_is_lost() {
    let house = House::new(|config| {
        model(&["one two three", SUMMARY])(config);
        config.compaction.threshold = Some(4);
        config.compaction.retained_tokens = 0;
        // Long enough for the next words to come first, whatever the machine does.
        config.scripted.llm_first_token_ms = 600;
    });
    let mut talk = house.talk(false);
    talk.say("say three words").await;
    talk.until(|line| line == "compact_start").await;
    let lines = talk.say("and now?").await;
    assert_eq!(lines[0], "compact_failed cancelled");
    assert_eq!(lines.last().unwrap(), "end Completed");
    assert!(talk.before.is_empty());
    let texts: Vec<String> = talk.history().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts[..3], ["say three words", "one two three", "and now?"]);
    talk.hang_up().await;
}

#[tokio::test]
async fn a_user_who_waits_for_a_compaction_hears_that_it_is_being_worked_on() {
    let house = House::new(|config| {
        model(&[&[LONG; 3].join(" "), SUMMARY, "four"])(config);
        config.compaction.request_threshold = Some(30);
        config.compaction.retained_tokens = 0;
        config.tools.filler_after_ms = 50;
        config.scripted.llm_first_token_ms = 400;
    });
    let mut talk = house.talk(false);
    talk.say("say three words").await;
    let lines = talk.say("and then my good old friend?").await;
    let expected = [
        "compact_start",
        "filler One moment, please.",
        "compact_done",
        BROADCAST,
        "said four",
        "end Completed",
    ];
    assert_eq!(lines, expected);
    let texts: Vec<String> = talk.history().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts[1..], ["and then my good old friend?", "four"], "the filler is heard and not said");
    talk.hang_up().await;
}

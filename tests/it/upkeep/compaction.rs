//! What is told and what is written when a conversation is compacted. The scripted model counts a word as a
//! token; the system prompt has two.

use vivavoce::config::Config;
use vivavoce::conversation::Role;
use vivavoce::session::messages::{FromClient, NewMessage};
use vivavoce::turn::io::MessageId;

use super::talk::House;

const SUMMARY: &str = r#"{call write_summary {"text": "They counted."}}"#;
const BROADCAST: &str = "system: [Compacted context summary]\nThey counted.";

/// The model says these in turn.
fn model(replies: &[&str]) -> impl Fn(&mut Config) + use<> {
    let replies: Vec<String> = replies.iter().map(|reply| (*reply).to_owned()).collect();
    move |config| config.scripted.replies.clone_from(&replies)
}

#[tokio::test]
async fn before_a_run_an_old_conversation_is_compacted() {
    let house = House::new(|config| {
        model(&["one two three", "four five six", SUMMARY, "seven"])(config);
        config.compaction.threshold = Some(8);
        config.compaction.retained_tokens = 6;
    });
    let mut talk = house.talk(true);
    assert_eq!(talk.say("say three words").await, ["text one two three", "end Completed"]);
    // Two of the system, three of each side: eight, and what is said now is not measured yet.
    assert_eq!(talk.say("and then?").await.last().unwrap(), "end Completed");
    let lines = talk.say("and then?").await;
    assert_eq!(lines, ["compact_start", "compact_done", BROADCAST, "text seven", "end Completed"]);

    let old = talk.logged(talk.before[0]);
    let said = ["session_start", "user: say three words", "assistant: one two three (Completed)"];
    assert_eq!(old[..3], said);
    assert_eq!(
        old[3..],
        [
            "usage",
            "turn_end: Completed",
            "user: and then?",
            "assistant: four five six (Completed)",
            "usage",
            "turn_end: Completed",
            "user: and then?"
        ]
    );
    let new = talk.logged(talk.session);
    let expected = [
        "session_start, compacted",
        BROADCAST,
        "user: and then?",
        "assistant: four five six (Completed)",
        "user: and then?",
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

#[tokio::test]
async fn a_run_that_grows_too_long_yields_and_goes_on_in_the_new_session() {
    let house = House::new(|config| {
        let call =
            r#"Wait. {call task_create {"title": "a b c d e f g h i j k l m n o p q r s t u v w x y z"}}"#;
        model(&["one two three", call, SUMMARY, "Done now."])(config);
        config.tools.builtin = vec!["tasks".to_owned()];
        config.compaction.request_threshold = Some(30);
        config.compaction.retained_tokens = 0;
    });
    let mut talk = house.talk(true);
    talk.say("say three words").await;
    let lines = talk.say("note the alphabet").await;
    let tasks = lines.iter().find(|line| line.starts_with("system: [Session TaskStore snapshot]"));
    assert!(tasks.unwrap().contains("a b c d"), "{lines:?}");
    let lines: Vec<&str> = lines.iter().map(String::as_str).filter(|l| !l.contains("TaskStore")).collect();
    let expected = [
        "text Wait. ",
        "call task_create",
        "result task_create",
        "compact_start",
        "compact_done",
        BROADCAST,
        "text \nDone now.",
        "end Completed",
    ];
    assert_eq!(without_tasks_text(&lines), without_tasks_text(&expected));

    let old = talk.logged(talk.before[0]);
    let yielded = [
        "task",
        "user: note the alphabet",
        "call: task_create",
        "result: task_create",
        "assistant: Wait. (Yielded)",
    ];
    assert_eq!(old[old.len() - 5..], yielded);
    let new = talk.logged(talk.session);
    let expected = [
        "session_start, compacted",
        BROADCAST,
        new[2].as_str(),
        "user: note the alphabet",
        "call: task_create",
        "result: task_create",
        "assistant: Wait.\nDone now. (Completed)",
        "usage",
        "usage",
        "turn_end: Completed",
    ];
    assert_eq!(new, expected);
    assert!(new[2].starts_with("system: [Session TaskStore snapshot]"));

    // Whoever resumes finds the tasks.
    let session = talk.session;
    talk.hang_up().await;
    let writer = house.log.continue_session(session).unwrap();
    assert_eq!(writer.tasks().run("task_list", "").unwrap().0.matches("pending").count(), 1);
}

/// Pieces of text come as they please.
fn without_tasks_text<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    lines.iter().copied().filter(|line| !line.starts_with("text ")).collect()
}

#[tokio::test]
async fn a_failed_compaction_inside_a_run_that_no_longer_fits_ends_the_turn_with_what_it_had() {
    let house = House::new(|config| {
        let call = r#"{call task_create {"title": "a b c d e f g h i j k l m n o p q r s t u v w x y z"}}"#;
        model(&["one two three", call, "No."])(config);
        config.tools.builtin = vec!["tasks".to_owned()];
        config.compaction.request_threshold = Some(30);
        config.compaction.context_tokens = Some(31);
        config.compaction.retained_tokens = 0;
        config.compaction.worker_max_turns = 1;
    });
    let mut talk = house.talk(true);
    talk.say("say three words").await;
    let lines = talk.say("note the alphabet").await;
    assert!(lines.contains(&"compact_failed upkeep_no_answer".to_owned()), "{lines:?}");
    assert!(lines.contains(&"error context_full".to_owned()), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "end Failed");
    let history = talk.history();
    let roles: Vec<Role> = history.iter().skip(2).map(|(role, _)| *role).collect();
    assert_eq!(roles, [Role::User, Role::ToolCall, Role::ToolResult, Role::Assistant], "{history:?}");
    talk.hang_up().await;
}

#[tokio::test]
async fn only_new_system_messages_are_told_and_instructions_stay() {
    let house = House::new(|config| {
        model(&["one two three", SUMMARY, "four five six", SUMMARY, "seven"])(config);
        config.compaction.threshold = Some(12);
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
        [
            "compact_start",
            "compact_done",
            BROADCAST,
            "compact_failed compact_thrash",
            "text four",
            "end Completed"
        ]
    );
    assert_eq!(talk.say("again").await, ["text five", "end Completed"]);
    talk.hang_up().await;
}

#[tokio::test]
async fn without_a_threshold_nothing_is_compacted() {
    for threshold in [None, Some(0)] {
        let house = House::new(|config| {
            model(&["one two three four five six seven eight nine ten"])(config);
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
        model(&["one two three", SUMMARY, "four"])(config);
        config.compaction.request_threshold = Some(10);
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

#[tokio::test]
async fn the_tail_is_as_long_as_the_model_counts() {
    // The tokenizer would count about as many tokens as there are words; this model counts ten for each.
    let house = House::new(|config| {
        model(&["one", "two", "three", SUMMARY, "four"])(config);
        config.compaction.threshold = Some(9);
        config.compaction.retained_tokens = 5;
    });
    let mut talk = house.talk(true);
    for text in ["a b", "c d", "e f"] {
        talk.say(text).await;
    }
    talk.say("g h").await;
    let tail: Vec<String> = talk.logged(talk.session).into_iter().skip(2).take(3).collect();
    assert_eq!(tail.len(), 3, "{tail:?}");
    assert_eq!(tail[0], "user: e f", "one turn of three words fits into five, two do not: {tail:?}");
    talk.hang_up().await;
}

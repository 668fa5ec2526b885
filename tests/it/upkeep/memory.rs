//! What is kept of a conversation for later ones, and that nobody waits for it.

use super::talk::{House, count, logged};
use vivavoce::config::Config;
use vivavoce::conversation::Whose;

const FOUND: &str = r#"{call write_extracted {"discussions": ["Anna's dog is called Rex."], "requests": ["Anna wants tea."]}}"#;
const MERGED: &str =
    r#"{call write_memories {"memories": [{"person": "Anna", "text": "Anna's dog is Rex.", "notes": [1]}]}}"#;

fn model(replies: &[&str]) -> impl Fn(&mut Config) + use<> {
    let replies: Vec<String> = replies.iter().map(|reply| (*reply).to_owned()).collect();
    move |config| {
        config.scripted.replies.clone_from(&replies);
        config.memory.extract_threshold = 4;
    }
}

#[tokio::test]
async fn what_is_worth_keeping_is_found_behind_the_conversations_back() {
    let house = House::new(model(&["I see.", FOUND, "Right."]));
    let mut talk = house.talk(true);
    assert_eq!(talk.say("my dog is Rex").await, ["text I see.", "end Completed"]);
    assert_eq!(talk.until(|line| line.starts_with("memory_done")).await, ["memory_start", "memory_done 2 0"]);
    let log = talk.logged(talk.session);
    let found = [
        "memory_item: Discussion Anna's dog is called Rex.",
        "memory_item: Request Anna wants tea.",
        "memory_pointer",
    ];
    assert_eq!(log[log.len() - 3..], found, "in the same session: no fork");
    // Not grown by four tokens since.
    assert_eq!(talk.say("ok").await, ["text Right.", "end Completed"]);
    talk.hang_up().await;
    house.keeper.wait_for_memory_jobs().await;
}

#[tokio::test]
async fn enough_pieces_become_memories_and_a_later_session_has_them_in_its_prompt() {
    let house = House::new(|config| {
        model(&["I see.", FOUND, MERGED, "Woof {echo}"])(config);
        config.memory.consolidate_threshold = 2;
    });
    let mut talk = house.talk(true);
    talk.say("my dog is Rex").await;
    talk.until(|line| line.starts_with("memory_done")).await;
    let log = talk.logged(talk.session);
    assert_eq!(log[log.len() - 2..], ["memory: Anna's dog is Rex. (from 1, for 0)", "memory_deleted"]);
    talk.hang_up().await;
    assert!(house.log.memory_items(Whose::All, 10).unwrap().is_empty());

    // The prompt: two words of instructions, "What you know:", four of the memory, and what is asked.
    let mut later = house.talk(true);
    later.say("what is my dog called").await;
    let session = later.session;
    later.hang_up().await;
    let writer = house.log.continue_session(session).unwrap();
    assert_eq!(writer.usage().last().unwrap().input_tokens, 2 + 3 + 4 + 5);
}

#[tokio::test]
async fn an_empty_search_moves_the_pointer_too() {
    let house = House::new(model(&["I see.", "{call write_extracted {}}", "Right."]));
    let mut talk = house.talk(true);
    talk.say("one two three").await;
    assert_eq!(talk.until(|line| line.starts_with("memory_done")).await.last().unwrap(), "memory_done 0 0");
    assert_eq!(talk.logged(talk.session).last().unwrap(), "memory_pointer");
    assert_eq!(talk.say("ok").await.len(), 2);
    talk.hang_up().await;
}

#[tokio::test]
async fn a_search_that_fails_is_told_and_tried_again() {
    let house = House::new(|config| {
        model(&["I see.", "x", "Right.", FOUND])(config);
        config.scripted.failures = vec!["llm@2".to_owned()];
    });
    let mut talk = house.talk(true);
    talk.say("one two three").await;
    let lines = talk.until(|line| line.starts_with("memory_failed")).await;
    assert_eq!(lines, ["memory_start", "memory_failed llm_failed"]);
    talk.say("four").await;
    assert_eq!(talk.until(|line| line.starts_with("memory_done")).await, ["memory_start", "memory_done 2 0"]);
    talk.hang_up().await;
}

#[tokio::test]
async fn without_a_threshold_nothing_is_kept() {
    let house = House::new(|config| {
        model(&["one two three four five six"])(config);
        config.memory.extract_threshold = 0;
    });
    let mut talk = house.talk(true);
    for _ in 0..3 {
        talk.say("and then?").await;
    }
    let session = talk.session;
    talk.hang_up().await;
    house.keeper.wait_for_memory_jobs().await;
    let log = logged(&house.log.store(), session);
    assert!(!count(&log).contains_key("memory_pointer"), "{log:?}");
}

#[tokio::test]
async fn a_search_delays_nobody_and_outlives_its_session() {
    let house = House::new(|config| {
        model(&["I see.", FOUND])(config);
        config.llm.workers = 2;
        config.scripted.llm_first_token_ms = 300;
    });
    let mut talk = house.talk(true);
    talk.say("my dog is Rex").await;
    assert_eq!(talk.until(|line| line == "memory_start").await, ["memory_start"]);
    let session = talk.session;
    talk.hang_up().await;
    house.keeper.wait_for_memory_jobs().await;
    let log = logged(&house.log.store(), session);
    assert_eq!(
        log.last().unwrap(),
        "memory_pointer",
        "behind the end of the session, in the same chain: {log:?}"
    );
    assert_eq!(count(&log)["session_end"], 1);
}

#[tokio::test]
async fn a_compaction_resets_the_pointer_so_that_the_new_session_is_looked_through() {
    const SUMMARY: &str = r#"{call write_summary {"text": "a b c d e f"}}"#;
    let house = House::new(|config| {
        model(&["I see.", "{call write_extracted {}}", SUMMARY, "Yes.", "{call write_extracted {}}"])(config);
        config.compaction.threshold = Some(6);
        config.compaction.retained_tokens = 0;
    });
    let mut talk = house.talk(true);
    talk.say("one two three four").await;
    talk.until(|line| line.starts_with("memory_done")).await;
    // The prompt is shorter than it was when the first session was looked through.
    let lines = talk.say("five six seven").await;
    assert_eq!(lines[..2], ["compact_start", "compact_done"]);
    let again = talk.until(|line| line.starts_with("memory_done")).await;
    assert_eq!(again, ["memory_start", "memory_done 0 0"]);
    assert_eq!(talk.logged(talk.session).last().unwrap(), "memory_pointer");
    talk.hang_up().await;
}

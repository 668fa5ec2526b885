//! A file and the log are one conversation: it goes on, forks where it is edited, and is shared with voice.

use serde_json::json;
use vivavoce::conversation::{HistoryMessage, Role, SessionId};

use super::{Vault, body, stamp};
use crate::stub_llm::{Answer, StubLlm};

fn id(text: &str) -> SessionId {
    stamp(text, "conversation_id").parse().unwrap()
}

fn stored(vault: &Vault, text: &str) -> Vec<HistoryMessage> {
    vault.server.server.log.read_session(id(text)).unwrap().unwrap().messages
}

/// `User: Hi.`, for each message.
fn lines(messages: &[HistoryMessage]) -> Vec<String> {
    messages.iter().map(|message| format!("{:?}: {}", message.role, message.text)).collect()
}

#[tokio::test]
async fn a_conversation_goes_on_in_its_session() {
    let vault = Vault::start(&["One.", "Two.", "Three."], |_| {});
    vault.write("a.md", "### User:\nFirst\n");
    let first = vault.reply_to("a").await;
    assert_eq!(body(&first), "### User:\nFirst\n\n### Assistant:\n\nOne.\n\n### User:\n\n");
    vault.write("a.md", &format!("{first}Second\n"));
    let second = vault.reply_to("a").await;
    assert_eq!(id(&first), id(&second));
    assert_ne!(stamp(&first, "fingerprint"), stamp(&second, "fingerprint"));
    // An editor took the white space away: that is no edit.
    vault.write("a.md", &format!("{}\nThird", second.replace("\n\n", "\n").trim_end()));
    let third = vault.reply_to("a").await;
    assert_eq!(id(&first), id(&third));
    let expected = [
        "User: First",
        "Assistant: One.",
        "User: Second",
        "Assistant: Two.",
        "User: Third",
        "Assistant: Three.",
    ];
    assert_eq!(lines(&stored(&vault, &third)), expected);
    let read = vault.server.server.log.read_session(id(&third)).unwrap().unwrap();
    let owner = vault.server.server.tokens.find(&vault.token).unwrap().unwrap().hash;
    assert_eq!(read.owner, Some(owner));
    vault.server.stop();
}

#[tokio::test]
async fn what_was_used_on_the_way_is_shown_and_kept() {
    let vault = Vault::start(
        &["Let me see. {call calculate {\"expression\": \"7 + 4\"}}", "Eleven.", "Yes."],
        |_| {},
    );
    vault.write("a.md", "### User:\n7 + 4?\n");
    let text = vault.reply_to("a").await;
    let shown = body(&text).to_owned();
    assert!(
        shown.contains("Let me see.\n\n> [!tool]- calculate\n> {\"expression\": \"7 + 4\"}\n> → "),
        "{shown}"
    );
    assert!(shown.ends_with("\n\nEleven.\n\n### User:\n\n"), "{shown}");
    vault.write("a.md", &format!("{text}Sure?\n"));
    let next = vault.reply_to("a").await;
    // The stored form, with the tool, stands before it.
    assert_eq!(id(&text), id(&next));
    let roles: Vec<Role> = stored(&vault, &next).iter().map(|message| message.role).collect();
    use Role::{Assistant, ToolCall, ToolResult, User};
    assert_eq!(roles, [User, ToolCall, ToolResult, Assistant, User, Assistant]);
    vault.server.stop();
}

#[tokio::test]
async fn editing_an_old_turn_forks_there() {
    let vault = Vault::start(&["One. {call now {}}", "Now.", "Two.", "Three.", "Four.", "Five."], |_| {});
    vault.write("a.md", "### User:\nFirst\n");
    let first = vault.reply_to("a").await;
    vault.write("a.md", &format!("{first}Second\n"));
    let second = vault.reply_to("a").await;
    vault.write("a.md", &format!("{second}Third\n"));
    let third = vault.reply_to("a").await;
    // The second turn is said otherwise, and what came behind it is gone.
    let edited = third.split("Second").next().unwrap().to_owned() + "Second, edited\n";
    vault.write("a.md", &edited);
    let forked = vault.reply_to("a").await;
    assert_ne!(id(&forked), id(&third));
    let messages = stored(&vault, &forked);
    let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
    use Role::{Assistant, ToolCall, ToolResult, User};
    assert_eq!(roles, [User, ToolCall, ToolResult, Assistant, User, Assistant], "with the tool");
    assert_eq!(messages[4].text, "Second, edited");
    // The old one is as it was.
    assert_eq!(stored(&vault, &third).last().unwrap().text, "Three.");
    // What we are to have said may be edited, too.
    let edited = forked.replace("Four.", "Forty.");
    vault.write("a.md", &format!("{edited}And?\n"));
    let again = vault.reply_to("a").await;
    let said: Vec<String> = lines(&stored(&vault, &again)).into_iter().skip(4).collect();
    assert_eq!(said, ["User: Second, edited", "Assistant: Forty.", "User: And?", "Assistant: Five."]);
    assert_eq!(vault.server.server.log.check().unwrap().problems, []);
    vault.server.stop();
}

#[tokio::test]
async fn an_answer_that_was_taken_out_is_made_again() {
    let vault = Vault::start(&["One.", "Other."], |_| {});
    vault.write("a.md", "### User:\nFirst\n");
    let first = vault.reply_to("a").await;
    vault.write("a.md", first.split("### Assistant:").next().unwrap());
    let again = vault.reply_to("a").await;
    assert_ne!(id(&first), id(&again));
    assert_eq!(lines(&stored(&vault, &again)), ["User: First", "Assistant: Other."]);
    vault.server.stop();
}

#[tokio::test]
async fn a_file_from_elsewhere_is_a_conversation_of_its_own() {
    let stub = StubLlm::start(|_| Answer::reply(&["Fine."]));
    let url = stub.url.clone();
    let vault = Vault::start(&[], |config| {
        config.scripted.replies = vec!["x".into()];
        config.llm.engine = "openai".into();
        config.llm.url = url;
        config.llm.model = "stub".into();
    });
    let unknown = "---\nconversation_id: BgPFZM3yJyJP-j_bxWPvQg\n---\n";
    let turns = "### User:\nOne\n### Assistant:\nTwo\n### User:\nThree\n### User:\nFour\n";
    vault.write("a.md", &format!("{unknown}{turns}"));
    let text = vault.reply_to("a").await;
    assert_ne!(stamp(&text, "conversation_id"), "BgPFZM3yJyJP-j_bxWPvQg");
    let asked = stub.take_asked().pop().unwrap();
    let said: Vec<&str> = asked.body["messages"].as_array().unwrap()[1..]
        .iter()
        .map(|message| message["content"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["One", "Two", "Three", "Four"]);
    let expected = ["User: One", "Assistant: Two", "User: Three", "User: Four", "Assistant: Fine."];
    assert_eq!(lines(&stored(&vault, &text)), expected);
    vault.server.stop();
}

#[tokio::test]
async fn a_conversation_of_somebody_else_is_not_gone_on_with() {
    let vault = Vault::start(&["Secret.", "Hello."], |_| {});
    vault.write("a.md", "### User:\nTell me\n");
    let theirs = vault.reply_to("a").await;
    let other = super::token(&vault.server, &[vivavoce::conversation::Scope::Messages]);
    let content = format!("---\nconversation_id: {}\n---\n### User:\nHi\n", id(&theirs));
    let asked = vault.http.post(vault.url("/chat")).bearer_auth(other);
    let asked = asked.json(&json!({"filename": "b", "content": content})).send().await.unwrap();
    assert_eq!(super::answer(asked).await.0, 200);
    let text = vault.read("b.md");
    assert_ne!(id(&text), id(&theirs));
    assert_eq!(lines(&stored(&vault, &text)), ["User: Hi", "Assistant: Hello."]);
    let read = vault.server.server.log.read_session(id(&text)).unwrap().unwrap();
    assert_eq!(read.forked_from, None);
    vault.server.stop();
}

#[tokio::test]
async fn a_compaction_takes_nothing_from_the_file() {
    let (many, more) = (["one"; 80].join(" "), ["one"; 100].join(" "));
    let summary = r#"{call write_summary {"text": "They counted."}}"#;
    let replies = [&more, "four five six", summary, "Seven.", "Eight.", "Nine.", "Ten."];
    let vault = Vault::start(&replies, |config| {
        // A word is a token, about.
        config.persona.system_prompt = "Be brief.".to_owned();
        config.tools.builtin.clear();
        config.compaction.threshold = Some(150);
        config.compaction.retained_tokens = 20;
    });
    let forked_from = |text: &str| {
        let stored = vault.server.server.log.read_session(id(text)).unwrap().unwrap();
        (stored.forked_from.map(|origin| origin.session), stored.compacted_from.map(|origin| origin.session))
    };
    vault.write("a.md", "### User:\nsay many words\n");
    let first = vault.reply_to("a").await;
    vault.write("a.md", &format!("{first}and then?\n"));
    let second = vault.reply_to("a").await;
    assert_eq!(id(&first), id(&second));
    vault.write("a.md", &format!("{second}{many}\n"));
    let third = vault.reply_to("a").await;
    assert!(body(&third).starts_with(body(&second).trim_end()), "all is still there: {third}");
    assert!(third.ends_with("### Assistant:\n\nSeven.\n\n### User:\n\n"), "{third}");
    assert_eq!(forked_from(&third), (None, Some(id(&first))));
    // What was not edited goes on in the newest session, whichever of them the file names.
    let named_before = third.replace(&id(&third).to_string(), &id(&first).to_string());
    vault.write("a.md", &format!("{named_before}and more?\n"));
    let fourth = vault.reply_to("a").await;
    assert_eq!(id(&fourth), id(&third), "{:?}: {fourth}", forked_from(&fourth));
    // What the compaction retained is edited in the new session, what it summarised in the old one.
    vault.write("a.md", &(fourth.split("and then?").next().unwrap().to_owned() + "and now?\n"));
    let retained = vault.reply_to("a").await;
    assert_eq!(forked_from(&retained), (Some(id(&third)), None));
    vault.write("a.md", &fourth.replace("say many words", "say few words"));
    let (_, nothing) = vault.chat(json!({"filename": "a"})).await;
    assert_eq!(nothing["reason"], "last turn is assistant");
    vault.write("a.md", &(fourth.split("say many words").next().unwrap().to_owned() + "say few words\n"));
    let summarised = vault.reply_to("a").await;
    assert_eq!(forked_from(&summarised), (Some(id(&first)), None));
    let left = stored(&vault, &summarised);
    let said: Vec<&str> = left
        .iter()
        .filter(|message| message.role == Role::User)
        .map(|message| message.text.as_str())
        .collect();
    assert_eq!(said, ["say few words"]);
    vault.server.stop();
}

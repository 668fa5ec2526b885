//! What somebody hears who starts the server with nothing but itself: the built-in language model.

use vivavoce::client::{ClientMessage, ServerMessage, wire::Configure};
use vivavoce::turn::io::Outcome;

use super::person::{Person, spoken};
use crate::harness::TestServer;

fn knows(facts: &[&str]) -> ClientMessage {
    ClientMessage::Configure(Configure {
        system_prompt: Some("You are Ottilie, the receptionist of the Brunswater Museum.".to_owned()),
        facts: Some(facts.iter().map(|fact| (*fact).to_owned()).collect()),
        ..Configure::default()
    })
}

#[tokio::test]
async fn a_visitor_hears_the_facts_and_other_facts_when_they_change() {
    let server = TestServer::start(|config| {
        config.asr.engine = "pocketsphinx".into();
        config.tts.engine = "flite".into();
        config.llm.engine = "auto".into();
        // Nothing was pulled, and nobody listens on the port of discarded data.
        config.models.cache = "/no/such/folder".into();
        config.llm.url = "http://127.0.0.1:9/v1".into();
    });
    let engines = &server.server.engines.names;
    assert_eq!((engines.llm.as_str(), engines.llm_model.as_deref()), ("local", Some("concierge")));

    let mut visitor = Person::new(server.connect().await);
    visitor
        .send(&knows(&[
            "The museum opens at nine.",
            "The museum closes at half past five.",
            "The tea room is on the second floor.",
            "The toilet is behind the gift shop.",
            "A child ticket costs four pounds.",
        ]))
        .await;
    visitor.until(|message| matches!(message, ServerMessage::Configured { .. })).await;
    for (turn, question, answer) in
        [(1, "where is the toilet", "behind the gift shop"), (2, "how much is a child ticket", "four pounds")]
    {
        visitor.say(&spoken(question));
        assert_eq!(visitor.until_turn_end().await, (turn, Outcome::Completed));
        let (heard, reply) = (visitor.transcript(turn), visitor.reply(turn));
        assert!(reply.contains(answer), "{question:?} was heard as {heard:?} and answered with {reply:?}");
    }
    let elsewhere = ["The tea room is on the second floor.", "The toilet is on the third floor."];
    visitor.send(&knows(&elsewhere)).await;
    visitor.type_text("where is the toilet").await;
    assert_eq!(visitor.until_turn_end().await, (3, Outcome::Completed));
    assert!(visitor.reply(3).contains("on the third floor"), "{}", visitor.reply(3));
    visitor.hang_up().await;
    server.stop();
}

//! A long conversation with the built-in model, in a short context.

use vivavoce::config::Config;

use super::talk::House;

/// What the user tells at the beginning, and is asked at the end: the question, and a word of the answer.
const FACTS: [(&str, &str, &str); 6] = [
    ("The pool opens at seven.", "When does the pool open?", "seven"),
    ("Breakfast is in the garden room.", "Where is breakfast?", "garden"),
    ("The code of the gate is four two nine.", "What is the code of the gate?", "four two nine"),
    ("The doctor is on the third floor.", "Where is the doctor?", "third"),
    ("A ticket costs twelve euros.", "How much does a ticket cost?", "twelve"),
    ("The library closes at six.", "When does the library close?", "six"),
];
const TURNS: usize = 200;
const CONTEXT_TOKENS: usize = 2_000;

#[tokio::test]
async fn early_facts_are_known_two_hundred_turns_later() {
    let house = House::new(|config| {
        config.llm.engine = "local".to_owned();
        config.llm.local.model = "concierge".to_owned();
        config.llm.local.context_tokens = CONTEXT_TOKENS;
        config.llm.max_new_tokens = 48;
        config.llm.temperature = Some(0.0);
        config.persona = Config::default().persona;
        config.compaction.threshold = Some(900);
        config.compaction.retained_tokens = 300;
        config.compaction.summary_target_tokens = 100;
        config.memory.extract_threshold = 150;
        config.memory.consolidate_threshold = 1;
        config.memory.recall_tokens = 120;
    });
    let mut talk = house.talk(true);
    for (fact, ..) in FACTS {
        talk.say(fact).await;
    }
    let numbers = ["two", "three", "four", "five", "six", "seven", "eight", "nine"];
    for turn in FACTS.len()..TURNS - FACTS.len() {
        let (one, other) = (numbers[turn % numbers.len()], numbers[turn / numbers.len() % numbers.len()]);
        talk.say(&format!("What is {one} plus {other}?")).await;
    }
    let mut known = vec![];
    let mut said = vec![];
    for (_, question, word) in FACTS {
        let lines = talk.say(question).await;
        known.extend(
            lines.iter().any(|line| line.starts_with("text ") && line.contains(word)).then_some(word),
        );
        said.push(lines);
    }
    let compactions = talk.before.len();
    let sessions: Vec<_> = talk.before.iter().copied().chain([talk.session]).collect();
    talk.hang_up().await;
    house.keeper.wait_for_memory_jobs().await;
    let usage = sessions.iter().flat_map(|session| {
        house
            .log
            .continue_session(*session)
            .unwrap()
            .usage()
            .iter()
            .map(|u| u.input_tokens)
            .collect::<Vec<_>>()
    });
    let longest = usage.max().unwrap_or_default();
    eprintln!(
        "{} of {} known, {compactions} compactions, longest prompt {longest} tokens",
        known.len(),
        FACTS.len()
    );
    assert!(compactions >= 2, "{compactions}");
    assert!(longest <= CONTEXT_TOKENS as u64, "{longest}");
    assert_eq!(known.len(), FACTS.len(), "{said:#?}");
}

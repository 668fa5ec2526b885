//! Step by step, with the model that is built in: real replies, no thread and no clock.

use super::super::cache_pool::Lease;
use super::super::source::Source;
use super::super::text::{ChatText, Sampler, Sampling};
use super::*;
use crate::engines::local::decoder::LoadOptions;
use crate::engines::{ChatMessage, Role};

/// Tokens of a prompt that a step reads here.
const PIECE: usize = 16;
const PLENTY: u64 = 1 << 30;

struct Rig {
    batch: Batch,
    caches: Arc<CachePool>,
    text: ChatText,
}

/// A reply at work, and what has come of it.
struct Reply {
    slot: SlotId,
    cancel: CancelToken,
    written: Receiver<Written>,
    text: String,
    end: Option<Result<Tokens, EngineError>>,
}

impl Reply {
    /// Reads what has come.
    fn read(&mut self) {
        for message in self.written.try_iter() {
            match message {
                Written::Events(events) => {
                    for event in events {
                        match event {
                            LlmEvent::Text(text) => self.text += &text,
                            LlmEvent::Thought(_) => {}
                            LlmEvent::ToolCall(call) => self.text += &format!("[{}]", call.name),
                        }
                    }
                }
                Written::End(end) => self.end = Some(end),
            }
        }
    }

    fn tokens(&self) -> Tokens {
        *self.end.as_ref().expect("has ended").as_ref().expect("has ended well")
    }
}

impl Rig {
    fn new(budget_bytes: u64) -> Rig {
        let (checkpoint, text) = Source::BuiltIn.open().unwrap();
        let decoder =
            Decoder::from_checkpoint(&checkpoint, &candle_core::Device::Cpu, &LoadOptions::default())
                .unwrap();
        let decoder = Arc::new(decoder);
        let caches = CachePool::new(budget_bytes, decoder.cache_bytes_per_token());
        Rig { batch: Batch::new(decoder, Arc::clone(&caches)), caches, text }
    }

    /// Bytes of a cache for so many tokens.
    fn bytes_of(tokens: u64) -> u64 {
        let rig = Rig::new(PLENTY);
        rig.batch.decoder.cache_bytes_per_token() * tokens
    }

    fn prompt(&self, messages: &[(Role, &str)]) -> Vec<u32> {
        let messages: Vec<ChatMessage> =
            messages.iter().map(|(role, text)| ChatMessage::new(*role, *text)).collect();
        self.text.encode(&messages, &[]).unwrap().tokens
    }

    fn question(&self, facts: &str, question: &str) -> Vec<u32> {
        let system = format!("You are Ada, the receptionist of the Old Library. What you know: {facts}");
        self.prompt(&[(Role::System, &system), (Role::User, question)])
    }

    fn ask(&mut self, lease: &Lease, prompt: Vec<u32>, max_new_tokens: usize) -> Reply {
        let as_read =
            super::super::text::Prompt { tokens: vec![], begins_in_thought: false, has_tools: false };
        let reader = self.text.reader(&as_read, &[], 0);
        let sampler = Sampler::new(Sampling::default(), 0).unwrap();
        let writer = Writer::new(self.text.tokenizer().vocab_size(), sampler, None, reader);
        let (cancel, (written, messages)) = (CancelToken::new(), channel());
        let slot = lease.slot();
        self.batch.push(Job { prompt, slot, writer, max_new_tokens, cancel: cancel.clone(), written });
        Reply { slot, cancel, written: messages, text: String::new(), end: None }
    }

    /// Steps until all of these have ended.
    fn finish(&mut self, replies: &mut [&mut Reply]) {
        while replies.iter().any(|reply| reply.end.is_none()) {
            assert_ne!(self.batch.step(PIECE), Progress::Idle, "a reply was lost");
            replies.iter_mut().for_each(|reply| reply.read());
        }
    }

    /// One whole reply on its own.
    fn reply(&mut self, lease: &Lease, prompt: &[u32], max_new_tokens: usize) -> Reply {
        let mut reply = self.ask(lease, prompt.to_vec(), max_new_tokens);
        self.finish(&mut [&mut reply]);
        reply
    }
}

const LONG: &str = "The tea room is on the second floor. The toilet is behind the gift shop. A child \
                    ticket costs four pounds. Dogs are only allowed outside. The library closes at six.";

#[test]
fn a_reply_is_the_same_whoever_else_is_served() {
    let mut rig = Rig::new(PLENTY);
    let prompts = [
        rig.question(LONG, "where is the tea room"),
        rig.question("The library closes at six.", "when do you close"),
        rig.question(LONG, "how much is a child ticket"),
    ];
    let alone: Vec<String> = prompts
        .iter()
        .map(|prompt| {
            let lease = rig.caches.lease();
            rig.reply(&lease, prompt, 24).text
        })
        .collect();
    assert!(alone.iter().all(|text| !text.is_empty()), "{alone:?}");
    let leases: Vec<Lease> = prompts.iter().map(|_| rig.caches.lease()).collect();
    let mut replies: Vec<Reply> =
        prompts.iter().zip(&leases).map(|(prompt, lease)| rig.ask(lease, prompt.clone(), 24)).collect();
    rig.finish(&mut replies.iter_mut().collect::<Vec<_>>());
    let together: Vec<String> = replies.into_iter().map(|reply| reply.text).collect();
    assert_eq!(together, alone);
}

#[test]
fn prompts_take_turns_and_replies_go_on_meanwhile() {
    let mut rig = Rig::new(PLENTY);
    let (a, b, c) = (rig.caches.lease(), rig.caches.lease(), rig.caches.lease());
    let short = rig.prompt(&[(Role::User, "hello")]);
    let mut writing = rig.ask(&a, short, 64);
    while writing.text.is_empty() {
        rig.batch.step(PIECE);
        writing.read();
        assert!(writing.end.is_none());
    }
    let long = rig.question(LONG, "where is the tea room");
    let (mut first, mut second) = (rig.ask(&b, long.clone(), 8), rig.ask(&c, long.clone(), 8));
    let mut steps = 0;
    while rig.batch.running.iter().any(|running| running.prompt_left() > 0) || steps == 0 {
        let before: Vec<usize> = rig.batch.running.iter().map(|running| running.held.tokens.len()).collect();
        let progress = rig.batch.step(PIECE);
        steps += 1;
        if writing.end.is_none() {
            let Progress::Worked { read, decoded } = progress else { panic!("{progress:?}") };
            assert!(read <= PIECE && decoded >= 1, "{progress:?}");
        }
        [&mut writing, &mut first, &mut second].into_iter().for_each(Reply::read);
        // The two prompts are never further apart than one piece.
        let read: Vec<usize> = rig
            .batch
            .running
            .iter()
            .filter(|running| running.job.slot != writing.slot)
            .map(|running| running.held.tokens.len().min(long.len()))
            .collect();
        if let [one, other] = read[..] {
            assert!(one.abs_diff(other) <= PIECE, "{before:?} → {read:?}");
        }
    }
    assert!(steps >= 2 * long.len() / PIECE, "both prompts were read in {steps} steps");
    rig.finish(&mut [&mut writing, &mut first, &mut second]);
    assert_eq!(first.text, second.text);
}

#[test]
fn a_cancel_takes_effect_at_the_next_step() {
    let mut rig = Rig::new(PLENTY);
    let lease = rig.caches.lease();
    let long = rig.question(LONG, "where is the tea room");
    // While its prompt is read, and while it waits for the reply before it.
    let (mut reading, mut waiting) = (rig.ask(&lease, long.clone(), 8), rig.ask(&lease, long.clone(), 8));
    assert_eq!(rig.batch.step(PIECE), Progress::Worked { read: PIECE, decoded: 0 });
    reading.cancel.cancel();
    waiting.cancel.cancel();
    assert_eq!(rig.batch.step(PIECE), Progress::Idle);
    for reply in [&mut reading, &mut waiting] {
        reply.read();
        assert!(matches!(reply.end, Some(Err(EngineError::Cancelled))), "{:?}", reply.end);
    }
    // What it had read is kept.
    let next = rig.reply(&lease, &long, 8);
    assert_eq!(next.tokens().remembered, PIECE);
}

#[test]
fn a_reply_without_a_reader_ends() {
    let mut rig = Rig::new(PLENTY);
    let lease = rig.caches.lease();
    let prompt = rig.prompt(&[(Role::User, "hello")]);
    drop(rig.ask(&lease, prompt, 1_000));
    let steps = (0..1_000).take_while(|_| rig.batch.step(PIECE) != Progress::Idle).count();
    assert!(steps < 20, "it went on for {steps} steps");
}

#[test]
fn a_slow_reader_holds_up_its_own_reply_only() {
    let mut rig = Rig::new(PLENTY);
    let (a, b) = (rig.caches.lease(), rig.caches.lease());
    let prompt = rig.prompt(&[(Role::User, "hello")]);
    let mut unread = rig.ask(&a, prompt.clone(), 1_000);
    // A model may end early; one that may not must be stopped by its reader alone.
    rig.batch.step(PIECE);
    for running in &mut rig.batch.running {
        (0..TOKENS_AHEAD).for_each(|_| running.job.written.send(Written::Events(vec![])).unwrap());
    }
    assert_eq!(rig.batch.step(PIECE), Progress::Blocked);
    let other = rig.reply(&b, &prompt, 12);
    assert!(other.end.is_some() && unread.end.is_none());
    unread.read();
    assert!(matches!(rig.batch.step(PIECE), Progress::Worked { .. }));
    rig.finish(&mut [&mut unread]);
    assert!(unread.text.starts_with(&other.text[..1]));
}

#[test]
fn the_next_turn_reads_only_what_is_new_and_an_interrupted_one_cuts_back() {
    let mut rig = Rig::new(PLENTY);
    let lease = rig.caches.lease();
    let said = [(Role::System, LONG), (Role::User, "where is the toilet please")];
    let first = rig.prompt(&said);
    let reply = rig.reply(&lease, &first, 24);
    assert_eq!(reply.tokens().remembered, 0);
    assert_eq!(reply.tokens().read, first.len());
    let heard = reply.text.split_inclusive(' ').next().unwrap();
    for (assistant, at_least) in [(&*reply.text, first.len() + 1), (heard, first.len())] {
        let mut said = said.to_vec();
        said.extend([(Role::Assistant, assistant), (Role::User, "thank you")]);
        let next = rig.prompt(&said);
        let tokens = rig.reply(&lease, &next, 4).tokens();
        assert!(tokens.remembered >= at_least, "{tokens:?}, of {at_least}");
        assert_eq!(tokens.read + tokens.remembered, next.len());
        // Another session does not know any of it, and says the same.
        let stranger = rig.caches.lease();
        let fresh = rig.reply(&stranger, &next, 4);
        assert_eq!(fresh.tokens().remembered, 0);
        assert_eq!(fresh.text, rig.reply(&lease, &next, 4).text);
    }
}

#[test]
fn who_was_idle_longest_makes_room_and_says_the_same_later() {
    let prompt_of = |rig: &Rig, question: &str| rig.question(LONG, question);
    // Room for two conversations, not for three.
    let mut rig = Rig::new(2 * Rig::bytes_of(128));
    let leases: Vec<Lease> = (0..3).map(|_| rig.caches.lease()).collect();
    let prompts: Vec<Vec<u32>> = ["where is the tea room", "when do you close", "are dogs allowed"]
        .iter()
        .map(|question| prompt_of(&rig, question))
        .collect();
    assert!(prompts.iter().all(|prompt| (64..116).contains(&prompt.len())), "{}", prompts[0].len());
    let first: Vec<String> =
        leases.iter().zip(&prompts).map(|(lease, prompt)| rig.reply(lease, prompt, 12).text).collect();
    let (bytes, holding) = rig.caches.usage();
    assert!(bytes <= 2 * Rig::bytes_of(128) && holding == 2, "{bytes} bytes of {holding}");
    // The last two are remembered, the first is not.
    assert!(rig.reply(&leases[2], &prompts[2], 12).tokens().remembered > 50);
    let again = rig.reply(&leases[0], &prompts[0], 12);
    assert_eq!(again.tokens().remembered, 0);
    assert_eq!(again.text, first[0]);
    drop(leases);
    assert_eq!(rig.caches.usage(), (0, 0));
}

#[test]
fn memory_that_is_in_use_is_waited_for() {
    let mut rig = Rig::new(Rig::bytes_of(128));
    let (a, b) = (rig.caches.lease(), rig.caches.lease());
    let prompt = rig.question(LONG, "where is the tea room");
    let (mut first, mut second) = (rig.ask(&a, prompt.clone(), 12), rig.ask(&b, prompt.clone(), 12));
    rig.batch.step(PIECE);
    assert_eq!((rig.batch.running.len(), rig.batch.waiting.len()), (1, 1));
    rig.finish(&mut [&mut first, &mut second]);
    assert_eq!(first.text, second.text);
}

#[test]
fn nobody_takes_the_memory_that_another_waits_for() {
    let mut rig = Rig::new(Rig::bytes_of(400));
    let leases: Vec<Lease> = (0..3).map(|_| rig.caches.lease()).collect();
    let small = || rig.question("The tea room is upstairs.", "where is the tea room");
    let (first, last) = (small(), small());
    let large = rig.question(LONG, "where is the tea room");
    // The first leaves too little for the large one, but enough for the last.
    let mut first = rig.ask(&leases[0], first, 150);
    let mut large = rig.ask(&leases[1], large, 280);
    let mut last = rig.ask(&leases[2], last, 12);
    rig.batch.step(PIECE);
    assert_eq!((rig.batch.running.len(), rig.batch.waiting.len()), (1, 2));
    while large.end.is_none() {
        rig.batch.step(PIECE);
        [&mut first, &mut large, &mut last].into_iter().for_each(Reply::read);
        assert!(first.end.is_some() || last.end.is_none(), "the last one overtook");
    }
    rig.finish(&mut [&mut last]);
    assert_eq!(last.text, first.text);
}

#[test]
fn instructions_are_read_once_for_all() {
    let mut rig = Rig::new(PLENTY);
    let prompts = [rig.question(LONG, "where is the tea room"), rig.question(LONG, "are dogs allowed")];
    let stranger = rig.caches.lease();
    let before = rig.reply(&stranger, &prompts[1], 12);
    let common = super::super::cache_pool::common_prefix(&prompts[0], &prompts[1]);
    let mut cache = rig.batch.decoder.new_cache();
    let tokens = prompts[0][..common].to_vec();
    let wants_logits = false;
    rig.batch.decoder.forward(&mut [Sequence { tokens: &tokens, cache: &mut cache, wants_logits }]).unwrap();
    rig.caches.pin(Held { tokens, cache });
    let lease = rig.caches.lease();
    let after = rig.reply(&lease, &prompts[1], 12);
    assert_eq!(after.tokens().remembered, common);
    assert_eq!(after.text, before.text);
    // The pinned one is a copy's original: it stays as it was.
    let another = rig.caches.lease();
    assert_eq!(rig.reply(&another, &prompts[0], 12).tokens().remembered, common);
}

#[test]
fn after_a_fault_everybody_is_told_and_nothing_half_read_is_used() {
    let mut rig = Rig::new(PLENTY);
    let lease = rig.caches.lease();
    let prompt = rig.question(LONG, "where is the tea room");
    let mut reply = rig.ask(&lease, prompt.clone(), 12);
    rig.batch.step(PIECE);
    let fault = EngineError::Failed { engine: "local", code: "engine_panicked", message: "a test".into() };
    rig.batch.fail_all(&fault);
    reply.read();
    assert_eq!(reply.end.unwrap().unwrap_err().code(), "engine_panicked");
    assert_eq!(rig.reply(&lease, &prompt, 12).tokens().remembered, 0);
}

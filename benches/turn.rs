//! The turn machine: what a listening session costs per frame, and a whole turn.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use vivavoce::config::Config;
use vivavoce::turn::Turn;
use vivavoce::turn::config::TurnConfig;
use vivavoce::turn::io::{Heard, Input, Output, Time, TurnId};

/// Length of a VAD frame.
const FRAME_MS: u64 = 32;

/// A machine and the engines' answers, which come at once.
struct Conversation {
    turn: Turn,
    now: Time,
}

impl Conversation {
    fn open() -> Conversation {
        let mut turn = Turn::new(TurnConfig::new(&Config::default(), false));
        turn.handle(Input::Open { last_turn: TurnId(0) }, Time(0));
        while turn.poll_output().is_some() {}
        Conversation { turn, now: Time(0) }
    }

    fn frames(&mut self, count: u64, probability: f32) {
        for _ in 0..count {
            self.now = self.now.plus_ms(FRAME_MS);
            self.feed(Input::Frame { probability });
        }
    }

    fn feed(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.turn.handle(input, self.now);
            while let Some(output) = self.turn.poll_output() {
                answer(output, &mut inputs);
            }
        }
    }

    /// To the end of whatever is going on.
    fn finish(&mut self) {
        while let Some(deadline) = self.turn.next_deadline() {
            self.now = self.now.max(deadline);
            self.feed(Input::Tick);
        }
    }
}

/// What the engines and the store say to `output`; the last one of `inputs` is next.
fn answer(output: Output, inputs: &mut Vec<Input>) {
    match output {
        Output::Transcribe { job, .. } => {
            let heard = Heard { text: "what is the weather like".to_owned(), language: None };
            inputs.push(Input::Transcribed { job, result: Ok(heard) });
        }
        Output::Generate { reply, .. } => {
            inputs.push(Input::Generated { reply, result: Ok(()) });
            for word in ["evening.", "the ", "in ", "rain ", "some ", "and ", "all day, ", "Sunny "] {
                inputs.push(Input::Token { reply, text: word.to_owned() });
            }
        }
        Output::Synthesize { reply, segment, text } => {
            let samples = text.len() as u64 * 1_440;
            inputs.push(Input::Spoken { reply, segment, result: Ok(()) });
            inputs.push(Input::Speech { reply, segment, samples, words: Vec::new() });
        }
        Output::Commit(commit) => inputs.push(Input::Committed { turn: commit.turn, result: Ok(()) }),
        _ => {}
    }
}

fn frame(c: &mut Criterion) {
    let mut conversation = Conversation::open();
    c.bench_function("turn machine, one frame while listening", |b| {
        b.iter(|| {
            conversation.now = conversation.now.plus_ms(FRAME_MS);
            conversation.turn.handle(Input::Frame { probability: black_box(0.1) }, conversation.now);
            black_box(conversation.turn.poll_output().is_none())
        });
    });
}

fn whole_turn(c: &mut Criterion) {
    c.bench_function("turn machine, a whole turn (60 frames, 8 tokens, 65 chunks)", |b| {
        b.iter_batched(
            Conversation::open,
            |mut conversation| {
                conversation.frames(40, 0.9);
                conversation.frames(20, 0.1);
                conversation.finish();
                assert!(conversation.turn.is_idle());
                conversation
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, frame, whole_turn);
criterion_main!(benches);

//! Word error rates of PocketSphinx without and with the words of the facts:
//!
//! ```sh
//! cargo bench --bench asr_wer -- [--seed N] [--scenes N] [--weights 0,0.3] [--voices slt,kal] [--snr-db N] [--errors]
//! ```
//!
//! Scenes are made from the seed: facts with invented names, and questions about them, spoken by the
//! voices of the program `flite` (only `slt`, which is built in, where it is not installed). With
//! `--snr-db`, noise of `../shared/data/noise` is mixed in. The human recordings of
//! `../shared/data/speech` are recognised with the facts of one scene, of which they say nothing.

#![allow(clippy::print_stdout)] // the table is what it is for

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use vivavoce::audio::{pcm, resample, wav};
use vivavoce::config::Config;
use vivavoce::engines::{
    Asr, AsrRequest, CancelToken, INPUT_RATE_HZ, OUTPUT_RATE_HZ, SpeechContext, TtsEvent, load_asr, load_tts,
};

/// Facts about `{e}` and questions that they answer; `{n}` is a name, `{t}` a value. None of the
/// questions was taken from the phrases that the recogniser learns; some are among them all the same.
const FAMILIES: [(&str, &[&str]); 10] = [
    (
        "The {e} opens at {t}.",
        &[
            "when does the {e} open",
            "what time does the {e} open",
            "could you tell me when the {e} opens",
            "until when do i have to wait for the {e}",
            "is the {e} open already",
        ],
    ),
    (
        "The {e} closes at {t}.",
        &[
            "how late is the {e} open",
            "when does the {e} close",
            "at what time do they lock the {e}",
            "how long can i stay in the {e} tonight",
        ],
    ),
    (
        "The {e} is on the {f} floor.",
        &[
            "where is the {e}",
            "how do i get to the {e} please",
            "which floor is the {e} on",
            "i am looking for the {e}",
            "excuse me i can't find the {e}",
            "could you point me to the {e}",
        ],
    ),
    (
        "A {i} costs {p}.",
        &[
            "how much is a {i}",
            "what does a {i} cost",
            "i would like a {i} please",
            "what do you charge for a {i}",
            "is a {i} expensive",
        ],
    ),
    (
        "{n} runs the {e}.",
        &[
            "who runs the {e}",
            "who is {n}",
            "is {n} in charge of the {e}",
            "where can i find {n}",
            "i have an appointment with {n}",
        ],
    ),
    (
        "The director is {n}.",
        &["who is the director", "can i speak to {n}", "is {n} here today", "what does {n} do"],
    ),
    (
        "The {v} starts at {t} in the {e}.",
        &[
            "when does the {v} start",
            "where is the {v}",
            "what time is the {v} today",
            "i came for the {v}",
            "which room is the {v} in",
        ],
    ),
    (
        "{b} are not allowed in the {e}.",
        &[
            "are {b} allowed in the {e}",
            "can i bring {b}",
            "is it okay to take {b} into the {e}",
            "what about {b}",
        ],
    ),
    (
        "The wifi password is {w}.",
        &["what is the wifi password", "how do i connect to the wifi", "do you have internet here"],
    ),
    (
        "Guests of {h} park behind the {e}.",
        &[
            "where do i park",
            "is there parking for guests of {h}",
            "i am a guest of {h}",
            "where is the parking of {h}",
        ],
    ),
];
const PLACES: [&str; 16] = [
    "tea room",
    "library",
    "garden",
    "cloakroom",
    "gift shop",
    "museum",
    "main hall",
    "gallery",
    "reading room",
    "workshop",
    "swimming pool",
    "chapel",
    "restaurant",
    "clinic",
    "map room",
    "orchard",
];
const KINDS: [&str; 6] = ["room", "hall", "tower", "gallery", "garden", "house"];
const ITEMS: [&str; 10] = [
    "map",
    "sandwich",
    "guide book",
    "locker",
    "bottle of water",
    "child ticket",
    "season ticket",
    "postcard",
    "towel",
    "bicycle",
];
const EVENTS: [&str; 8] = [
    "concert",
    "guided tour",
    "puppet show",
    "yoga class",
    "lecture",
    "wine tasting",
    "boat trip",
    "quiz night",
];
const BANNED: [&str; 6] = ["dogs", "umbrellas", "drinks", "scooters", "cameras", "large bags"];
const TIMES: [&str; 8] =
    ["9:30", "ten", "half past eight", "6 p.m.", "noon", "quarter past three", "5:45", "eleven"];
const PRICES: [&str; 6] = ["4.50 euros", "$12", "two pounds", "€3", "nine euros fifty", "20 francs"];
const FLOORS: [&str; 4] = ["ground", "first", "second", "third"];
const FIRST: [&str; 10] =
    ["Clara", "Hugo", "Doctor", "Mina", "Oscar", "Professor", "Vera", "Farid", "Greta", "Samir"];
const ONSETS: [&str; 30] = [
    "b", "br", "c", "cl", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "pr", "qu",
    "r", "s", "sh", "st", "t", "th", "tr", "v", "w", "wh", "z",
];
const VOWELS: [&str; 11] = ["a", "e", "i", "o", "u", "ai", "ea", "ee", "oo", "ou", "ie"];
const ENDINGS: [&str; 14] =
    ["n", "r", "l", "nd", "rk", "ck", "feather", "field", "stone", "wick", "mann", "sen", "berry", "by"];
const VOICES: [&str; 5] = ["slt", "rms", "awb", "kal16", "kal"];

/// Scenes that the engine keeps.
const MAX_KEPT: usize = 8;

/// A small generator of pseudo-random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[(self.next() % from.len() as u64) as usize]
    }

    /// A word that is in no dictionary.
    fn invented(&mut self) -> String {
        let mut word = String::new();
        for _ in 0..1 + self.next() % 2 {
            word += self.pick(&ONSETS);
            word += self.pick(&VOWELS);
        }
        word + self.pick(&ENDINGS)
    }
}

fn capital(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

/// A question, and whether there is an invented word in it.
struct Question {
    text: String,
    has_name: bool,
}

struct Scene {
    facts: Vec<String>,
    questions: Vec<Question>,
}

impl Scene {
    fn new(random: &mut Random) -> Scene {
        let mut scene = Scene { facts: vec![], questions: vec![] };
        for (fact, questions) in FAMILIES {
            let invented = capital(&random.invented());
            let place = match random.next() % 3 {
                0 => format!("{invented} {}", capital(random.pick(&KINDS))),
                _ => random.pick(&PLACES).to_owned(),
            };
            let name = format!("{} {}", random.pick(&FIRST), capital(&random.invented()));
            let values = [
                ("{e}", place),
                ("{n}", name),
                ("{i}", random.pick(&ITEMS).into()),
                ("{v}", random.pick(&EVENTS).into()),
                ("{b}", random.pick(&BANNED).into()),
                ("{t}", random.pick(&TIMES).into()),
                ("{p}", random.pick(&PRICES).into()),
                ("{f}", random.pick(&FLOORS).into()),
                ("{w}", random.invented()),
                ("{h}", capital(&random.invented())),
            ];
            let fill = |text: &str| {
                values.iter().fold(text.to_owned(), |text, (slot, value)| text.replace(slot, value))
            };
            scene.facts.push(capital(&fill(fact)));
            for _ in 0..2 {
                let question = random.pick(questions);
                let has_name = question.contains("{n}")
                    || question.contains("{h}")
                    || (question.contains("{e}") && values[0].1.starts_with(char::is_uppercase));
                scene.questions.push(Question { text: fill(question).to_lowercase(), has_name });
            }
        }
        scene
    }
}

/// Speech with some silence around it, at 16 kHz.
fn spoken(text: &str, voice: &str, file: &Path) -> Vec<i16> {
    let speech = if voice == BUILT_IN { built_in(text) } else { by_program(text, voice, file) };
    let mut padded = vec![0; 4_800];
    padded.extend(speech);
    padded.extend([0; 4_800]);
    padded
}

const BUILT_IN: &str = "slt";

fn built_in(text: &str) -> Vec<i16> {
    let mut audio = vec![];
    load_tts(&Config::default())
        .and_then(|mut tts| {
            tts.synthesize(text, None, &CancelToken::new(), &mut |event| {
                if let TtsEvent::Audio(samples) = event {
                    audio.extend(samples);
                }
                ControlFlow::Continue(())
            })
        })
        .expect("flite speaks");
    pcm::i16s_from_f32s(&resample::resample(&audio, OUTPUT_RATE_HZ, INPUT_RATE_HZ).expect("rates are known"))
}

fn by_program(text: &str, voice: &str, file: &Path) -> Vec<i16> {
    let status = Command::new("flite")
        .args(["-voice", voice, "-t", text, "-o"])
        .arg(file)
        .status()
        .expect("flite runs");
    assert!(status.success(), "flite could not say {text:?} with the voice {voice}");
    wav::read_i16(file, INPUT_RATE_HZ).expect("flite writes WAV files")
}

/// Mixes `noise` in, so many dB below the speech.
fn add_noise(speech: &mut [i16], noise: &[i16], snr_db: f64, random: &mut Random) {
    let power =
        |pcm: &[i16]| pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / pcm.len().max(1) as f64;
    let gain = (power(speech) / power(noise) / 10f64.powf(snr_db / 10.0)).sqrt();
    let start = random.next() as usize % noise.len();
    for (sample, noise) in speech.iter_mut().zip(noise.iter().cycle().skip(start)) {
        *sample = (f64::from(*sample) + gain * f64::from(*noise)) as i16;
    }
}

/// Of this thread, so that others at work on the machine do not count.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default())
}

/// Resident memory of this process.
fn memory_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kb.unwrap_or(f64::NAN) / 1024.0
}

/// Lower-case words, spelled as the recogniser spells them.
fn words(text: &str) -> Vec<String> {
    let plain = text
        .to_lowercase()
        .replace("wi-fi", "wifi")
        .replace(|c: char| !c.is_alphanumeric() && c != '\'', " ");
    let same = |word: &str| match word {
        "mister" => "mr".to_owned(),
        "doctor" => "dr".to_owned(),
        "okay" => "ok".to_owned(),
        word => word.to_owned(),
    };
    plain.split_whitespace().map(same).collect()
}

#[derive(Default)]
struct Score {
    errors: usize,
    words: usize,
    right: usize,
    sentences: usize,
    named_right: usize,
    named: usize,
    audio: Duration,
    took: Duration,
}

impl Score {
    fn hear(
        &mut self,
        asr: &mut dyn Asr,
        said: &Question,
        pcm: &[i16],
        context: &Arc<SpeechContext>,
        show: bool,
    ) {
        let request = AsrRequest { pcm, language: None, context: Some(context) };
        let began = processor_time();
        let heard = asr.transcribe(&request, &CancelToken::new()).expect("the recogniser works").text;
        self.took += processor_time() - began;
        self.audio += Duration::from_secs_f64(pcm.len() as f64 / f64::from(INPUT_RATE_HZ));
        let (want, got) = (words(&said.text), words(&heard));
        let errors = strsim::generic_levenshtein(&want, &got);
        if show && errors > 0 {
            println!("    {errors} of {}: {:?} was heard as {heard:?}", want.len(), said.text);
        }
        self.errors += errors;
        self.words += want.len();
        self.sentences += 1;
        self.right += usize::from(errors == 0);
        self.named += usize::from(said.has_name);
        self.named_right += usize::from(said.has_name && errors == 0);
    }

    fn print(&self, weight: f32, who: &str) {
        let percent = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
        println!(
            "| {weight} | {who} | {:.1} % of {} | {:.0} % of {} | {:.0} % of {} | {:.2} |",
            percent(self.errors, self.words),
            self.words,
            percent(self.right, self.sentences),
            self.sentences,
            percent(self.named_right, self.named),
            self.named,
            self.took.as_secs_f64() / self.audio.as_secs_f64(),
        );
    }

    fn add(&mut self, other: &Score) {
        self.errors += other.errors;
        self.words += other.words;
        self.right += other.right;
        self.sentences += other.sentences;
        self.named_right += other.named_right;
        self.named += other.named;
        self.audio += other.audio;
        self.took += other.took;
    }
}

fn shared(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")).join(path)
}

fn human_recordings() -> Vec<(Question, Vec<i16>)> {
    let Ok(transcripts) = std::fs::read_to_string(shared("speech/transcripts.json")) else {
        println!("there are no human recordings in {}", shared("speech").display());
        return vec![];
    };
    let transcripts: BTreeMap<String, String> = serde_json::from_str(&transcripts).expect("JSON");
    let read = |(file, text): (String, String)| {
        let pcm = wav::read_i16(&shared("speech").join(file), INPUT_RATE_HZ).expect("a recording");
        (Question { text, has_name: false }, pcm)
    };
    transcripts.into_iter().map(read).collect()
}

/// The value behind `--name`.
fn option<T: std::str::FromStr>(name: &str) -> Option<T> {
    let mut args = std::env::args().skip_while(|arg| arg != name);
    let value = args.nth(1)?;
    Some(value.parse().ok().unwrap_or_else(|| panic!("{name} {value}: that is no value for it")))
}

fn main() {
    let seed: u64 = option("--seed").unwrap_or(2);
    let scenes: usize = option("--scenes").unwrap_or(3);
    let snr_db: Option<f64> = option("--snr-db");
    let show = std::env::args().any(|arg| arg == "--errors");
    let weights: String = option("--weights")
        .unwrap_or_else(|| format!("0,{}", Config::default().asr.pocketsphinx_domain_weight));
    let installed = Command::new("flite").arg("-lv").output().is_ok();
    let wanted: String = option("--voices").unwrap_or(VOICES.join(","));
    let voices: Vec<&str> = wanted
        .split(',')
        .filter(|voice| VOICES.contains(voice) && (installed || *voice == BUILT_IN))
        .collect();

    let mut random = Random(seed);
    let scenes: Vec<Scene> = (0..scenes).map(|_| Scene::new(&mut random)).collect();
    let contexts: Vec<Arc<SpeechContext>> = scenes
        .iter()
        .map(|scene| {
            let mut persona = Config::default().persona;
            persona.facts.clone_from(&scene.facts);
            Arc::new(SpeechContext::of(&persona))
        })
        .collect();
    let file = std::env::temp_dir().join(format!("vivavoce-asr-{}.wav", std::process::id()));
    let noise = snr_db.map(|_| wav::read_i16(&shared("noise/noise1.wav"), INPUT_RATE_HZ).expect("noise"));
    let mut speech: Vec<Vec<Vec<Vec<i16>>>> = vec![];
    for voice in &voices {
        let mut of_scene = |scene: &Scene| -> Vec<Vec<i16>> {
            let mut say = |question: &Question| {
                let mut pcm = spoken(&question.text, voice, &file);
                if let (Some(noise), Some(snr_db)) = (&noise, snr_db) {
                    add_noise(&mut pcm, noise, snr_db, &mut random);
                }
                pcm
            };
            scene.questions.iter().map(&mut say).collect()
        };
        speech.push(scenes.iter().map(&mut of_scene).collect());
    }
    let _ = std::fs::remove_file(&file);
    let humans = human_recordings();

    println!("| weight | voice | word errors | sentences right | of those with invented names | RTF |");
    println!("|---|---|---|---|---|---|");
    for weight in weights.split(',') {
        let weight: f32 = weight.parse().expect("--weights are numbers with commas between them");
        let mut config = Config::default();
        config.asr.pocketsphinx_domain_weight = weight;
        let memory = memory_mb();
        let began = processor_time();
        let mut asr = load_asr(&config).expect("PocketSphinx is installed");
        let load_ms = (processor_time() - began).as_millis();
        let memory = memory_mb() - memory;
        let mut expecting = |context: &Arc<SpeechContext>| {
            let began = processor_time();
            let request = AsrRequest { pcm: &[0; 160], language: None, context: Some(context) };
            asr.transcribe(&request, &CancelToken::new()).expect("silence is heard");
            (processor_time() - began).as_millis()
        };
        let learn_ms: Vec<u128> = contexts.iter().map(&mut expecting).collect();
        let again_ms: Vec<u128> = contexts.iter().take(MAX_KEPT).map(&mut expecting).collect();
        let mut all = Score::default();
        for (voice, speech) in voices.iter().zip(&speech) {
            let mut score = Score::default();
            for ((scene, speech), context) in scenes.iter().zip(speech).zip(&contexts) {
                for (question, pcm) in scene.questions.iter().zip(speech) {
                    score.hear(asr.as_mut(), question, pcm, context, show);
                }
            }
            score.print(weight, voice);
            all.add(&score);
        }
        all.print(weight, "all");
        for (who, context) in [("human, no facts", Arc::default()), ("human", Arc::clone(&contexts[0]))] {
            let mut score = Score::default();
            for (question, pcm) in &humans {
                score.hear(asr.as_mut(), question, pcm, &context, show);
            }
            score.print(weight, who);
        }
        println!(
            "loaded in {load_ms} ms, {memory:.0} MB; the facts of a scene learned in {learn_ms:?}, taken up again in {again_ms:?} ms"
        );
    }
}

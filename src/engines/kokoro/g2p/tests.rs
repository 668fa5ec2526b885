//! The table: several hundred words and sentences with misaki's phonemes (`models/parity/kokoro/g2p.py`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::G2p;
use super::english::English;
use super::espeak::Espeak;
use super::lexicon::{Dialect, Lexicon};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kokoro")
}

fn english(folder: &Path, dialect: Dialect) -> G2p {
    let lexicon = Lexicon::read(folder, dialect).expect("a lexicon");
    let voice = if dialect == Dialect::American { "en-us" } else { "en-gb" };
    G2p::English(English::new(Arc::new(lexicon), dialect, Espeak::start(voice).ok()))
}

fn say(g2p: &mut G2p, text: &str) -> String {
    let spoken = g2p.phonemes(text).expect("English is always pronounced");
    spoken.iter().map(|word| word.phonemes.as_str()).collect::<Vec<_>>().join(" ")
}

/// Agreement with a golden table, in percent.
struct Agreement {
    lines: f64,
    words: f64,
}

/// Prints the lines that differ.
fn agreement(lexicon: &Path, table: &str, dialect: Dialect) -> Agreement {
    let mut g2p = english(lexicon, dialect);
    let table = std::fs::read_to_string(golden().join(table)).expect("the golden table");
    let (mut lines, mut same, mut words, mut wrong) = (0, 0, 0, 0);
    for line in table.lines() {
        let (text, expected) = line.split_once('\t').expect("text, tab, phonemes");
        let (said, expected) = (say(&mut g2p, text), expected.trim());
        lines += 1;
        let (expected_words, said_words): (Vec<_>, Vec<_>) =
            (expected.split(' ').collect(), said.split(' ').collect());
        words += expected_words.len();
        wrong += strsim::generic_levenshtein(&expected_words, &said_words);
        if said == expected {
            same += 1;
        } else {
            eprintln!("{text}\n  misaki {expected}\n  here   {said}");
        }
    }
    eprintln!("{same} of {lines} lines are misaki's; {wrong} of {words} words are not");
    Agreement {
        lines: f64::from(same) * 100.0 / f64::from(lines),
        words: 100.0 - wrong as f64 * 100.0 / words as f64,
    }
}

#[test]
fn american_english_agrees_with_misaki() {
    assert!(agreement(&golden(), "g2p_us.tsv", Dialect::American).lines >= 97.0);
}

#[test]
fn british_english_agrees_with_misaki() {
    assert!(agreement(&golden(), "g2p_gb.tsv", Dialect::British).lines >= 97.0);
}

/// Sentences that were written before they were tried: 97.4 % of their words at first.
#[test]
fn sentences_that_were_not_known_agree_with_misaki() {
    assert!(agreement(&golden(), "unseen_us.tsv", Dialect::American).words >= 97.4);
    assert!(agreement(&golden(), "unseen_gb.tsv", Dialect::British).words >= 97.4);
}

#[test]
fn the_whole_lexicon_says_what_its_excerpt_says() {
    let whole = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/kokoro/g2p"));
    if !Lexicon::present(whole, Dialect::American) {
        eprintln!("skipped: there is no lexicon in {}", whole.display());
        return;
    }
    assert!(agreement(whole, "g2p_us.tsv", Dialect::American).lines >= 97.0);
}

#[test]
fn what_is_written_is_said_as_if_it_were_spelt_out() {
    let mut g2p = english(&golden(), Dialect::American);
    for (written, spelt) in [
        ("at 9:30", "at nine thirty"),
        ("in 5 miles", "in five miles"),
        ("5 min.", "5 minutes."),
        ("$20", "twenty dollars"),
        ("e-mail me @ home", "e-mail me at home"),
        ("1/2", "one half"),
    ] {
        assert_eq!(say(&mut g2p, written), say(&mut g2p, spelt), "{written}");
    }
}

#[test]
fn unknown_words_are_said_without_espeak_too() {
    let lexicon = Arc::new(Lexicon::read(&golden(), Dialect::American).expect("a lexicon"));
    let mut g2p = G2p::English(English::new(lexicon, Dialect::American, None));
    assert_eq!(say(&mut g2p, "the frobnicate"), "ðə fɹˈɑbnɪkAt");
    assert_eq!(say(&mut g2p, "日本"), "");
}

#[test]
fn every_run_of_the_text_keeps_its_bytes_and_its_marks() {
    let mut g2p = english(&golden(), Dialect::American);
    let text = "“Hello,” he said — well-known, isn't it? (Yes…)";
    let spoken = g2p.phonemes(text).expect("English");
    let shown: Vec<(&str, &str)> =
        spoken.iter().map(|word| (&text[word.source.clone()], word.phonemes.as_str())).collect();
    assert_eq!(shown[0], ("“Hello,”", "“həlˈO,”"));
    assert_eq!(shown[3], ("—", "—"));
    assert!(shown[6].1.ends_with('?') && shown[7].1.starts_with('(') && shown[7].1.ends_with("…)"));
}

#[test]
fn a_missing_or_damaged_lexicon_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let error = Lexicon::read(folder.path(), Dialect::British).expect_err("nothing is there");
    assert!(error.to_string().contains("gb_gold.json"), "{error}");
    for wrong in ["{", "[]", r#"{"live": {"VERB": "x"}}"#] {
        std::fs::write(folder.path().join("us_gold.json"), wrong).expect("file is written");
        let error = Lexicon::read(folder.path(), Dialect::American).expect_err("it is no lexicon");
        assert!(error.to_string().contains("us_gold.json"), "{error}");
    }
}

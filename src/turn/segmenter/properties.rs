//! What holds for every reply, however it arrives.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Segment, Segmenter};
use crate::turn::io::SegmentId;

fn drain(segmenter: &mut Segmenter) -> Vec<Segment> {
    std::iter::from_fn(|| segmenter.next_segment()).collect()
}

fn segments(text: &str, first: usize, max: usize) -> Vec<Segment> {
    let mut segmenter = Segmenter::new(first, max);
    segmenter.push(text);
    segmenter.finish();
    drain(&mut segmenter)
}

/// `text` in pieces of the lengths in `sizes`, in characters, round and round.
fn pieces(text: &str, sizes: &[usize]) -> Vec<String> {
    let mut chars = text.chars().peekable();
    let mut pieces = vec![];
    for &size in sizes.iter().cycle() {
        if chars.peek().is_none() {
            break;
        }
        pieces.push(chars.by_ref().take(size).collect());
    }
    pieces
}

/// Text full of everything that the scan has to look ahead for, and arbitrary characters.
fn any_reply() -> impl Strategy<Value = String> {
    let tricky = select(vec![
        "*",
        "**",
        "***",
        "_",
        "__",
        "~~",
        "`",
        "``",
        "```",
        "```rust\n",
        "\n```\n",
        "~~~",
        "\n",
        "\n\n",
        "\r\n",
        " ",
        "  ",
        "# ",
        "## ",
        "#",
        "- ",
        "-",
        "---\n",
        "* ",
        "+ ",
        "1. ",
        "12) ",
        "[ ] ",
        "> ",
        "|",
        " | ",
        "|---|\n",
        "[",
        "]",
        "](",
        ")",
        "(",
        "![",
        "[text](http://a.b/c)",
        "[^1]",
        "<",
        ">",
        "<b>",
        "</b>",
        "<br/>",
        "<!--",
        "-->",
        "<https://a.b>",
        "&",
        "&amp;",
        "&#39;",
        "&;",
        "$",
        "$$",
        "\\",
        "\\(",
        "\\)",
        "\\*",
        "{",
        "}",
        "h",
        "http://",
        "https://www.",
        "www.",
        "ex.org/",
        "?a=b#c",
        ".",
        ",",
        ";",
        ":",
        "!",
        "?",
        "…",
        "...",
        "—",
        "–",
        "\"",
        "'",
        "”",
        "»",
        "。",
        "，",
        "！",
        "」",
        "word",
        "Word",
        "No",
        "Dr",
        "J",
        "3",
        "14",
        "5",
        "é",
        "e\u{301}",
        "你好",
        "👩‍👩‍👧",
        "🎉",
        "1\u{fe0f}\u{20e3}",
        "\u{200d}",
        "\u{200b}",
        "\0",
        "\u{a0}",
        "\u{2028}",
        "औ",
        "ي",
    ])
    .prop_map(str::to_owned);
    vec(prop_oneof![6 => tricky, 2 => "[a-z]{1,9} ", 1 => ".{1,4}"], 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn segments_cover_the_reply_and_fit(
        text in any_reply(), first in 0usize..60, max in 20usize..120,
    ) {
        let mut end = 0;
        for (n, segment) in segments(&text, first, max).into_iter().enumerate() {
            prop_assert_eq!(segment.id, SegmentId(n as u64));
            prop_assert_eq!(segment.source.start, end);
            prop_assert!(segment.source.end > end && text.is_char_boundary(segment.source.end));
            end = segment.source.end;

            prop_assert!(segment.spoken.chars().count() <= max);
            prop_assert!(segment.spoken.is_empty() || segment.spoken.contains(char::is_alphanumeric));
            prop_assert!(!segment.spoken.contains(char::is_control));
            prop_assert!(!segment.spoken.contains(['🎉', '👩', '\u{fe0f}', '\u{20e3}', '`']), "{:?}", segment.spoken);

            let words: Vec<&str> = segment.words.iter().map(|w| &segment.spoken[w.spoken.clone()]).collect();
            let whole: Vec<&str> = segment.spoken.split_whitespace().collect();
            prop_assert_eq!(words.join(" "), segment.spoken.as_str());
            prop_assert_eq!(words, whole);
            let mut said = segment.source.start;
            for word in &segment.words {
                prop_assert!(word.source_end >= said && text.is_char_boundary(word.source_end));
                said = word.source_end;
            }
            prop_assert!(segment.spoken.is_empty() || said == segment.source.end);
        }
        prop_assert_eq!(end, text.len());
    }

    #[test]
    fn the_pieces_change_nothing(
        text in any_reply(), sizes in vec(1usize..9, 1..6), first in 0usize..60, max in 20usize..120,
    ) {
        let mut segmenter = Segmenter::new(first, max);
        for piece in pieces(&text, &sizes) {
            segmenter.push(&piece);
        }
        segmenter.finish();
        prop_assert_eq!(segmenter.text(), text.as_str());
        prop_assert_eq!(drain(&mut segmenter), segments(&text, first, max));
    }

    #[test]
    fn markdown_is_not_heard((markdown, heard) in document(), max in 30usize..200) {
        let spoken: Vec<String> = segments(&markdown, 40, max).into_iter().map(|s| s.spoken).collect();
        let spoken = spoken.join(" ");
        prop_assert_eq!(spoken.split_whitespace().collect::<Vec<_>>(), heard, "{}", markdown);
    }

    #[test]
    fn what_belongs_together_stays_together(
        parts in vec((vec("[a-z]{2,8}", 1..5), atom(), select(vec!["", ",", ".", "!", ";", "?"])), 1..12),
        first in 0usize..60, max in 80usize..200,
    ) {
        let mut text = String::new();
        for (words, atom, stop) in &parts {
            text += &format!("{} {atom}{stop} ", words.join(" "));
        }
        let mut all = segments(&text, first, max).into_iter().map(|s| s.spoken);
        let mut spoken = all.next().unwrap_or_default();
        for (_, atom, _) in &parts {
            loop {
                if let Some(at) = spoken.find(atom.as_str()) {
                    spoken = spoken.split_off(at + atom.len());
                    break;
                }
                spoken = match all.next() {
                    Some(next) => next,
                    None => return Err(TestCaseError::fail(format!("{atom:?} is divided in {text:?}"))),
                };
            }
        }
    }
}

/// Something that must not be divided; what follows it begins with a small letter.
fn atom() -> impl Strategy<Value = String> {
    let name = || "[A-Z][a-z]{2,7}";
    prop_oneof![
        (0u32..9_999, 0u32..999).prop_map(|(whole, part)| format!("{whole}.{part}")),
        (1u32..999, 100u32..999).prop_map(|(a, b)| format!("{a},{b}.5")),
        (1u32..24, 10u32..59).prop_map(|(h, m)| format!("{h}:{m}")),
        (0u32..9, 0u32..9, 0u32..99).prop_map(|(a, b, c)| format!("v{a}.{b}.{c}")),
        (select(vec!["No.", "Fig.", "Vol.", "pp."]), 1u32..99).prop_map(|(a, n)| format!("{a} {n}")),
        (select(vec!["Dr.", "Mr.", "Mrs.", "Prof.", "St."]), name()).prop_map(|(a, n)| format!("{a} {n}")),
        (vec("[A-Z]", 1..4), name()).prop_map(|(i, n)| format!("{}. {n}", i.join(". "))),
        (select(vec!["e.g.", "i.e.", "vs.", "approx."]), "[a-z]{2,7}").prop_map(|(a, w)| format!("{a} {w}")),
        (select(vec!["U.S.", "U.K.", "a.m.", "p.m."]), name()).prop_map(|(a, n)| format!("{a} {n}")),
        "[a-z]{3,8}\\.(rs|py|txt|tar\\.gz)",
        "[a-z]{2,8}\\.[a-z]{2,6}@[a-z]{2,8}\\.org",
        "[a-z]{2,8}\\.(com|org)(/[a-z0-9]{1,6}){0,3}",
        (name(), "[a-z]{2,7}").prop_map(|(a, b)| format!("{a}...{b}")),
    ]
}

type Heard = Vec<String>;

/// A paragraph's text in markdown, and its words as they should be heard.
fn inline() -> impl Strategy<Value = (String, Heard)> {
    let words = || vec("[A-Za-z][a-z]{0,7}", 1..5).prop_map(|words| words.join(" "));
    let plain = |(markdown, text): (String, String)| {
        (markdown, text.split(' ').map(str::to_owned).collect::<Heard>())
    };
    let marked = prop_oneof![
        3 => words().prop_map(|w| (w.clone(), w)),
        1 => words().prop_map(|w| (format!("*{w}*"), w)),
        1 => words().prop_map(|w| (format!("_{w}_"), w)),
        1 => words().prop_map(|w| (format!("**{w}.** **Still {w}**"), format!("{w}. Still {w}"))),
        1 => words().prop_map(|w| (format!("__{w}__"), w)),
        1 => words().prop_map(|w| (format!("***{w}***"), w)),
        1 => words().prop_map(|w| (format!("~~{w}~~"), w)),
        1 => words().prop_map(|w| (format!("`{w}.rs`"), format!("{w}.rs"))),
        1 => words().prop_map(|w| (format!("``a_{w}*``"), format!("a_{w}*"))),
        1 => words().prop_map(|w| (format!("[{w}](https://example.com/{})", w.replace(' ', "_")), w)),
        1 => words().prop_map(|w| (format!("[**{w}**](x.html \"{w}\")"), w)),
        1 => words().prop_map(|w| (format!("![{w}](<a.png>)"), w)),
        1 => words().prop_map(|w| (format!("<b class=\"{w}\">{w}</b>"), w)),
        1 => words().prop_map(|w| (format!("{w} &amp; {w}"), format!("{w} & {w}"))),
        1 => words().prop_map(|w| (format!("🎉 {w} 👍🏽"), w)),
        1 => "[a-z]{3,8}".prop_map(|w| (format!("https://{w}.org/"), format!("{w}.org"))),
        1 => words().prop_map(|w| (format!("<!-- {w} -->{w}[^1]"), w)),
    ]
    .prop_map(plain);
    vec(marked, 1..5).prop_map(|parts| {
        let (markdown, heard): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        (markdown.join(" "), heard.concat())
    })
}

fn document() -> impl Strategy<Value = (String, Heard)> {
    let note = || super::super::speakable::CODE_BLOCK_NOTE.split(' ').map(str::to_owned).collect::<Heard>();
    let block = prop_oneof![
        3 => inline().prop_map(|(m, h)| (format!("{m}\n\n"), h)),
        1 => (1usize..7, inline()).prop_map(|(n, (m, h))| (format!("{} {m}\n", "#".repeat(n)), h)),
        1 => inline().prop_map(|(m, h)| (format!("## {m} ##\n"), h)),
        1 => (select(vec!["-", "*", "+", "•", "- [ ]", "* [x]", ">", "> -", "  -"]), inline())
            .prop_map(|(bullet, (m, h))| (format!("{bullet} {m}\n"), h)),
        1 => (1u32..30, select(vec![".", ")"]), inline()).prop_map(|(n, stop, (m, h))| {
            (format!("{n}{stop} {m}\n"), [vec![format!("{n}.")], h].concat())
        }),
        1 => select(vec!["---\n", "***\n", "* * *\n", "___\n", "===\n"]).prop_map(|rule| (rule.to_owned(), vec![])),
        1 => "[a-z]{1,5}".prop_map(move |w| {
            (format!("```{w}\nlet {w} = `1`; // **no**\n\n# no\n```\n"), note())
        }),
        1 => vec("[a-z]{1,8}", 2..5).prop_map(|cells| {
            let row = format!("| {} |\n|{}\n", cells.join(" | "), " --- |".repeat(cells.len()));
            (row, cells.join(", ").split(' ').map(str::to_owned).collect())
        }),
    ];
    vec(block, 1..6).prop_map(|blocks| {
        let (markdown, heard): (Vec<_>, Vec<_>) = blocks.into_iter().unzip();
        (markdown.concat(), heard.concat())
    })
}

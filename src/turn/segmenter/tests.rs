//! How a reply is divided and said, by example. Each line of an expectation is one segment.

use expect_test::{Expect, expect};

use super::{Segment, Segmenter};
use crate::turn::io::SegmentId;

fn segments(text: &str) -> Vec<Segment> {
    let mut segmenter = Segmenter::new(40, 200);
    segmenter.push(text);
    segmenter.finish();
    std::iter::from_fn(|| segmenter.next_segment()).collect()
}

/// What is said.
#[track_caller]
fn check(text: &str, expected: Expect) {
    expected.assert_eq(&segments(text).into_iter().map(|s| s.spoken).collect::<Vec<_>>().join("\n"));
}

/// What is said after the first segment, where a clause's end divides nothing.
#[track_caller]
fn check_later(text: &str, expected: Expect) {
    let segments = segments(&format!("Here it is. {text}"));
    expected.assert_eq(&segments.into_iter().skip(1).map(|s| s.spoken).collect::<Vec<_>>().join("\n"));
}

/// Which part of the reply each word stands for: `[…]` is a segment, `|` is where a word's part ends.
#[track_caller]
fn check_sources(text: &str, expected: Expect) {
    let lines: Vec<String> = segments(text)
        .into_iter()
        .map(|segment| {
            let mut start = segment.source.start;
            let parts = segment.words.iter().map(|word| {
                let part = format!("{:?}", &text[start..word.source_end]);
                start = word.source_end;
                format!("{}={part}", &segment.spoken[word.spoken.clone()])
            });
            format!("[{}]", parts.collect::<Vec<_>>().join(" "))
        })
        .collect();
    expected.assert_eq(&lines.join("\n"));
}

/// What becomes ready with each of the pieces (between `|`), and at the end.
#[track_caller]
fn check_stream(pieces: &str, expected: Expect) {
    let mut segmenter = Segmenter::new(40, 200);
    let mut lines = vec![];
    for piece in pieces.split('|').map(Some).chain([None]) {
        match piece {
            Some(piece) => segmenter.push(piece),
            None => segmenter.finish(),
        }
        let name = piece.map_or("end".to_owned(), |piece| format!("{piece:?}"));
        while let Some(segment) = segmenter.next_segment() {
            lines.push(format!("{name} → {}", segment.spoken));
        }
    }
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn speech_starts_with_the_first_sentence_or_clause() {
    check_stream(
        "Yes|.| It| is| late|.| Good| night|.",
        expect![[r#"
        " It" → Yes.
        " Good" → It is late.
        end → Good night."#]],
    );
    check_stream(
        "I| think| so|,| but| I| am| not| sure|.",
        expect![[r#"
        " but" → I think so,
        end → but I am not sure."#]],
    );
    check_stream(
        "One line|\n|and the| next",
        expect![[r#"
        "\n" → One line
        end → and the next"#]],
    );
    check_stream(
        "So is it|?|\"| Yes.",
        expect![[r#"
        " Yes." → So is it?"
        end → Yes."#]],
    );
}

#[test]
fn a_clause_ends_the_first_segment_only() {
    check(
        "I think so, but I am not sure. If it rains, then we stay, and that is that.",
        expect![[r#"
        I think so,
        but I am not sure.
        If it rains, then we stay, and that is that."#]],
    );
    check(
        "Three things: a, b; and c – or d — or e.",
        expect![[r#"
        Three things:
        a, b; and c – or d — or e."#]],
    );
    check(
        "It is—word for word—so.",
        expect![[r#"
        It is—word for word—
        so."#]],
    );
    check(
        "What I know… or think I know… is this.",
        expect![[r#"
        What I know…
        or think I know… is this."#]],
    );
}

#[test]
fn a_short_clause_ends_it_only_if_there_is_no_other_end_in_time() {
    check(
        "Well, that is so. Yes.",
        expect![[r#"
        Well, that is so.
        Yes."#]],
    );
    check(
        "Apples, pears, plums and more.",
        expect![[r#"
        Apples, pears,
        plums and more."#]],
    );
    check(
        "Well, I would say that it depends a lot on the weather of the day.",
        expect![[r#"
        Well,
        I would say that it depends a lot on the weather of the day."#]],
    );
    check(
        "There is no place at all where this sentence could be divided well. None.",
        expect![[r#"
        There is no place at all where this sentence could be divided well.
        None."#]],
    );
}

#[test]
fn sentences() {
    check_later(
        "One. Two! Three? Four… Five?! Six!!! Seven",
        expect![[r#"
        One.
        Two!
        Three?
        Four…
        Five?!
        Six!!!
        Seven"#]],
    );
    check_later(
        "He said \"I know.\" She (his wife.) did too.\" 'Why?' Because.",
        expect![[r#"
        He said "I know."
        She (his wife.) did too."
        'Why?'
        Because."#]],
    );
    check_later(
        "\"Really?\" he asked. \"Yes!\" she said. Oh... well. Hm... No.",
        expect![[r#"
        "Really?" he asked.
        "Yes!" she said.
        Oh... well.
        Hm...
        No."#]],
    );
    check_later(
        "all in small letters. it goes on. Then not.",
        expect![[r#"
        all in small letters. it goes on.
        Then not."#]],
    );
    check_later(
        "« Oui ! » Bonjour ! Ça va ? Oui.",
        expect![[r#"
        « Oui ! » Bonjour !
        Ça va ?
        Oui."#]],
    );
    check_later(
        "你好。我是机器人，很高兴认识你！「好。」再见",
        expect![[r#"
        你好。
        我是机器人，很高兴认识你！
        「好。」
        再见"#]],
    );
    check_later(
        "नमस्ते। आप कैसे हैं? هل أنت بخير؟ نعم.",
        expect![[r#"
        नमस्ते।
        आप कैसे हैं?
        هل أنت بخير؟
        نعم."#]],
    );
    check_later(
        "What is 6 by 7? 42. That is it.",
        expect![[r#"
        What is 6 by 7?
        42. That is it."#]],
    );
}

#[test]
fn numbers_are_not_divided() {
    check_later(
        "It is 3.14, or 1,000, or 1.000,5 at 10:30 on 5.6.2024. Next.",
        expect![[r#"
        It is 3.14, or 1,000, or 1.000,5 at 10:30 on 5.6.2024.
        Next."#]],
    );
    check(
        "In March 5, 2024, we met.",
        expect![[r#"
        In March 5, 2024,
        we met."#]],
    );
    check(
        "Between 5 – 6 people came, I think.",
        expect![[r#"
            Between 5 – 6 people came,
            I think."#]],
    );
    check_later(
        "Version v1.2.3 is out. 2.0 is next. Room No. 5 is free. No. It is not.",
        expect![[r#"
        Version v1.2.3 is out.
        2.0 is next.
        Room No. 5 is free.
        No.
        It is not."#]],
    );
    check_later(
        "See Fig. 3 and pp. 4. Jan. 5 is fine. He sat. Then he rose.",
        expect![[r#"
        See Fig. 3 and pp. 4.
        Jan. 5 is fine.
        He sat.
        Then he rose."#]],
    );
}

#[test]
fn abbreviations_are_not_divided() {
    check_later(
        "Dr. Smith and Mr. Jones live on St. John Ave. Today too.",
        expect!["Dr. Smith and Mr. Jones live on St. John Ave. Today too."],
    );
    check_later(
        "J. R. R. Tolkien, e.g. his books, i.e. all. The U.S. Army came at 5 p.m. Monday.",
        expect![[r#"
        J. R. R. Tolkien, e.g. his books, i.e. all.
        The U.S. Army came at 5 p.m. Monday."#]],
    );
    check_later(
        "Cats, dogs, etc. are pets. Cats, dogs, etc. They are pets.",
        expect![[r#"
        Cats, dogs, etc. are pets.
        Cats, dogs, etc.
        They are pets."#]],
    );
    check_later(
        "A Ph.D. Student vs. Prof. Li. Done.",
        expect![[r#"
        A Ph.D. Student vs. Prof. Li.
        Done."#]],
    );
}

#[test]
fn names_with_dots_are_not_divided() {
    check_later(
        "Open main.rs. Ask me@example.org. Go to example.com/a.b/c. Done.",
        expect![[r#"
        Open main.rs.
        Ask me@example.org.
        Go to example.com/a.b/c.
        Done."#]],
    );
    check_later("Is it `x?` Now `a. B` it is.", expect!["Is it x? Now a. B it is."]);
}

#[test]
fn lines_end_segments() {
    check(
        "One\nTwo\n\n\nThree\r\nFour<br>Five",
        expect![[r#"
        One
        Two
        Three
        Four
        Five"#]],
    );
    check(
        "# Title\nText\n## Sub ##\n- one\n* two\n+ three\n• four\n1. five\n2) six\n10. [x] no",
        expect![[r#"
        Title
        Text
        Sub
        one
        two
        three
        four
        1. five
        2. six
        10. [x] no"#]],
    );
    check(
        "- [ ] open\n- [x] done\n  - nested\n> quoted\n> > twice\n> - item",
        expect![[r#"
        open
        done
        nested
        quoted
        twice
        item"#]],
    );
    check(
        "Above\n\n---\n\n* * *\n___\nUnder\n=====\n-5 degrees\n#1 of 3",
        expect![[r#"
        Above
        Under
        -5 degrees
        #1 of 3"#]],
    );
    check(
        "| Name | Age |\n|:---|---:|\n| Bob Ray | 5 |\n| | - |\n| Al! | 6 |",
        expect![[r#"
        Name, Age
        Bob Ray, 5
        Al!
        6"#]],
    );
    check(
        "a | b\n--- | ---\nc | d || e",
        expect![[r#"
        a, b
        c, d || e"#]],
    );
}

#[test]
fn marks_are_not_said() {
    check_later(
        "**Bold.** *It* __bold__ _it_ ***both*** ~~gone~~ `code` ``a ` b``",
        expect![[r#"
        Bold.
        It bold it both gone code a b"#]],
    );
    check_later(
        "**Bold. Still bold** and *on. Still on* and off.",
        expect![[r#"
        Bold.
        Still bold and on.
        Still on and off."#]],
    );
    check_later("这是**粗体**文字 and **semi**bold.", expect!["这是粗体文字 and semibold."]);
    check_later(
        "2 * 3 * 4 is 2*3*4, x**2, (a)*(b), snake_case, __init__, a*, ~5 and *.",
        expect!["2 * 3 * 4 is 2*3*4, x**2, (a)*(b), snake_case, init, a, ~5 and ."],
    );
    check_later(
        "\\*not italic\\* and \\_so\\_ and C:\\dir and \\# 5.",
        expect![[r#"*not italic* and _so_ and C:\dir and # 5."#]],
    );
    check_later(
        "[Text](https://a.b/c_(d) \"title\") ![alt](i.png) [![in](a)](b) [**b**](c) [no] a[0] d[^1].",
        expect!["Text alt in b [no] a[0] d."],
    );
    check_later(
        "<p>Hi</p><b class=\"x\">there</b> Vec<String> a < b > c <3 <!-- no --> &amp; &lt;b&gt; &#39;&#x41;&nbsp;&foo;",
        expect![[r#"
        Hi
        there Vec<String> a < b > c <3 & <b> 'A &foo;"#]],
    );
    check_later(
        "$e^{i\\pi}$ and \\(x\\) and $$y$$ cost $5 or US$6.\n\\[ \\frac{a}{b} \\]",
        expect![[r#"
        e^ i pi and x and y cost $5 or US$6.
        frac a b"#]],
    );
}

#[test]
fn code_blocks_are_not_said() {
    check(
        "Here:\n```rust\nfn main() { a. B }\n\n# no\n```\nDone.",
        expect![[r#"
        Here:
        Code block omitted.
        Done."#]],
    );
    check(
        "Here:\n~~~\n```\n~~~\nDone.\n- item\n  ```\n  x\n  ```\n",
        expect![[r#"
            Here:
            Code block omitted.
            Done.
            item
            Code block omitted."#]],
    );
    check(
        "Here:\n```python\nprint(",
        expect![[r#"
        Here:
        Code block omitted."#]],
    );
    check("```inline``` code.", expect!["inline code."]);
    check_stream(
        "Here:\n|```|py|\nx = 1.\n|Y|\n``|`|\n|So.",
        expect![[r#"
        "Here:\n" → Here:
        "\n" → Code block omitted.
        end → So."#]],
    );
}

#[test]
fn urls_are_said_without_their_scheme() {
    check_later(
        "See https://www.example.com/a/b/?q=1#f, (http://x.org/a_(b)) or <https://y.org/>.",
        expect!["See example.com/a/b, (x.org/a_(b)) or y.org."],
    );
    check_later(
        "WWW.Example.com. **https://z.org/k** [https://w.org](https://w.org) www http: h",
        expect!["Example.com. z.org/k w.org www http: h"],
    );
}

#[test]
fn pictographs_and_controls_are_not_said() {
    check_later(
        "Great! 🎉 Next 👩‍👩‍👧. Hello👋world👋! 1️⃣ # 2 ✓ © ★ 🇩🇪\u{7}\u{200b}!",
        expect![[r#"
        Great!
        Next.
        Hello world!
        1 # 2 ©!"#]],
    );
    check_later("می‌خواهم की क्‍ष", expect!["می‌خواهم की क्‍ष"]);
}

#[test]
fn nothing_to_say() {
    check_sources("", expect![]);
    check_sources("🎉 ---", expect!["[]"]);
    check_sources(
        "Hi.\n🎉",
        expect![[r#"
        [Hi.="Hi.\n"]
        []"#]],
    );
    check_sources("...\n- \nHi.", expect![[r#"[Hi.="...\n- \nHi."]"#]]);
}

#[test]
fn words_cover_the_reply() {
    check_sources(
        "**Bold one.** *Two* [three](x) `4`!  \n\n- five",
        expect![[r#"
        [Bold="**Bold" one.=" one.** "]
        [Two="*Two*" three=" [three](x)" 4!=" `4`!  \n"]
        [five="\n- five"]"#]],
    );
    check_sources(
        "See https://a.org/, &amp; a👋b.\n```\nx\n```\nEnd.",
        expect![[r#"
            [See="See" a.org,=" https://a.org/, "]
            [&="&amp;" a=" a" b.="👋b.\n"]
            [Code="" block="" omitted.="```\nx\n```\n"]
            [End.="End."]"#]],
    );
}

#[test]
fn long_sentences_are_divided_at_the_best_place() {
    let long = |unit: &str| format!("Start. {}", unit.repeat(60));
    let lengths = |text: &str| {
        let lengths = segments(text)
            .into_iter()
            .map(|s| format!("{} {:?}", s.spoken.chars().count(), s.spoken.chars().last()));
        lengths.collect::<Vec<_>>().join("\n")
    };
    // The last clause's end, the last blank, the last character that fit.
    expect![[r#"
        23 Some(',')
        186 Some(',')
        186 Some(',')
        186 Some(',')
        186 Some(',')
        186 Some(',')
        67 Some(',')"#]]
    .assert_eq(&lengths(&long("some more words, ")));
    expect![[r#"
        6 Some('.')
        197 Some('s')
        161 Some('s')"#]]
    .assert_eq(&lengths(&long("words ")));
    expect![[r#"
        6 Some('.')
        200 Some('o')
        200 Some('s')
        140 Some('s')"#]]
    .assert_eq(&lengths(&long("monstrous")));
    expect![[r#"
        6 Some('.')
        120 Some('\u{301}')"#]]
    .assert_eq(&lengths(&long("e\u{301}")));
    // Only the last place would part an abbreviation from its name.
    expect![[r#"
        6 Some('.')
        185 Some('a')
        21 Some('.')"#]]
    .assert_eq(&lengths(&format!("Start. {} Dr. Smithsonian came.", "a".repeat(185))));
}

#[test]
fn a_reply_can_be_opened_again() {
    let mut segmenter = Segmenter::new(40, 200);
    segmenter.push("It is **very");
    segmenter.finish();
    segmenter.finish();
    segmenter.push("Sorry, something went wrong. *Please* try again.");
    segmenter.finish();
    let segments: Vec<Segment> = std::iter::from_fn(|| segmenter.next_segment()).collect();
    let spoken: Vec<&str> = segments.iter().map(|s| s.spoken.as_str()).collect();
    assert_eq!(spoken, ["It is very", "Sorry, something went wrong.", "Please try again."]);
    assert_eq!(segments.iter().map(|s| s.id).collect::<Vec<_>>(), [SegmentId(0), SegmentId(1), SegmentId(2)]);
    assert_eq!(segments[1].source.start, segments[0].source.end);
    assert_eq!(segments[2].source.end, segmenter.text().len());
}

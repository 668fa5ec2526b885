//! Segments as captions: SubRip and WebVTT.

use std::fmt::Write as _;

use super::segments::Segment;

/// SubRip: numbered, a comma before the milliseconds.
pub fn srt(segments: &[Segment]) -> String {
    let mut out = String::new();
    for (index, segment) in segments.iter().enumerate() {
        let (start, end) = (time(segment.start_s, ','), time(segment.end_s, ','));
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}\n{start} --> {end}\n{}\n", index + 1, one_paragraph(&segment.text));
    }
    out
}

/// WebVTT: a head, a point before the milliseconds.
pub fn vtt(segments: &[Segment]) -> String {
    let mut out = "WEBVTT\n\n".to_owned();
    for segment in segments {
        let (start, end) = (time(segment.start_s, '.'), time(segment.end_s, '.'));
        // A text is no markup, and an arrow in it no time.
        let text =
            one_paragraph(&segment.text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(out, "{start} --> {end}\n{text}\n");
    }
    out
}

/// An empty line would end the caption.
fn one_paragraph(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `01:02:03,004`
fn time(seconds: f64, mark: char) -> String {
    let ms = (seconds * 1_000.0).round() as u64;
    let (h, m, s, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    format!("{h:02}:{m:02}:{s:02}{mark}{ms:03}")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn segments() -> Vec<Segment> {
        let segment =
            |start_s, end_s, text: &str| Segment { start_s, end_s, text: text.into(), language: None };
        vec![
            segment(0.0, 1.2345, "Hello there."),
            segment(3_599.999_6, 3_725.004, "Five < six --> \n\n seven & eight."),
        ]
    }

    #[test]
    fn subrip_has_numbers_and_commas() {
        expect![[r#"
            1
            00:00:00,000 --> 00:00:01,235
            Hello there.

            2
            01:00:00,000 --> 01:02:05,004
            Five < six --> seven & eight.

        "#]]
        .assert_eq(&srt(&segments()));
        assert_eq!(srt(&[]), "");
    }

    #[test]
    fn webvtt_has_a_head_and_no_markup() {
        expect![[r#"
            WEBVTT

            00:00:00.000 --> 00:00:01.235
            Hello there.

            01:00:00.000 --> 01:02:05.004
            Five &lt; six --&gt; seven &amp; eight.

        "#]]
        .assert_eq(&vtt(&segments()));
        assert_eq!(vtt(&[]), "WEBVTT\n\n");
    }
}

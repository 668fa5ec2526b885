//! Takes `<think>…</think>` out of a streamed reply, wherever the stream is cut: what a model thinks
//! is never spoken. Who wants to show it asks for it ([`ThinkStripper::take_thought`]).
//!
//! A reply that begins inside a block without `<think>` (some chat templates write that tag into the
//! prompt) cannot be told from speech until `</think>` comes. Who made the prompt knows
//! ([`ThinkStripper::inside_thought`]); models behind a server need its reasoning parser. The stray
//! closing tag is dropped all the same.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// One reply being read.
#[derive(Debug, Default)]
pub struct ThinkStripper {
    inside: bool,
    /// End of the text so far that may be the beginning of a tag.
    held: String,
    /// The last character given out; white space at a reply's start or behind a block that followed
    /// white space is dropped.
    last: Option<char>,
    behind_block: bool,
    /// What was thought and has not been taken.
    thought: String,
}

impl ThinkStripper {
    /// For a reply whose prompt ends in `<think>`.
    pub fn inside_thought() -> ThinkStripper {
        ThinkStripper { inside: true, ..ThinkStripper::default() }
    }

    /// Whether the text so far ends inside a block (a tag that may have begun does not count).
    pub fn is_inside(&self) -> bool {
        self.inside
    }

    /// Something that is not spoken has been taken out at this point by somebody else: white space
    /// behind it is treated as behind a thought.
    pub fn skip_block(&mut self) {
        self.behind_block = true;
    }

    /// Takes the next piece of the reply; returns what of it can be spoken (often nothing).
    pub fn push(&mut self, piece: &str) -> String {
        let text = std::mem::take(&mut self.held) + piece;
        let mut rest = &text[..];
        let mut spoken = String::new();
        while let Some((start, tag)) = self.next_tag(rest) {
            self.sort(&rest[..start], &mut spoken);
            self.inside = tag == OPEN;
            self.behind_block = true;
            rest = &rest[start + tag.len()..];
        }
        let (done, held) = rest.split_at(rest.len() - self.tag_beginning(rest));
        self.sort(done, &mut spoken);
        self.held = held.to_owned();
        spoken
    }

    /// The reply has ended; returns what was held back and turned out to be no tag.
    pub fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        let mut spoken = String::new();
        self.sort(&held, &mut spoken);
        spoken
    }

    /// What was thought since this was last called.
    pub fn take_thought(&mut self) -> String {
        std::mem::take(&mut self.thought)
    }

    /// The next tag that means something here, and where it starts.
    fn next_tag(&self, text: &str) -> Option<(usize, &'static str)> {
        let close = text.find(CLOSE).map(|start| (start, CLOSE));
        if self.inside {
            return close;
        }
        let open = text.find(OPEN).map(|start| (start, OPEN));
        [open, close].into_iter().flatten().min()
    }

    /// Bytes at the end of `text` that begin a tag.
    fn tag_beginning(&self, text: &str) -> usize {
        let tags: &[&str] = if self.inside { &[CLOSE] } else { &[OPEN, CLOSE] };
        let begins = |tag: &str| (1..tag.len()).rev().find(|&bytes| text.ends_with(&tag[..bytes]));
        tags.iter().filter_map(|tag| begins(tag)).max().unwrap_or(0)
    }

    fn sort(&mut self, text: &str, spoken: &mut String) {
        if self.inside { self.thought.push_str(text) } else { self.speak(text, spoken) }
    }

    fn speak(&mut self, text: &str, spoken: &mut String) {
        let drop_space = match self.last {
            None => true,
            Some(last) => self.behind_block && last.is_whitespace(),
        };
        let text = if drop_space { text.trim_start() } else { text };
        if let Some(last) = text.chars().next_back() {
            (self.last, self.behind_block) = (Some(last), false);
            spoken.push_str(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strip<'a>(pieces: impl IntoIterator<Item = &'a str>) -> String {
        let mut stripper = ThinkStripper::default();
        let mut spoken: String = pieces.into_iter().map(|piece| stripper.push(piece)).collect();
        spoken += &stripper.finish();
        spoken
    }

    #[track_caller]
    fn check(reply: &str, spoken: &str) {
        assert_eq!(strip([reply]), spoken, "in one piece: {reply:?}");
        let mut bytes = [0; 4];
        let mut stripper = ThinkStripper::default();
        let mut piecewise = String::new();
        for character in reply.chars() {
            piecewise += &stripper.push(character.encode_utf8(&mut bytes));
        }
        piecewise += &stripper.finish();
        assert_eq!(piecewise, spoken, "character by character: {reply:?}");
    }

    #[test]
    fn thoughts_are_not_spoken() {
        check("<think>\nthe user said hi\n</think>\n\nHello there.", "Hello there.");
        check("<think>\n\n</think>\n\nHello.", "Hello.");
        check("One. <think>two</think> Three.", "One. Three.");
        check("One.<think>two</think> Three.", "One. Three.");
        check("<think>a</think><think>b</think> C", "C");
    }

    #[test]
    fn what_was_thought_can_be_had_as_it_comes() {
        let mut stripper = ThinkStripper::default();
        let mut thoughts = vec![];
        for piece in ["<thi", "nk>\nhm, ", "the </", "b> user</th", "ink>Hello.", "<think>so</thin"] {
            stripper.push(piece);
            thoughts.push(stripper.take_thought());
        }
        stripper.finish();
        thoughts.push(stripper.take_thought());
        assert_eq!(thoughts, ["", "\nhm, ", "the ", "</b> user", "", "so", "</thin"]);
    }

    #[test]
    fn an_unclosed_thought_is_silent_to_its_end() {
        check("Yes. <think>but", "Yes. ");
        check("<think>but </thin", "");
    }

    #[test]
    fn what_only_looks_like_a_tag_is_spoken() {
        check("a < b", "a < b");
        check("<thin", "<thin");
        check("<<think>x</think>y", "<y");
        check("<thinking>", "<thinking>");
        check("<b>bold</b>", "<b>bold</b>");
    }

    #[test]
    fn a_stray_closing_tag_is_dropped() {
        check("thought</think>Hello.", "thoughtHello.");
    }

    #[test]
    fn tags_inside_a_thought_are_thoughts() {
        check("<think>a <think> b</think>c", "c");
    }

    #[test]
    fn text_is_given_out_as_soon_as_it_cannot_be_a_tag() {
        let mut stripper = ThinkStripper::default();
        assert_eq!(stripper.push("Hello <th"), "Hello ");
        assert_eq!(stripper.push("e"), "<the");
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_words(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("<think>"), Just("</think>"), Just("<th"), Just("<"), Just("ink>"), Just("/"),
                    Just(" "), Just("\n"), Just("word"), Just("é"),
                ],
                0..20,
            ),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
        ) {
            let reply = parts.concat();
            let bounds: Vec<usize> =
                reply.char_indices().map(|(at, _)| at).chain([reply.len()]).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| bounds[cut.index(bounds.len())]).collect();
            cuts.sort_unstable();
            let mut pieces = vec![];
            let mut start = 0;
            for cut in cuts.into_iter().chain([reply.len()]) {
                pieces.push(&reply[start..cut]);
                start = cut;
            }
            prop_assert_eq!(strip(pieces), strip([&reply[..]]));
        }
    }
}

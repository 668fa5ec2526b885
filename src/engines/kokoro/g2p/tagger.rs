//! Parts of speech, as far as pronunciation asks for them: to *record* a *record*.
//!
//! Words of closed classes are known by name, others by their ending and their neighbours. Where the
//! lexicon has a word in several parts of speech (some 700: use, close, live, read, object, …), the words
//! around it decide between noun, verb and adjective. No statistics, no model; the rules are in the
//! order in which they are asked.
//!
//! Deliberately absent: any part of speech that no pronunciation depends on.

/// A part of speech, with the name of the Penn treebank's tag that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// a, the, every, *that* book.
    Determiner,
    /// I, they, it.
    Pronoun,
    /// my, their.
    Possessive,
    /// of, in, because.
    Preposition,
    /// The word to.
    To,
    /// can, will.
    Modal,
    /// The bare form, and forms of the present tense.
    Verb,
    /// Present tense of I, you, we, they.
    Present,
    /// went, used.
    Past,
    /// has *read*.
    Participle,
    /// A common noun.
    Noun,
    /// A name.
    ProperNoun,
    /// An adjective.
    Adjective,
    /// An adverb.
    Adverb,
    /// A number.
    Number,
    /// and, or, but.
    Conjunction,
    /// who, which, when.
    Question,
    /// Punctuation and signs.
    Sign,
}

impl Tag {
    /// In the lexicon.
    pub fn penn(self) -> &'static str {
        match self {
            Tag::Determiner => "DT",
            Tag::Pronoun => "PRP",
            Tag::Possessive => "PRP$",
            Tag::Preposition => "IN",
            Tag::To => "TO",
            Tag::Modal => "MD",
            Tag::Verb => "VB",
            Tag::Present => "VBP",
            Tag::Past => "VBD",
            Tag::Participle => "VBN",
            Tag::Noun => "NN",
            Tag::ProperNoun => "NNP",
            Tag::Adjective => "JJ",
            Tag::Adverb => "RB",
            Tag::Number => "CD",
            Tag::Conjunction => "CC",
            Tag::Question => "WP",
            Tag::Sign => "SYM",
        }
    }

    /// The class of words that the lexicon falls back on.
    pub fn class(self) -> &'static str {
        match self {
            Tag::Verb | Tag::Present | Tag::Past | Tag::Participle => "VERB",
            Tag::Noun | Tag::ProperNoun => "NOUN",
            Tag::Adjective => "ADJ",
            Tag::Adverb => "ADV",
            other => other.penn(),
        }
    }

    /// A noun or a name.
    pub fn is_noun(self) -> bool {
        matches!(self, Tag::Noun | Tag::ProperNoun)
    }

    fn is_verb(self) -> bool {
        self.class() == "VERB"
    }
}

const DETERMINERS: &str =
    " a an the this these those every each some any no another either neither all both half such ";
const PRONOUNS: &str = " i you he she it we they me him us them myself yourself himself herself itself ourselves \
    themselves everyone everybody someone somebody anyone anybody nobody everything something anything nothing \
    i'm i've i'd i'll you're you've you'd you'll he's he'd he'll she's she'd she'll it's it'd it'll we're we've \
    we'd we'll they're they've they'd they'll ";
/// Those of them that stand for one person or thing.
const ANYBODY: &str = " everyone everybody someone somebody anyone anybody nobody everything something anything \
    nothing ";
const POSSESSIVES: &str = " my your his her its our their whose ";
const PREPOSITIONS: &str = " of in for on with at by from about as into like through after over between out \
    against during without before under around among near since until upon within behind across above below \
    toward towards onto off beside besides despite along inside because although though if while unless whether \
    than per via beyond except ";
const MODALS: &str = " can could will would shall should may might must can't cannot couldn't won't wouldn't \
    shouldn't mustn't mightn't ";
const DO: &str = " do does did don't doesn't didn't ";
const BE: &str = " be am is are was were been being i'm you're he's she's it's we're they're isn't aren't wasn't \
    weren't that's there's what's who's ";
const HAVE: &str = " have has had having i've you've we've they've haven't hasn't hadn't ";
const CONJUNCTIONS: &str = " and or but nor yet ";
const QUESTIONS: &str = " who whom what which when where why how ";
const ADVERBS: &str = " not n't never always often sometimes usually also just only even still already very too \
    quite rather really so more most less least almost again now then here there soon today tonight tomorrow \
    yesterday once twice ever perhaps maybe well please ";
/// Adverbs that make an adjective of the next word.
const DEGREES: &str = " very too quite rather really so more most less least extremely fairly pretty as how ";
/// Commoner verbs; they show that a noun stands before or behind.
const VERBS: &str = " go goes went gone get gets got make makes made take takes took taken see sees saw seen come \
    comes came know knows knew known think thinks thought say says said tell tells told give gives gave given find \
    finds found want wants wanted need needs needed keep keeps kept let lets put puts seem seems seemed become \
    becomes became show shows showed begin begins began try tries tried ask asks asked help helps helped turn turns \
    start starts stop stops like likes love loves hope hopes believe believes plan plans ";
/// Words that are adjectives where they stand before a noun or behind a form of "be".
const ADJECTIVES: &str = " close live present perfect separate content invalid moderate deliberate \
    elaborate intimate alternate appropriate approximate animate articulate legitimate compact absent abstract \
    frequent covert diffuse desolate subordinate converse overall underground upset duplicate degenerate \
    crooked dogged jagged ragged learned overweight ultralight nearby adult arithmetic incarnate graduate \
    associate isolate initiate coordinate designate bass cleanly ";
/// Plurals without an s.
const PLURALS: &str = " people police children men women staff folks ";
/// Verbs behind which "that" begins a clause.
const CLAUSAL: &str = " say says said think thinks thought know knows knew known hope hopes believe believes tell \
    tells told see sees saw find finds found show shows showed mean means meant is are was were hear heard feel \
    felt read fear feared agree agreed suggest suggested suspect recall estimate decided noticed learned ";
/// Who read or wound something.
const PAST_READERS: &str = " i you he she it we they who ";
const NUMBERS: &str = " zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen \
    fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred \
    thousand million billion trillion ";

fn among(list: &str, word: &str) -> bool {
    !word.is_empty() && list.split_ascii_whitespace().any(|known| known == word)
}

/// Tags the words (and signs) of a text. `is_homograph`: whether the lexicon has it in several parts of
/// speech.
pub fn tag(words: &[&str], is_homograph: impl Fn(&str) -> bool) -> Vec<Tag> {
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase().replace('’', "'")).collect();
    let mut tags: Vec<Tag> = Vec::with_capacity(words.len());
    for at in 0..words.len() {
        let place = Place { words, lower: &lower, tags: &tags, at };
        let tag = if place.is_homograph_there(&is_homograph) { place.homograph() } else { place.plain() };
        tags.push(tag);
    }
    tags
}

/// A word among its neighbours; those before it are tagged.
struct Place<'t> {
    words: &'t [&'t str],
    lower: &'t [String],
    tags: &'t [Tag],
    at: usize,
}

impl Place<'_> {
    fn word(&self) -> &str {
        &self.lower[self.at]
    }

    /// The word `back` before; nothing across punctuation.
    fn before(&self, back: usize) -> &str {
        let Some(at) = self.at.checked_sub(back) else { return "" };
        if (at..self.at).any(|at| is_sign(self.words[at])) { "" } else { &self.lower[at] }
    }

    fn tag_before(&self) -> Option<Tag> {
        if self.before(1).is_empty() { None } else { self.tags.last().copied() }
    }

    fn next(&self) -> &str {
        self.lower.get(self.at + 1).map_or("", |next| if is_sign(next) { "" } else { next })
    }

    /// The next word cannot begin but a noun phrase, or a pronoun.
    fn next_begins_noun(&self) -> bool {
        let next = self.next();
        among(DETERMINERS, next)
            || among(POSSESSIVES, next)
            || (among(PRONOUNS, next) && !next.contains('\''))
            || next == "that"
    }

    /// The next word is likely a noun, an adjective or a number.
    fn next_is_content(&self) -> bool {
        let next = self.next();
        let function = [
            DETERMINERS,
            PRONOUNS,
            POSSESSIVES,
            PREPOSITIONS,
            MODALS,
            DO,
            BE,
            HAVE,
            CONJUNCTIONS,
            QUESTIONS,
            ADVERBS,
            VERBS,
        ];
        !next.is_empty()
            && next != "to"
            && next != "that"
            && !function.iter().any(|list| among(list, next))
            && !next.ends_with("ly")
    }

    /// A word that opens a clause, or the beginning of one.
    fn begins_clause(&self) -> bool {
        self.before(1).is_empty() || among(CONJUNCTIONS, self.before(1)) || self.before(1) == "please"
    }

    fn is_homograph_there(&self, is_homograph: &impl Fn(&str) -> bool) -> bool {
        is_homograph(self.word()) && self.word() != "that"
    }

    fn plain(&self) -> Tag {
        let (word, written) = (self.word(), self.words[self.at]);
        if is_sign(written) {
            return Tag::Sign;
        }
        if word.starts_with(|c: char| c.is_ascii_digit() || c == '-')
            && word.contains(|c: char| c.is_ascii_digit())
        {
            return Tag::Number;
        }
        let is_letter = written.chars().count() == 1;
        match word {
            "to" => return Tag::To,
            "that" => return self.that(),
            "that's" | "that'll" | "that'd" if !self.tag_before().is_some_and(Tag::is_noun) => {
                return Tag::Determiner;
            }
            "a" if written == "A" && !self.before(1).is_empty() => return Tag::ProperNoun,
            "a" if self.next().is_empty() => return Tag::Noun,
            "am" if self.tag_before() == Some(Tag::Number) => return Tag::Noun,
            "us" if written == "US" => return Tag::ProperNoun,
            "may" | "will" if is_capital(written) && !self.before(1).is_empty() => return Tag::ProperNoun,
            _ => {}
        }
        if is_letter && is_capital(written) && word != "i" && word != "a" {
            return Tag::ProperNoun;
        }
        for (list, tag) in [
            (DETERMINERS, Tag::Determiner),
            (PRONOUNS, Tag::Pronoun),
            (POSSESSIVES, Tag::Possessive),
            (PREPOSITIONS, Tag::Preposition),
            (MODALS, Tag::Modal),
            (CONJUNCTIONS, Tag::Conjunction),
            (QUESTIONS, Tag::Question),
            (NUMBERS, Tag::Number),
        ] {
            if among(list, word) {
                return tag;
            }
        }
        if among(DO, word) || among(BE, word) || among(HAVE, word) || among(VERBS, word) {
            return if among(BE, word) && word == "been" { Tag::Participle } else { Tag::Present };
        }
        if among(ADVERBS, word) {
            return Tag::Adverb;
        }
        if is_capital(written) && (!self.before(1).is_empty() || is_all_capitals(written)) {
            return Tag::ProperNoun;
        }
        let ends = |endings: &[&str]| word.len() > 4 && endings.iter().any(|ending| word.ends_with(ending));
        if ends(&["ly"]) {
            Tag::Adverb
        } else if ends(&["ed"]) {
            let done = among(BE, self.before(1)) || among(HAVE, self.before(1));
            if done { Tag::Participle } else { Tag::Past }
        } else if ends(&["ous", "ful", "ive", "able", "ible", "less", "ical", "ish"]) {
            Tag::Adjective
        } else if matches!(self.tag_before(), Some(Tag::To | Tag::Modal)) {
            Tag::Verb
        } else {
            Tag::Noun
        }
    }

    /// "That" is stressed where it stands for or before a thing, not where it joins clauses.
    fn that(&self) -> Tag {
        let pointing = self.begins_clause()
            || self.next().is_empty()
            || matches!(self.tag_before(), Some(Tag::Preposition | Tag::To))
            || (self.tag_before().is_some_and(Tag::is_verb) && among(PREPOSITIONS, self.next()))
            || (among(" do does did like use want ", self.before(1)) && !self.next_begins_noun())
            || (among(BE, self.before(1)) && (among(POSSESSIVES, self.next()) || self.next_is_content()))
            || (self.tag_before().is_some_and(Tag::is_verb)
                && !among(CLAUSAL, self.before(1))
                && self.next_is_content());
        if pointing { Tag::Determiner } else { Tag::Preposition }
    }

    fn homograph(&self) -> Tag {
        let (word, before, next) = (self.word(), self.before(1), self.next());
        match word {
            "read" | "reread" | "wound" => return self.past_or_not(word),
            "used" => return self.used(),
            "minute" if next.ends_with('s') && self.next_is_content() => return Tag::Adjective,
            "minute" if among(BE, before) && next.is_empty() => return Tag::Adjective,
            "dove" if self.dives() => return Tag::Past,
            "live" | "lives" if self.lives() => return Tag::Verb,
            _ => {}
        }
        let adjective = among(ADJECTIVES, word);
        if among(DEGREES, before) {
            return Tag::Adjective;
        }
        if among(BE, before) || (among(ADVERBS, before) && among(BE, self.before(2))) {
            // "is close", "is used": what a thing is; "was the close" has its determiner.
            return if adjective { Tag::Adjective } else { Tag::Noun };
        }
        if self.is_verb_here() {
            return Tag::Verb;
        }
        let noun_phrase = matches!(
            self.tag_before(),
            Some(
                Tag::Determiner
                    | Tag::Possessive
                    | Tag::Adjective
                    | Tag::Number
                    | Tag::Preposition
                    | Tag::ProperNoun
            )
        ) || before.ends_with("'s");
        if adjective && (self.next_is_content() || before.ends_with("ly")) {
            return Tag::Adjective;
        }
        if noun_phrase {
            return Tag::Noun;
        }
        if adjective
            && among(
                " come comes came stay stays stayed get gets got stand stands stood sit sits broadcast ",
                before,
            )
        {
            return Tag::Adjective;
        }
        Tag::Noun
    }

    /// "to record", "I record", "please record", "record it".
    fn is_verb_here(&self) -> bool {
        let (word, before, next) = (self.word(), self.before(1), self.next());
        let third_person = word.ends_with('s') && !word.ends_with("ss");
        let helper = if among(ADVERBS, before) || before.ends_with("ly") { self.before(2) } else { before };
        if helper == "to" {
            // "close to records": rarely.
            return !third_person;
        }
        if among(MODALS, helper) || among(DO, helper) || among(" let's please don't ", helper) {
            return !third_person;
        }
        if among(" let make makes made help helps helped ", self.before(2)) && among(PRONOUNS, before) {
            return true;
        }
        if among(" i you we they ", helper) || among(" who which that ", helper) {
            return true;
        }
        if among(" he she it ", helper) || among(ANYBODY, helper) {
            return third_person;
        }
        if self.begins_clause() && (self.next_begins_noun() || among(" in at with on your my ", next)) {
            return !third_person;
        }
        // "The engineers record the session": a noun before, and an object behind.
        let subject = self.tag_before().is_some_and(Tag::is_noun);
        let plural = (before.ends_with('s') && !before.ends_with("ss")) || among(PLURALS, before);
        let plural_subject = subject && plural && !self.words[self.at - 1].contains(['\'', '’']);
        if plural_subject && !third_person {
            return true;
        }
        subject
            && self.next_begins_noun()
            && (third_person != plural_subject || is_capital(self.words[self.at - 1]))
    }

    /// Somebody has dived into something.
    fn dives(&self) -> bool {
        let into = among(PREPOSITIONS, self.next()) || among(" down right straight ", self.next());
        into && self.tag_before().is_some_and(|tag| tag.is_noun() || tag == Tag::Pronoun)
    }

    /// Somebody named lives somewhere.
    fn lives(&self) -> bool {
        let place = self.next().is_empty() || among(PREPOSITIONS, self.next()) || among(ADVERBS, self.next());
        place && self.tag_before().is_some_and(Tag::is_noun)
    }

    fn past_or_not(&self, word: &str) -> Tag {
        let before = self.before(1);
        let helper = if among(ADVERBS, before) || before.ends_with("ly") { self.before(2) } else { before };
        if among(PAST_READERS, helper) && (among(DO, self.before(2)) || among(MODALS, self.before(2))) {
            return Tag::Verb;
        }
        if helper == "to"
            || among(MODALS, helper)
            || among(DO, helper)
            || among(" let's please don't ", helper)
        {
            return Tag::Verb;
        }
        if among(" i'll you'll he'll she'll we'll they'll i'd you'd we'd ", helper) {
            return Tag::Verb;
        }
        if among(HAVE, helper) || among(BE, helper) {
            // "was wound up", but "it is a wound".
            return Tag::Participle;
        }
        if among(DETERMINERS, before)
            || among(POSSESSIVES, before)
            || self.tag_before() == Some(Tag::Adjective)
        {
            return if word == "read" && self.next_is_content() { Tag::Participle } else { Tag::Noun };
        }
        if among(PAST_READERS, helper) || self.tag_before().is_some_and(Tag::is_noun) {
            return Tag::Past;
        }
        if self.begins_clause() {
            let after_subject = among(CONJUNCTIONS, before) && self.tags.contains(&Tag::Past);
            return if after_subject { Tag::Past } else { Tag::Verb };
        }
        if word == "wound" { Tag::Noun } else { Tag::Verb }
    }

    /// "used to go" (a habit) and "am used to it"; else something was used.
    fn used(&self) -> Tag {
        let (before, behind_to) = (self.before(1), self.lower.get(self.at + 2).map_or("", String::as_str));
        if self.next() != "to" {
            return Tag::Past;
        }
        let helper = if among(ADVERBS, before) { self.before(2) } else { before };
        if !among(BE, helper) && !among(" get gets got getting ", helper) {
            return Tag::Past;
        }
        let thing = among(DETERMINERS, behind_to)
            || among(POSSESSIVES, behind_to)
            || among(PRONOUNS, behind_to)
            || behind_to == "that"
            || behind_to.ends_with("ing");
        if thing { Tag::Adjective } else { Tag::Participle }
    }
}

fn is_sign(word: &str) -> bool {
    !word.chars().any(char::is_alphanumeric)
}

fn is_capital(word: &str) -> bool {
    word.starts_with(char::is_uppercase)
}

fn is_all_capitals(word: &str) -> bool {
    word.chars().filter(|c| c.is_uppercase()).count() > 1 && !word.chars().any(char::is_lowercase)
}

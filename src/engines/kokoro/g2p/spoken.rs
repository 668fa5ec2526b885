//! Written English → words: what has to be said otherwise than it is spelt. Times, dates, units,
//! abbreviations, addresses of the web and of e-mail, fractions, ranges, signs.
//!
//! Every run of non-spaces of the text becomes one [`Chunk`] of words, so that what was heard can be told
//! in the text's own bytes. Plain numbers, money and years stay as they are: [`super::number`] reads
//! those. Deliberately absent: Roman numerals, arithmetic, and anything that needs a calendar.

use std::ops::Range;

use crate::number_words::{cardinal_words, digit_word, ordinal_words};

/// A run of non-spaces, and the words (with their punctuation) that it is said with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Bytes of the given text.
    pub source: Range<usize>,
    /// Words between single spaces; never empty.
    pub words: String,
}

/// Months, and how they are shortened.
const MONTHS: [(&str, &str); 12] = [
    ("january", "Jan"),
    ("february", "Feb"),
    ("march", "Mar"),
    ("april", "Apr"),
    ("may", "May"),
    ("june", "Jun"),
    ("july", "Jul"),
    ("august", "Aug"),
    ("september", "Sep"),
    ("october", "Oct"),
    ("november", "Nov"),
    ("december", "Dec"),
];

/// With the point, where it tells them from words.
const ABBREVIATIONS: [(&str, &str); 34] = [
    ("prof.", "professor"),
    ("st.", "street"),
    ("ave.", "avenue"),
    ("blvd.", "boulevard"),
    ("rd.", "road"),
    ("jr.", "junior"),
    ("sr.", "senior"),
    ("inc.", "incorporated"),
    ("ltd.", "limited"),
    ("co.", "company"),
    ("corp.", "corporation"),
    ("dept.", "department"),
    ("approx.", "approximately"),
    ("est.", "estimated"),
    ("min.", "minutes"),
    ("max.", "maximum"),
    ("tel.", "telephone"),
    ("vs.", "versus"),
    ("vs", "versus"),
    ("e.g.", "for example"),
    ("i.e.", "that is"),
    ("gen.", "general"),
    ("gov.", "governor"),
    ("capt.", "captain"),
    ("lt.", "lieutenant"),
    ("sgt.", "sergeant"),
    ("mt.", "mount"),
    ("ft.", "feet"),
    ("w/", "with"),
    ("w/o", "without"),
    ("&", "and"),
    ("=", "equals"),
    ("×", "times"),
    ("÷", "divided by"),
];

/// Behind a number: one, many.
const UNITS: [(&str, &str, &str); 42] = [
    ("km", "kilometer", "kilometers"),
    ("m", "meter", "meters"),
    ("cm", "centimeter", "centimeters"),
    ("mm", "millimeter", "millimeters"),
    ("mi", "mile", "miles"),
    ("ft", "foot", "feet"),
    ("yd", "yard", "yards"),
    ("kg", "kilogram", "kilograms"),
    ("g", "gram", "grams"),
    ("mg", "milligram", "milligrams"),
    ("lb", "pound", "pounds"),
    ("lbs", "pound", "pounds"),
    ("oz", "ounce", "ounces"),
    ("l", "liter", "liters"),
    ("ml", "milliliter", "milliliters"),
    ("mph", "mile per hour", "miles per hour"),
    ("km/h", "kilometer per hour", "kilometers per hour"),
    ("m/s", "meter per second", "meters per second"),
    ("h", "hour", "hours"),
    ("hr", "hour", "hours"),
    ("hrs", "hour", "hours"),
    ("min", "minute", "minutes"),
    ("mins", "minute", "minutes"),
    ("s", "second", "seconds"),
    ("sec", "second", "seconds"),
    ("secs", "second", "seconds"),
    ("ms", "millisecond", "milliseconds"),
    ("Hz", "hertz", "hertz"),
    ("kHz", "kilohertz", "kilohertz"),
    ("MHz", "megahertz", "megahertz"),
    ("GHz", "gigahertz", "gigahertz"),
    ("KB", "kilobyte", "kilobytes"),
    ("kB", "kilobyte", "kilobytes"),
    ("MB", "megabyte", "megabytes"),
    ("GB", "gigabyte", "gigabytes"),
    ("TB", "terabyte", "terabytes"),
    ("W", "watt", "watts"),
    ("kW", "kilowatt", "kilowatts"),
    ("kWh", "kilowatt hour", "kilowatt hours"),
    ("°", "degree", "degrees"),
    ("°C", "degree Celsius", "degrees Celsius"),
    ("°F", "degree Fahrenheit", "degrees Fahrenheit"),
];

/// The runs of non-spaces of `text` that have something to say.
pub fn chunks(text: &str) -> Vec<Chunk> {
    let mut rest = 0;
    let mut runs: Vec<Range<usize>> = vec![];
    for run in text.split_whitespace() {
        // `split_whitespace` gives slices of `text` in order; find this one's position again.
        let start = rest + text[rest..].find(run).unwrap_or(0);
        rest = start + run.len();
        runs.push(start..rest);
    }
    let written = |at: usize| runs.get(at).map_or("", |run| &text[run.clone()]);
    let mut chunks = vec![];
    for (at, source) in runs.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", written);
        let words = say(written(at), before, written(at + 1));
        if !words.is_empty() {
            chunks.push(Chunk { source: source.clone(), words });
        }
    }
    chunks
}

/// A run by itself: its punctuation stays, its core is said.
fn say(run: &str, before: &str, next: &str) -> String {
    let opening = run.len() - run.trim_start_matches(['(', '[', '{', '"', '“', '‘']).len();
    let (opening, core) = run.split_at(opening);
    // Points that belong to the word itself: "Prof.", "5 p.m."; the last one also ends the sentence.
    if let Some(words) = abbreviation(core, before, next).or_else(|| time(core)) {
        let end = if next.is_empty() && core.ends_with('.') && !words.ends_with('.') { "." } else { "" };
        return format!("{opening}{words}{end}");
    }
    let end = core.trim_end_matches([',', ';', ':', '!', '?', '.', ')', ']', '}', '"', '”', '…', '*']).len();
    let (core, closing) = core.split_at(end);
    match core_words(core, before, next) {
        Some(words) => format!("{opening}{words}{closing}"),
        None => run.to_owned(),
    }
}

/// What a core means, if that is not what it spells.
fn core_words(core: &str, before: &str, next: &str) -> Option<String> {
    if core.is_empty() {
        return None;
    }
    abbreviation(core, before, next)
        .or_else(|| unit(core, before))
        .or_else(|| attached_unit(core))
        .or_else(|| time(core))
        .or_else(|| date(core))
        .or_else(|| day_of_month(core, before, next))
        .or_else(|| fraction(core))
        .or_else(|| range(core))
        .or_else(|| big_money(core))
        .or_else(|| hash(core))
        .or_else(|| email(core))
        .or_else(|| address(core))
}

fn abbreviation(core: &str, before: &str, next: &str) -> Option<String> {
    let lower = core.to_lowercase();
    // A saint has a name behind, a street one before.
    if lower == "st." && next.starts_with(char::is_uppercase) && !before.starts_with(char::is_uppercase) {
        return Some("saint".to_owned());
    }
    let month = lower.strip_suffix('.').and_then(|short| {
        MONTHS
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(short) || (short == "sept" && *known == "Sep"))
    });
    if let Some((name, short)) = month
        && *short != "May"
        && core.starts_with(char::is_uppercase)
    {
        return Some(capitalised(name));
    }
    if lower == "min." && !before.ends_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if lower == "no." && next.starts_with(|c: char| c.is_ascii_digit()) {
        return Some("number".to_owned());
    }
    // Some end a sentence as words: "est.", "max." and "co." need a capital or something behind.
    if matches!(&*lower, "est." | "max." | "co." | "gen." | "lt." | "mt." | "ft.")
        && !core.starts_with(char::is_uppercase)
        && !next.starts_with(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    ABBREVIATIONS.iter().find(|(short, _)| *short == lower).map(|(_, long)| (*long).to_owned())
}

fn is_count(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || ",.-".contains(c))
}

fn unit_words(unit: &str, count: &str) -> Option<&'static str> {
    let (_, one, many) = UNITS.iter().find(|(short, _, _)| *short == unit)?;
    Some(if count == "1" { one } else { many })
}

/// `km` behind `5`.
fn unit(core: &str, before: &str) -> Option<String> {
    let count = before.trim_start_matches(['(', '~', '-']);
    // "5 s" and "5 m" are units; "section 5 a" is none.
    is_count(count).then(|| unit_words(core, count)).flatten().map(str::to_owned)
}

/// `5km`, `-3°C`, `100%` is not one.
fn attached_unit(core: &str) -> Option<String> {
    let digits_end = core.rfind(|c: char| c.is_ascii_digit()).map(|at| at + 1)?;
    let (count, unit) = core.split_at(digits_end);
    // "1990s" is a decade, "5s" five seconds at best: the ending is left to the number.
    if !is_count(count) || unit == "s" {
        return None;
    }
    unit_words(unit, count).map(|words| format!("{count} {words}"))
}

/// `9:30`, `9:30am`, `17:00`, `9am`, `9:30:15`.
fn time(core: &str) -> Option<String> {
    let lower = core.to_lowercase();
    let (clock, half) = ["a.m.", "p.m.", "am", "pm"]
        .iter()
        .find_map(|half| lower.strip_suffix(half).map(|clock| (clock, &half[..1])))
        .map_or((lower.as_str(), None), |(clock, half)| (clock, Some(half)));
    let parts: Vec<&str> = clock.split(':').collect();
    let numbers: Option<Vec<u64>> = parts.iter().map(|part| part.parse().ok()).collect();
    let numbers = numbers?;
    let well_formed =
        parts.iter().skip(1).all(|part| part.len() == 2) && parts.first().is_some_and(|p| p.len() <= 2);
    let plausible =
        numbers.first().is_some_and(|hour| *hour < 25) && numbers.iter().skip(1).all(|part| *part < 60);
    if !well_formed || !plausible || parts.len() > 3 || (parts.len() == 1 && half.is_none()) {
        return None;
    }
    let mut words: Vec<&str> = cardinal_words(numbers[0]);
    for &part in &numbers[1..] {
        match part {
            0 if numbers.len() == 2 && half.is_some() => {}
            0 if numbers.len() == 2 && numbers[0] <= 12 => words.push("o'clock"),
            0 if numbers.len() == 2 => words.push("hundred"),
            0..10 => {
                words.push("oh");
                words.extend(cardinal_words(part));
            }
            _ => words.extend(cardinal_words(part)),
        }
    }
    let half = match half {
        Some("a") => " A.M.",
        Some(_) => " P.M.",
        None => "",
    };
    Some(format!("{}{half}", words.join(" ")))
}

/// `2024-05-06`, `5/6/2024` (month first).
fn date(core: &str) -> Option<String> {
    let numbers = |sign: char| -> Option<[u64; 3]> {
        let parts: Option<Vec<u64>> =
            core.split(sign).map(|part| part.parse().ok().filter(|_| part.len() <= 4)).collect();
        parts?.try_into().ok()
    };
    let is_year = |part: Option<&str>| part.is_some_and(|part| part.len() == 4);
    let (year, month, day) = if let Some([year, month, day]) = numbers('-')
        && is_year(core.split('-').next())
    {
        (year, month, day)
    } else {
        let [month, day, year] = numbers('/').filter(|_| is_year(core.split('/').next_back()))?;
        (year, month, day)
    };
    let (name, _) = MONTHS.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    (1..=31)
        .contains(&day)
        .then(|| format!("{} {}, {year:04}", capitalised(name), ordinal_words(day).join(" ")))
}

/// `May 5`, `5 May`: the fifth.
fn day_of_month(core: &str, before: &str, next: &str) -> Option<String> {
    let day: u64 = core.parse().ok().filter(|day| (1..=31).contains(day) && core.len() <= 2)?;
    let is_month = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_alphabetic());
        word.starts_with(char::is_uppercase)
            && MONTHS.iter().any(|(name, short)| name.eq_ignore_ascii_case(word) || *short == word)
    };
    // "May 5" but "March 5 miles" is no date.
    let of_month = is_month(before) && !next.starts_with(char::is_lowercase)
        || is_month(before)
            && matches!(next, "at" | "and" | "to" | "is" | "was" | "in" | "or" | "from" | "until");
    (of_month || is_month(next)).then(|| ordinal_words(day).join(" "))
}

fn fraction(core: &str) -> Option<String> {
    let words = match core {
        "1/2" | "½" => "one half",
        "1/3" | "⅓" => "one third",
        "2/3" | "⅔" => "two thirds",
        "1/4" | "¼" => "one quarter",
        "3/4" | "¾" => "three quarters",
        "24/7" => "twenty four seven",
        _ => return None,
    };
    Some(words.to_owned())
}

/// `10–20`: ten to twenty. (A plain hyphen may also join the parts of a number.)
fn range(core: &str) -> Option<String> {
    let (from, to) = core.split_once('–')?;
    (is_count(from) && is_count(to)).then(|| format!("{from} to {to}"))
}

/// `$5M`, `€2.5bn`.
fn big_money(core: &str) -> Option<String> {
    let sign = core.chars().next().filter(|c| "$£€".contains(*c))?;
    let rest = &core[sign.len_utf8()..];
    let digits_end = rest.rfind(|c: char| c.is_ascii_digit())? + 1;
    let (number, scale) = rest.split_at(digits_end);
    let scale = match scale {
        "k" | "K" => "thousand",
        "m" | "M" | "mn" => "million",
        "b" | "B" | "bn" => "billion",
        _ => return None,
    };
    is_count(number).then(|| format!("{sign}{number} {scale}"))
}

/// `#5`: number five; `#news`: hashtag news.
fn hash(core: &str) -> Option<String> {
    let rest = core.strip_prefix('#').filter(|rest| !rest.is_empty())?;
    Some(if is_count(rest) { format!("number {rest}") } else { format!("hashtag {rest}") })
}

fn email(core: &str) -> Option<String> {
    let (user, host) = core.split_once('@')?;
    let plain = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c))
    };
    (plain(user) && plain(host) && host.contains('.')).then(|| format!("{} at {}", spelt(user), spelt(host)))
}

/// `https://www.example.org/page`: example dot org slash page.
fn address(core: &str) -> Option<String> {
    let bare = core.strip_prefix("https://").or_else(|| core.strip_prefix("http://"));
    let rest = bare.unwrap_or(core);
    let rest = rest.strip_prefix("www.").map_or(rest, |rest| rest);
    let host = rest.split(['/', ':', '?', '#']).next().unwrap_or_default();
    let mut labels = host.rsplit('.');
    let top = labels.next().unwrap_or_default();
    let is_host = labels.next().is_some_and(|label| label.len() > 1)
        && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
        && top.chars().all(|c| c.is_ascii_lowercase());
    let known = bare.is_some()
        || core.starts_with("www.")
        || matches!(
            top,
            "com" | "org" | "net" | "edu" | "gov" | "io" | "dev" | "ai" | "co" | "uk" | "de" | "app"
        );
    (is_host && known).then(|| spelt(rest.trim_end_matches('/')))
}

/// The signs of an address as words, digits one by one.
fn spelt(address: &str) -> String {
    let mut words = String::new();
    let mut word = |text: &str, alone: bool| {
        if alone && !words.is_empty() && !words.ends_with(' ') {
            words.push(' ');
        }
        words.push_str(text);
        if alone {
            words.push(' ');
        }
    };
    for c in address.chars() {
        match c {
            '.' => word("dot", true),
            '/' => word("slash", true),
            '-' => word("dash", true),
            '_' => word("underscore", true),
            ':' => word("colon", true),
            '@' => word("at", true),
            '?' => word("question mark", true),
            '=' => word("equals", true),
            '&' => word("and", true),
            '#' => word("hash", true),
            '+' => word("plus", true),
            c => match digit_word(c) {
                Some(digit) => word(digit, true),
                None => word(c.encode_utf8(&mut [0; 4]), false),
            },
        }
    }
    words.trim_end().to_owned()
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        chunks(text).iter().map(|chunk| chunk.words.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_not_said_as_it_is_spelt() {
        for (text, words) in [
            ("Come at 9:30.", "Come at nine thirty."),
            ("at 9:05am, please", "at nine oh five A.M., please"),
            ("(17:00)", "(seventeen hundred)"),
            ("3:00 sharp", "three o'clock sharp"),
            ("5 p.m. or 7pm", "5 p.m. or seven P.M."),
            ("on 2024-05-06", "on May sixth, 2024"),
            ("by 12/25/2023!", "by December twenty fifth, 2023!"),
            ("May 5, 2024", "May fifth, 2024"),
            ("the 3 of them", "the 3 of them"),
            ("21 Jan. 1999", "twenty first January 1999"),
            ("5 km, 1 kg", "5 kilometers, 1 kilogram"),
            ("20°C and 5GB", "20 degrees Celsius and 5 gigabytes"),
            ("the 1990s", "the 1990s"),
            ("Prof. Lee vs. St. Mary on Elm St.", "professor Lee versus saint Mary on Elm street."),
            ("e.g. this", "for example this"),
            ("No. 5", "number 5"),
            ("1/2 of #5 #ai", "one half of number 5 hashtag ai"),
            ("10–20 people", "10 to 20 people"),
            ("$5M and €2.5bn", "$5 million and €2.5 billion"),
            ("https://www.example.org/a-b2", "example dot org slash a dash b two"),
            ("mail jo.doe@example.com.", "mail jo dot doe at example dot com."),
            ("Node.js and etc.", "Node.js and etc."),
            ("3.14 is pi", "3.14 is pi"),
        ] {
            assert_eq!(said(text), words, "{text}");
        }
    }

    #[test]
    fn each_run_keeps_its_bytes() {
        let text = "  At 9:30,\n\té — go. ";
        let chunks = chunks(text);
        let shown: Vec<&str> = chunks.iter().map(|chunk| &text[chunk.source.clone()]).collect();
        assert_eq!(shown, ["At", "9:30,", "é", "—", "go."]);
    }
}

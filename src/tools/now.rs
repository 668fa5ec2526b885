//! The tool `now`: date and time, in digits and as people say them.

use jiff::Zoned;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Answer, Clock, ToolError, told};
use crate::number_words::{cardinal, ordinal};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub struct Now {
    zone: TimeZone,
    clock: Clock,
}

/// What the model reads. The order of the keys is part of the format: small models learn it by heart.
#[derive(Debug, PartialEq, Serialize)]
struct Told {
    date: String,
    weekday: &'static str,
    time: String,
    spoken_time: String,
    spoken_date: String,
}

impl Now {
    /// `timezone`: as in `Europe/Vienna`; empty: the system's.
    pub fn new(timezone: &str, clock: Clock) -> Result<Now, ToolError> {
        let zone = match timezone {
            "" => TimeZone::system(),
            name => TimeZone::get(name).map_err(|error| ToolError {
                key: "tools.timezone".into(),
                message: format!(
                    "there is no time zone {name:?} here ({error}); write it as in Europe/Vienna, and install \
                     the system's time zones if they are missing (Debian: tzdata)"
                ),
            })?,
        };
        Ok(Now { zone, clock })
    }

    pub fn answer(&self) -> Answer {
        let told = told(&(self.clock)().to_zoned(self.zone.clone()));
        let summary = format!("{}, {}", told.spoken_time, told.spoken_date);
        Answer::new(told::json(&told), &summary)
    }
}

fn told(now: &Zoned) -> Told {
    Told {
        date: now.strftime("%Y-%m-%d").to_string(),
        weekday: weekday_name(now.weekday()),
        time: now.strftime("%H:%M").to_string(),
        spoken_time: spoken_time(now.hour(), now.minute()),
        spoken_date: spoken_date(now),
    }
}

/// "fourteen minutes to four in the afternoon". Noon and midnight are called so, with no time of day
/// behind them, since "twelve in the morning" may be either. `hour` is 0…23, `minute` 0…59.
fn spoken_time(hour: i8, minute: i8) -> String {
    let to = minute > 30;
    let named_hour = if to { (hour + 1) % 24 } else { hour };
    // Ten to six in the afternoon is still the afternoon.
    let (name, part) = match named_hour {
        0 => ("midnight".to_owned(), ""),
        12 => ("noon".to_owned(), ""),
        named => (cardinal(u64::from(named.unsigned_abs() % 12)), part_of_day(hour)),
    };
    let distance = if to { 60 - minute } else { minute };
    let minutes = told::spoken(&cardinal(u64::from(distance.unsigned_abs())));
    let direction = if to { "to" } else { "past" };
    match distance {
        0 if part.is_empty() => name,
        0 => format!("{name} o'clock{part}"),
        15 => format!("quarter {direction} {name}{part}"),
        30 => format!("half past {name}{part}"),
        1 => format!("one minute {direction} {name}{part}"),
        _ if distance % 5 == 0 => format!("{minutes} {direction} {name}{part}"),
        _ => format!("{minutes} minutes {direction} {name}{part}"),
    }
}

fn part_of_day(hour: i8) -> &'static str {
    match hour {
        4..=11 => " in the morning",
        12..=17 => " in the afternoon",
        18..=21 => " in the evening",
        _ => " at night",
    }
}

/// "Friday, the twentieth of November"
fn spoken_date(now: &Zoned) -> String {
    let month = MONTHS[usize::from(now.month().unsigned_abs().saturating_sub(1)) % MONTHS.len()];
    let day = told::spoken(&ordinal(u64::from(now.day().unsigned_abs())));
    format!("{}, the {day} of {month}", weekday_name(now.weekday()))
}

fn weekday_name(weekday: Weekday) -> &'static str {
    match weekday {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

/// A clock that stands still.
#[cfg(test)]
pub(super) fn stopped_clock(at: &str) -> Clock {
    let at: jiff::Timestamp = at.parse().unwrap();
    std::sync::Arc::new(move || at)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_answer_is_to_the_letter() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let now = Now { zone, clock: stopped_clock("2026-11-20T14:46:59Z") };
        let expected = concat!(
            r#"{"date": "2026-11-20", "weekday": "Friday", "time": "15:46", "#,
            r#""spoken_time": "fourteen minutes to four in the afternoon", "#,
            r#""spoken_date": "Friday, the twentieth of November"}"#
        );
        let answer = now.answer();
        assert_eq!(answer.content, expected);
        let summary = "fourteen minutes to four in the afternoon, Friday, the twentieth of November";
        assert_eq!((answer.summary.as_str(), answer.failed), (summary, false));
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        for (time, words) in [
            ("00:00", "midnight"),
            ("00:01", "one minute past midnight"),
            ("00:30", "half past midnight"),
            ("00:45", "quarter to one at night"),
            ("03:50", "ten to four at night"),
            ("04:00", "four o'clock in the morning"),
            ("09:15", "quarter past nine in the morning"),
            ("11:31", "twenty nine minutes to noon"),
            ("12:00", "noon"),
            ("12:05", "five past noon"),
            ("13:00", "one o'clock in the afternoon"),
            ("15:46", "fourteen minutes to four in the afternoon"),
            ("17:35", "twenty five to six in the afternoon"),
            ("18:00", "six o'clock in the evening"),
            ("21:59", "one minute to ten in the evening"),
            ("22:30", "half past ten at night"),
            ("23:45", "quarter to midnight"),
        ] {
            let (hour, minute) = time.split_once(':').unwrap();
            assert_eq!(spoken_time(hour.parse().unwrap(), minute.parse().unwrap()), words, "{time}");
        }
    }

    /// The minute of the day that a person understands.
    fn understood(words: &str) -> usize {
        let (clock, part) = match words.split_once(" in the ") {
            Some((clock, part)) => (clock, part),
            None => words.strip_suffix(" at night").map_or((words, ""), |clock| (clock, "night")),
        };
        let number =
            |word: &str| (0..60).find(|number| told::spoken(&cardinal(*number)) == word).unwrap() as usize;
        let (distance, past, hour) = if let Some((distance, hour)) = clock.split_once(" past ") {
            (distance, true, hour)
        } else if let Some((distance, hour)) = clock.split_once(" to ") {
            (distance, false, hour)
        } else {
            ("zero", true, clock.trim_end_matches(" o'clock"))
        };
        let distance = match distance.trim_end_matches(" minutes").trim_end_matches(" minute") {
            "quarter" => 15,
            "half" => 30,
            words => number(words),
        };
        let minute_of = |hour: usize| {
            (hour * 60 + 1_440 + distance * usize::from(past) - distance * usize::from(!past)) % 1_440
        };
        let day = |minute: usize| match minute / 60 {
            4..=11 => "morning",
            12..=17 => "afternoon",
            18..=21 => "evening",
            _ => "night",
        };
        match hour {
            "midnight" => minute_of(0),
            "noon" => minute_of(12),
            hour => {
                let hour = number(hour);
                assert!((1..=11).contains(&hour), "{words}");
                let fits: Vec<usize> = [hour, hour + 12]
                    .map(minute_of)
                    .into_iter()
                    .filter(|minute| day(*minute) == part)
                    .collect();
                assert_eq!(fits.len(), 1, "{words} is ambiguous or never");
                fits[0]
            }
        }
    }

    #[test]
    fn every_minute_of_the_day_is_understood() {
        let mut said = BTreeSet::new();
        for minute in 0..1_440_usize {
            let words = spoken_time((minute / 60) as i8, (minute % 60) as i8);
            assert_eq!(understood(&words), minute, "{words}");
            let speakable = |c: char| c.is_ascii_lowercase() || matches!(c, ' ' | '-' | '\'');
            assert!(words.chars().all(speakable), "{words}");
            said.insert(words);
        }
        assert_eq!(said.len(), 1_440);
    }

    #[test]
    fn a_time_zone_that_is_not_there_is_named() {
        let error = Now::new("Vienna", stopped_clock("2026-11-20T14:46:59Z")).err().unwrap().to_string();
        assert!(error.starts_with("tools.timezone: there is no time zone \"Vienna\" here"), "{error}");
    }
}

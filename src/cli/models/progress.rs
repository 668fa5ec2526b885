//! How a pull is shown: bars on a terminal, else a line now and then.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::models::pull::{Doing, Progress};
use crate::models::size;

/// A line is written whenever another part of so many percent is through.
const LINE_PERCENT: u64 = 10;
/// A file that is no longer than this gets one line.
const SHORT_BYTES: u64 = 1 << 20;

/// Bars on the terminal at standard error.
#[derive(Default)]
pub(super) struct Bars {
    bar: Option<ProgressBar>,
}

impl Progress for Bars {
    fn begin(&mut self, doing: Doing, path: &str, done: u64, total: Option<u64>) {
        self.end();
        let (bar, template) = match total {
            Some(total) => (
                ProgressBar::new(total),
                "{prefix:>8} {msg} {bar:24} {percent:>3} % {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            ),
            None => (ProgressBar::no_length(), "{prefix:>8} {msg} {spinner} {bytes}, {bytes_per_sec}"),
        };
        // A template that is none would show the default one.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar =
            bar.with_style(style).with_prefix(verb(doing)).with_message(path.to_owned()).with_position(done);
        // The rate is that of this connection, not of what was here before.
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(200));
        self.bar = Some(bar);
    }

    fn advance(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn note(&mut self, line: &str) {
        self.end();
        // Through a bar, so that a terminal that is none gets nothing.
        let bar = ProgressBar::no_length();
        bar.println(line);
        bar.finish_and_clear();
    }
}

/// Plain lines, for logs and pipes.
pub(super) struct Lines<W> {
    out: W,
    /// What is shown of the file in hand.
    path: String,
    total: Option<u64>,
    /// Percent at which the next line is due; `None`: no line is.
    due: Option<u64>,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(out: W) -> Lines<W> {
        Lines { out, path: String::new(), total: None, due: None }
    }

    fn line(&mut self, line: std::fmt::Arguments) {
        // Nobody reads it any more; that is no reason to stop.
        let _ = writeln!(self.out, "{line}");
    }
}

impl<W: Write> Progress for Lines<W> {
    fn begin(&mut self, doing: Doing, path: &str, done: u64, total: Option<u64>) {
        (self.path, self.total) = (path.to_owned(), total);
        let is_long = total.is_some_and(|total| total > SHORT_BYTES);
        self.due = is_long.then(|| percent(done, total) / LINE_PERCENT * LINE_PERCENT + LINE_PERCENT);
        let from = if done > 0 { format!(" from {} on", size(done)) } else { String::new() };
        let length = total.map(|total| format!(" ({})", size(total))).unwrap_or_default();
        self.line(format_args!("{} {path}{length}{from}", verb(doing)));
    }

    fn advance(&mut self, done: u64) {
        let reached = percent(done, self.total);
        if self.due.is_some_and(|due| reached >= due) {
            self.due = Some(reached / LINE_PERCENT * LINE_PERCENT + LINE_PERCENT);
            let (path, of) = (self.path.clone(), size(self.total.unwrap_or(0)));
            self.line(format_args!("  {path}: {reached} %, {} of {of}", size(done)));
        }
    }

    fn end(&mut self) {
        self.due = None;
    }

    fn note(&mut self, line: &str) {
        self.line(format_args!("{line}"));
    }
}

fn verb(doing: Doing) -> &'static str {
    match doing {
        Doing::Checking => "checking",
        Doing::Fetching => "fetching",
    }
}

fn percent(done: u64, total: Option<u64>) -> u64 {
    // 128 bits: no length is too large for it.
    let percent = u128::from(done) * 100 / u128::from(total.unwrap_or(0).max(1));
    percent.min(100) as u64
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn lines_tell_every_tenth_once() {
        let mut lines = Lines::new(vec![]);
        lines.begin(Doing::Fetching, "config.json", 0, Some(700));
        (0..=700).for_each(|done| lines.advance(done));
        lines.end();
        lines.begin(Doing::Fetching, "weights", 25_000_000, Some(100_000_000));
        (25..=60).for_each(|mb| lines.advance(mb * 1_000_000));
        lines.note("the connection ended early; trying again");
        lines.begin(Doing::Checking, "weights", 0, None);
        (0..9).for_each(|done| lines.advance(done));
        lines.end();
        expect![[r#"
            fetching config.json (700 B)
            fetching weights (100.0 MB) from 25.0 MB on
              weights: 30 %, 30.0 MB of 100.0 MB
              weights: 40 %, 40.0 MB of 100.0 MB
              weights: 50 %, 50.0 MB of 100.0 MB
              weights: 60 %, 60.0 MB of 100.0 MB
            the connection ended early; trying again
            checking weights
        "#]]
        .assert_eq(&String::from_utf8(lines.out).unwrap());
    }

    #[test]
    fn the_bars_templates_are_templates() {
        let mut bars = Bars::default();
        for total in [Some(10), None] {
            bars.begin(Doing::Fetching, "weights", 3, total);
            bars.advance(5);
            let bar = bars.bar.as_ref().unwrap();
            assert_eq!((bar.position(), bar.length(), bar.prefix().as_str()), (5, total, "fetching"));
            bars.end();
        }
    }
}

//! How often a growing reply is shown.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::reply::Reply;

/// Tells when a reply is to be shown again: when a block of it has ended, and else no sooner than `every`
/// after the last time.
pub struct Pace {
    reply: watch::Receiver<Reply>,
    every: Duration,
    /// When it was last shown, and how many of its blocks had ended.
    last: Option<Instant>,
    ended: usize,
}

impl Pace {
    /// Of this reply.
    pub fn new(reply: watch::Receiver<Reply>, every: Duration) -> Pace {
        Pace { reply, every, last: None, ended: 0 }
    }

    /// The reply as it is to be shown next; `None`: it is over.
    pub async fn next(&mut self) -> Option<Reply> {
        self.reply.changed().await.ok()?;
        if let Some(due) = self.last.map(|last| last + self.every) {
            while Instant::now() < due && self.reply.borrow_and_update().ended() == self.ended {
                tokio::select! {
                    changed = self.reply.changed() => changed.ok()?,
                    () = tokio::time::sleep_until(due) => {}
                }
            }
        }
        let reply = self.reply.borrow_and_update().clone();
        (self.last, self.ended) = (Some(Instant::now()), reply.ended());
        Some(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reply_is_shown_at_each_blocks_end_and_else_at_its_pace() {
        let (reply, shown) = watch::channel(Reply::default());
        let mut pace = Pace::new(shown, Duration::from_millis(100));
        let began = Instant::now();
        let at = |reply: Option<Reply>| (began.elapsed().as_millis(), reply.map(|reply| reply.markdown()));
        reply.send_modify(|reply| reply.write("One"));
        assert_eq!(at(pace.next().await), (0, Some("One".to_owned())));
        reply.send_modify(|reply| reply.write(" two"));
        assert_eq!(at(pace.next().await), (100, Some("One two".to_owned())));
        reply.send_modify(|reply| reply.call("now", "{}"));
        let (ms, words) = at(pace.next().await);
        assert_eq!((ms, words.unwrap().contains("now")), (100, true));
        reply.send_modify(|reply| reply.answered("now", "noon"));
        assert_eq!(at(pace.next().await).0, 100);
        drop(reply);
        assert_eq!(at(pace.next().await), (100, None));
    }
}

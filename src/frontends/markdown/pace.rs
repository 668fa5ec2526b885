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
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_reply_is_shown_at_each_blocks_end_and_else_at_its_pace() {
        let (reply, shown) = watch::channel(Reply::default());
        let mut pace = Pace::new(shown, Duration::from_secs(3_600));
        // Now, or it waits.
        let mut next = || pace.next().now_or_never().map(|reply| reply.map(|reply| reply.markdown()));
        assert_eq!(next(), None);
        reply.send_modify(|reply| reply.write("One"));
        assert_eq!(next(), Some(Some("One".to_owned())));
        reply.send_modify(|reply| reply.write(" two"));
        assert_eq!(next(), None, "too soon");
        reply.send_modify(|reply| reply.call("now", "{}"));
        assert!(next().flatten().unwrap().starts_with("One two\n\n> [!tool]- now"));
        reply.send_modify(|reply| reply.write("Noon."));
        assert_eq!(next(), None, "too soon");
        drop(reply);
        assert_eq!(next(), Some(None));
    }

    #[tokio::test]
    async fn what_came_too_soon_is_shown_when_it_is_due() {
        let (reply, shown) = watch::channel(Reply::default());
        let mut pace = Pace::new(shown, Duration::from_millis(20));
        reply.send_modify(|reply| reply.write("One"));
        pace.next().await.unwrap();
        reply.send_modify(|reply| reply.write(" two"));
        assert_eq!(pace.next().await.unwrap().markdown(), "One two");
    }
}

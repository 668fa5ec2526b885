//! One reply for a file, by the same session actor as every other frontend's: the user's words go in as a
//! typed turn that is to be read, not heard, and the session is over when it has been answered.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::reply::Reply;
use crate::conversation::ids::SessionId;
use crate::conversation::log::SessionWriter;
use crate::engines::CancelToken;
use crate::frontends::admission::Admitted;
use crate::frontends::agents::Agent;
use crate::frontends::live::Live;
use crate::frontends::server::Server;
use crate::session::messages::{FromClient, Hello, ToClient, Upkept, Wish};
use crate::session::settings::{Offers, Settings};
use crate::session::{self, Journal, Start};
use crate::turn::config::TurnConfig;
use crate::turn::io::{Event, Fault, Outcome, RequestId};

/// Messages of the session that wait for this side. A reply may come faster than it is looked at; a session
/// whose queue is full would think its client slow.
const QUEUE_LENGTH: usize = 8_192;
/// A text is as long as the model may write.
const MAX_REPLY_CHARS: usize = 4 << 20;

/// A conversation that is to be gone on with.
pub struct Run {
    /// Who answers.
    pub agent: Arc<Agent>,
    /// The conversation's pen.
    pub writer: SessionWriter,
    /// What the user says; `None`: the log has it already.
    pub words: Option<String>,
    /// The conversation's sessions are open here for as long as these live.
    pub live: Vec<Live>,
    /// Its place among the sessions.
    pub admitted: Admitted,
}

/// How it went.
#[derive(Debug)]
pub struct Ended {
    /// The session in which the conversation goes on.
    pub session: SessionId,
    /// What failed, if something did.
    pub fault: Option<Fault>,
    /// It was stopped before it was complete.
    pub cancelled: bool,
}

/// Lets the agent answer. What it writes shows in `reply` as it comes. Set `cancel`, and it stops; what has
/// come by then is in the log when this returns.
pub async fn run(
    server: &Arc<Server>,
    run: Run,
    reply: &watch::Sender<Reply>,
    cancel: &CancelToken,
) -> Ended {
    let Run { agent, writer, words, live, admitted } = run;
    let mut session = writer.session_id();
    let persona = server.persona_of(&agent);
    let offers = Offers { clips: false, ..Offers::of(&agent.engines) };
    let mut settings = Settings::new(&agent.config, &persona, &offers);
    settings.turn = TurnConfig {
        text_only: true,
        // What is said instead of a reply is for ears: a file has its own way to tell.
        apology: String::new(),
        filler: Vec::new(),
        max_reply_chars: MAX_REPLY_CHARS,
        ..settings.turn
    };
    // Whoever goes on with one of its sessions goes on with the conversation.
    let replaced = CancelToken::new();
    let goes_on_elsewhere: Vec<CancelToken> = live.iter().map(Live::replaced).collect();
    let hello = Hello {
        session_id: session.to_string(),
        resume_token: String::new(),
        resumed: writer.last_turn() > 0,
        live: false,
        recorded: false,
        agent: agent.name.clone(),
        engines: agent.engines.names.clone(),
    };
    let start = Start {
        hello,
        config: Arc::clone(&agent.config),
        engines: Arc::clone(&agent.engines),
        tools: Arc::clone(&agent.tools),
        keeper: Arc::clone(&server.keeper),
        journal: Journal::new(writer),
        settings,
        shows_thoughts: true,
        greeting: None,
        tape: None,
        recorder: None,
        drain: server.drain.clone(),
        stop: server.stop.clone(),
        replaced: replaced.clone(),
        returns: None,
        moved: live.last().map_or_else(|| Box::new(|_| {}) as _, Live::mover),
    };
    let (to_session, inbound) = mpsc::channel(4);
    let (to_client, mut messages) = mpsc::channel(QUEUE_LENGTH);
    server.sessions.spawn(async move {
        let elsewhere = goes_on_elsewhere.iter().map(|token| Box::pin(token.cancelled()));
        let elsewhere = async {
            futures_util::future::select_all(elsewhere).await;
            replaced.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = session::run(start, inbound, to_client) => {}
            () = elsewhere => {}
        }
        drop((admitted, live));
    });
    let asked = match words {
        Some(words) => FromClient::Text(words),
        None => FromClient::Respond(RequestId(1), Wish { text_only: true, ..Wish::default() }),
    };
    // A session that has ended at once says why below.
    let _ = to_session.send(asked).await;
    let mut to_session = Some(to_session);
    let (mut outcome, mut fault) = (None, None);
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Some(ToClient::Event(event)) => {
                    if let Some(ended) = note(event, reply, &mut fault) {
                        outcome = Some(ended);
                        // Without a client it writes its last words, and ends.
                        to_session = None;
                    }
                }
                Some(ToClient::Thought(thought)) => reply.send_modify(|reply| reply.think(&thought)),
                Some(ToClient::Upkept(Upkept::CompactDone { session: next })) => session = next,
                Some(_) => {}
                None => break,
            },
            () = cancel.cancelled(), if to_session.is_some() => to_session = None,
        }
    }
    let cancelled = cancel.is_cancelled() && outcome != Some(Outcome::Completed);
    if outcome == Some(Outcome::Completed) {
        // What went wrong on the way was mended.
        fault = None;
    } else if fault.is_none() && !cancelled {
        let message =
            "the reply was stopped: the server is about to stop, or the conversation goes on elsewhere";
        fault = Some(Fault { code: "stopped".to_owned(), message: message.to_owned() });
    }
    Ended { session, fault, cancelled }
}

/// Takes down what the session tells; the outcome, when that is told.
fn note(event: Event, reply: &watch::Sender<Reply>, fault: &mut Option<Fault>) -> Option<Outcome> {
    match event {
        Event::ReplyText { text, .. } => reply.send_modify(|reply| reply.write(&text)),
        Event::ToolCall { name, arguments, .. } => reply.send_modify(|reply| reply.call(&name, &arguments)),
        Event::ToolResult { name, summary, .. } => reply.send_modify(|reply| reply.answered(&name, &summary)),
        Event::Error { fault: wrong, .. } | Event::NoReply { fault: wrong, .. } => *fault = Some(wrong),
        Event::TurnEnd { outcome, .. } => {
            reply.send_modify(Reply::end_block);
            return Some(outcome);
        }
        _ => {}
    }
    None
}

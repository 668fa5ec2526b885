//! Memories: looking for them behind a conversation's back, and recalling them in later ones.
//!
//! ```text
//! after a run, where the prompt has grown enough:
//!   messages since the pointer ─▶ items, pointer           (into the session's log, by its shared head)
//! where enough items wait:
//!   items, memories like them ─▶ memories                  (likewise)
//! before the model is asked:
//!   the user's words ─▶ the store's search ─▶ a few memories ─▶ the prompt
//! ```
//! A search is a task of its own: no turn waits for it, and it goes on when its conversation is over. The
//! server waits for it at its end ([`Keeper::wait_for_memory_jobs`]).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::asking::Worker;
use super::tokens::Counter;
use super::{Delay, by_rule};
use crate::config::Memory as Settings;
use crate::conversation::events::{Event, Memory, MemoryDeleted, MemoryItem, MemoryKind, MemoryPointer};
use crate::conversation::history::HistoryMessage;
use crate::conversation::ids::{Hash, SessionId};
use crate::conversation::log::{BackgroundWriter, ConversationLog};
use crate::conversation::projections::{MemoryItemRow, MemoryRow, Whose};
use crate::conversation::recall::{Candidate, recall};
use crate::conversation::store::now_unix_us;
use crate::conversation::{compaction, extractive};
use crate::engines::{CancelToken, Engines, ToolSpec};
use crate::session::Session;
use crate::session::messages::{ToClient, Upkept};
use crate::session::requests::Request;
use crate::session::work::Arrival;
use crate::turn::io::{Fault, ReplyId};

/// About whom a memory is where nobody says.
const USER: &str = "user";
/// Items that become memories at a time.
const MOST_ITEMS: usize = 100;
/// Memories that are shown for each item, in case it says the same.
const LIKE_EACH: usize = 3;
/// Memories out of which those for a prompt are chosen.
const CANDIDATES: usize = 40;
/// A reply does not wait longer for memories.
const PATIENCE: Duration = Duration::from_millis(200);
/// Two texts of which so many words are the same say the same.
const ALIKE: f64 = 0.8;
/// Tokens of one answer of the model.
const MAX_ANSWER_TOKENS: u32 = 4_096;

/// Keeps memories, for all conversations of the server.
#[derive(Debug)]
pub struct Keeper {
    log: Arc<ConversationLog>,
    settings: Settings,
    jobs: TaskTracker,
    /// Whose items are being made memories of.
    consolidating: Mutex<HashSet<Option<Hash>>>,
}

/// What is told of a search.
#[derive(Debug)]
pub enum News {
    /// It has begun.
    Started,
    /// It has ended: pieces found and memories made, or why not.
    Ended {
        /// The session that was looked through.
        session: SessionId,
        /// How far.
        pointer: MemoryPointer,
        /// What came of it.
        result: Result<(usize, usize), Fault>,
    },
}

/// One search.
struct Search {
    engines: Arc<Engines>,
    writer: BackgroundWriter,
    owner: Option<Hash>,
    messages: Vec<HistoryMessage>,
    pointer: MemoryPointer,
}

impl Keeper {
    /// Keeps them in `log`.
    pub fn new(log: Arc<ConversationLog>, settings: Settings) -> Arc<Keeper> {
        Arc::new(Keeper { log, settings, jobs: TaskTracker::new(), consolidating: Mutex::default() })
    }

    /// Done when no search is under way any more.
    pub async fn wait_for_memory_jobs(&self) {
        self.jobs.close();
        self.jobs.wait().await;
        self.jobs.reopen();
    }

    fn search(self: &Arc<Self>, search: Search, tell: impl Fn(News) + Send + Sync + 'static) {
        let keeper = Arc::clone(self);
        self.jobs.spawn(async move {
            tell(News::Started);
            let (session, pointer) = (search.writer.session_id(), search.pointer.clone());
            let result = keeper.extract_and_consolidate(search).await;
            if let Err(fault) = &result {
                tracing::warn!(code = fault.code, session_id = %session, "no memories: {}", fault.message);
            }
            tell(News::Ended { session, pointer, result });
        });
    }

    async fn extract_and_consolidate(&self, search: Search) -> Result<(usize, usize), Fault> {
        let Search { engines, writer, owner, messages, pointer } = search;
        let found = self.extract(&engines, messages).await?;
        let item = |(kind, text)| {
            let (id, turn, person) = (SessionId::random(), pointer.turn, USER.to_owned());
            Event::MemoryItem(MemoryItem { id, turn, kind, person, text })
        };
        let mut events: Vec<Event> = found.into_iter().map(item).collect();
        let items = events.len();
        // The pointer moves if nothing was found, too.
        events.push(Event::MemoryPointer(pointer));
        append(&writer, &events).await?;
        let memories = self.consolidate(&engines, &writer, owner).await?;
        Ok((items, memories))
    }

    async fn extract(
        &self,
        engines: &Engines,
        messages: Vec<HistoryMessage>,
    ) -> Result<Vec<(MemoryKind, String)>, Fault> {
        if by_rule(&self.settings.method, engines) {
            // Of the user in the first person: a prompt has to say whose words they are.
            let said = |(kind, text): (MemoryKind, String)| match extractive::is_personal(&text) {
                true => (kind, format!("The user said: {text}")),
                false => (kind, text),
            };
            return Ok(extractive::statements(&messages).into_iter().map(said).collect());
        }
        let mut counter = Counter::new(Arc::clone(&engines.count_tokens));
        let overview = compaction::overview(&messages, 16_000, &mut |text| counter.of(text));
        let cancel = CancelToken::new();
        let worker = self.worker(engines, extraction_tool(), &cancel);
        worker
            .ask(EXTRACTION, overview, |arguments| {
                let found: Extracted = serde_json::from_str(arguments).map_err(|error| error.to_string())?;
                Ok(found.items())
            })
            .await
    }

    /// Makes memories of what waits, if that is enough; one job per owner at a time.
    async fn consolidate(
        &self,
        engines: &Engines,
        writer: &BackgroundWriter,
        owner: Option<Hash>,
    ) -> Result<usize, Fault> {
        let least = self.settings.consolidate_threshold;
        if least == 0 || !self.lock(&self.consolidating).insert(owner) {
            return Ok(0);
        }
        let made = self.consolidate_alone(engines, writer, owner, least).await;
        self.lock(&self.consolidating).remove(&owner);
        made
    }

    fn lock<'a>(
        &self,
        owners: &'a Mutex<HashSet<Option<Hash>>>,
    ) -> std::sync::MutexGuard<'a, HashSet<Option<Hash>>> {
        owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn consolidate_alone(
        &self,
        engines: &Engines,
        writer: &BackgroundWriter,
        owner: Option<Hash>,
        least: usize,
    ) -> Result<usize, Fault> {
        let log = Arc::clone(&self.log);
        let read = tokio::task::spawn_blocking(move || {
            let items = log.memory_items(Whose::Of(owner), MOST_ITEMS)?;
            let mut like: Vec<MemoryRow> = vec![];
            for item in items.iter().filter(|_| items.len() >= least) {
                for (row, _) in
                    log.search_memories(Whose::Of(owner), Some(&item.person), &item.text, LIKE_EACH)?
                {
                    if like.iter().all(|known| known.id != row.id) {
                        like.push(row);
                    }
                }
            }
            Ok::<_, crate::conversation::StoreError>((items, like))
        });
        let (items, like) = read.await.map_err(stopped)?.map_err(|error| store_fault(&error))?;
        if items.len() < least {
            return Ok(0);
        }
        let memories = if by_rule(&self.settings.method, engines) {
            merged_by_rule(&items, &like)
        } else {
            let cancel = CancelToken::new();
            let worker = self.worker(engines, consolidation_tool(), &cancel);
            worker
                .ask(CONSOLIDATION, lists(&items, &like), |arguments| {
                    let merged: Merged =
                        serde_json::from_str(arguments).map_err(|error| error.to_string())?;
                    merged.memories(&items, &like)
                })
                .await?
        };
        let used: HashSet<SessionId> =
            memories.iter().flat_map(|memory| memory.from.iter().copied()).collect();
        let made = memories.len();
        let mut events: Vec<Event> = memories.into_iter().map(Event::Memory).collect();
        // What nobody wanted to keep is not asked about again.
        let left = items.iter().filter(|item| !used.contains(&item.id));
        events.extend(left.map(|item| Event::MemoryDeleted(MemoryDeleted { id: item.id })));
        append(writer, &events).await?;
        Ok(made)
    }

    fn worker<'a>(&self, engines: &'a Engines, tool: ToolSpec, cancel: &'a CancelToken) -> Worker<'a> {
        let timeout = Duration::from_millis(self.settings.timeout_ms.into());
        Worker { engines, tool, max_turns: 3, max_new_tokens: MAX_ANSWER_TOKENS, timeout, cancel }
    }
}

/// Appends and waits until it is durable.
async fn append(writer: &BackgroundWriter, events: &[Event]) -> Result<(), Fault> {
    let (tell, told) = oneshot::channel();
    writer.append(events, Box::new(|result| drop(tell.send(result))));
    match told.await {
        Ok(result) => result.map(drop).map_err(|error| store_fault(&error)),
        Err(_) => {
            Err(Fault { code: "store_closed".to_owned(), message: "the event log is closed".to_owned() })
        }
    }
}

fn store_fault(error: &crate::conversation::StoreError) -> Fault {
    Fault { code: error.code().to_owned(), message: error.to_string() }
}

fn stopped(error: tokio::task::JoinError) -> Fault {
    Fault { code: "upkeep_failed".to_owned(), message: error.to_string() }
}

const EXTRACTION: &str = "You read a conversation between a user and an assistant and note down what is worth \
    knowing in a later conversation, weeks from now. Call write_extracted once. Each entry is one full sentence that \
    is understood by itself, about the user in the third person, with names, numbers and dates. Leave out small talk, \
    and what anybody can look up. Empty lists are fine.";

fn extraction_tool() -> ToolSpec {
    let list = |what: &str| json!({ "type": "array", "items": { "type": "string" }, "description": what });
    ToolSpec {
        name: "write_extracted".to_owned(),
        description: "Takes what is worth keeping.".to_owned(),
        parameters: json!({
            "type": "object",
            "properties": {
                "decisions": list("what was settled"),
                "discussions": list("what was talked about, and what came of it; facts about the user"),
                "attempts": list("what was tried, and how it went"),
                "requests": list("what the user wants, once or always"),
            },
            "additionalProperties": false,
        }),
    }
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Extracted {
    decisions: Vec<String>,
    discussions: Vec<String>,
    attempts: Vec<String>,
    requests: Vec<String>,
}

impl Extracted {
    fn items(self) -> Vec<(MemoryKind, String)> {
        let of = |kind, texts: Vec<String>| texts.into_iter().map(move |text| (kind, text.trim().to_owned()));
        let mut items: Vec<(MemoryKind, String)> = of(MemoryKind::Decision, self.decisions)
            .chain(of(MemoryKind::Discussion, self.discussions))
            .chain(of(MemoryKind::Attempt, self.attempts))
            .chain(of(MemoryKind::Request, self.requests))
            .collect();
        items.retain(|(_, text)| !text.is_empty());
        items
    }
}

const CONSOLIDATION: &str = "You keep an assistant's long-term memory of people. You get new notes and memories \
    that are like them, both numbered. Call write_memories once with the memories to be written: each is one full \
    sentence that is understood by itself, made of one or more notes (`notes`). Where a memory says the same as a \
    note, or is out of date by it, name it in `replaces` and write what is true now. Leave out notes that are not \
    worth keeping.";

fn consolidation_tool() -> ToolSpec {
    let numbers = json!({ "type": "array", "items": { "type": "integer" } });
    ToolSpec {
        name: "write_memories".to_owned(),
        description: "Takes the memories.".to_owned(),
        parameters: json!({
            "type": "object",
            "properties": {
                "memories": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "person": { "type": "string" },
                            "text": { "type": "string" },
                            "notes": numbers.clone(),
                            "replaces": numbers,
                        },
                        "required": ["text", "notes"],
                        "additionalProperties": false,
                    },
                },
            },
            "required": ["memories"],
            "additionalProperties": false,
        }),
    }
}

fn lists(items: &[MemoryItemRow], like: &[MemoryRow]) -> String {
    let date = |at_unix_us: i64| {
        let at = jiff::Timestamp::from_microsecond(at_unix_us).unwrap_or_default();
        at.strftime("%Y-%m-%d").to_string()
    };
    let notes = (1..).zip(items).map(|(number, item)| {
        format!("{number}. {} ({}, {})\n", item.text, item.person, date(item.at_unix_us))
    });
    let known = (1..).zip(like).map(|(number, memory)| {
        format!("{number}. {} ({}, {})\n", memory.text, memory.person, date(memory.said_at_unix_us))
    });
    format!("Notes:\n{}\nMemories:\n{}", notes.collect::<String>(), known.collect::<String>())
}

#[derive(Deserialize)]
struct Merged {
    memories: Vec<MergedMemory>,
}

#[derive(Deserialize)]
struct MergedMemory {
    person: Option<String>,
    text: String,
    notes: Vec<usize>,
    #[serde(default)]
    replaces: Vec<usize>,
}

impl Merged {
    fn memories(self, items: &[MemoryItemRow], like: &[MemoryRow]) -> Result<Vec<Memory>, String> {
        let numbered = |number: usize, most: usize, list: &str| match number.checked_sub(1) {
            Some(at) if at < most => Ok(at),
            _ => Err(format!("{list}: there is no number {number}; there are 1 to {most}")),
        };
        let mut memories = vec![];
        for memory in self.memories {
            let notes: Vec<&MemoryItemRow> = memory
                .notes
                .iter()
                .map(|number| numbered(*number, items.len(), "notes").map(|at| &items[at]))
                .collect::<Result<_, _>>()?;
            let replaces = memory
                .replaces
                .iter()
                .map(|number| numbered(*number, like.len(), "replaces").map(|at| like[at].id));
            let text = memory.text.trim().to_owned();
            let Some(newest) = notes.iter().max_by_key(|item| item.at_unix_us).filter(|_| !text.is_empty())
            else {
                return Err("each memory has a text and is made of one note at least".to_owned());
            };
            let person =
                memory.person.map(|person| person.trim().to_owned()).filter(|person| !person.is_empty());
            memories.push(Memory {
                id: SessionId::random(),
                person: person.unwrap_or_else(|| newest.person.clone()),
                text,
                said_at_unix_us: newest.at_unix_us,
                from: notes.iter().map(|item| item.id).collect(),
                replaces: replaces.collect::<Result<_, _>>()?,
            });
        }
        Ok(memories)
    }
}

/// Each item becomes a memory, in place of those that say the same.
fn merged_by_rule(items: &[MemoryItemRow], like: &[MemoryRow]) -> Vec<Memory> {
    let mut memories: Vec<Memory> = vec![];
    for item in items {
        if let Some(same) = memories.iter_mut().find(|memory| alike(&memory.text, &item.text)) {
            same.text.clone_from(&item.text);
            same.said_at_unix_us = same.said_at_unix_us.max(item.at_unix_us);
            same.from.push(item.id);
            continue;
        }
        let replaced = like.iter().filter(|row| row.person == item.person && alike(&row.text, &item.text));
        memories.push(Memory {
            id: SessionId::random(),
            person: item.person.clone(),
            text: item.text.clone(),
            said_at_unix_us: item.at_unix_us,
            from: vec![item.id],
            replaces: replaced.map(|row| row.id).collect(),
        });
    }
    memories
}

/// Most of their words are the same.
fn alike(one: &str, other: &str) -> bool {
    let words = |text: &str| -> HashSet<String> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect()
    };
    let (one, other) = (words(one), words(other));
    let both = one.intersection(&other).count() as f64;
    both / (one.union(&other).count() as f64).max(1.0) >= ALIKE
}

impl Session {
    /// Looks for memories that fit what the user said; `false`: there is nothing to look for.
    pub(in crate::session) fn recall(&mut self, request: &Request) -> bool {
        let settings = &self.config.memory;
        if !settings.recalls() || request.user_text.trim().is_empty() {
            return false;
        }
        let (log, inbox) = (Arc::clone(&self.keeper.log), self.work.inbox());
        let (owner, known, reply) = (self.journal.writer().owner(), self.upkeep.known(), request.reply);
        let (query, most) = (request.user_text.clone(), settings.recall_tokens);
        let count = Arc::clone(&self.work.engines().count_tokens);
        let searching = tokio::task::spawn_blocking(move || {
            let found = log.search_memories(Whose::Of(owner), None, &query, CANDIDATES)?;
            let candidate = |(row, relevance): (MemoryRow, f64)| Candidate {
                text: row.text,
                relevance,
                said_at_unix_us: row.said_at_unix_us,
            };
            let candidates = found.into_iter().map(candidate).collect();
            Ok::<_, crate::conversation::StoreError>(recall(
                candidates,
                &known,
                now_unix_us(),
                most,
                &mut |text| count(text),
            ))
        });
        tokio::spawn(async move {
            let recalled = match tokio::time::timeout(PATIENCE, searching).await {
                Ok(Ok(Ok(recalled))) => recalled,
                Ok(Ok(Err(error))) => {
                    tracing::warn!("no memories are recalled: {error}");
                    vec![]
                }
                Ok(Err(_)) | Err(_) => vec![],
            };
            let _ = inbox.send(Arrival::Recalled(reply, recalled)).await;
        });
        true
    }

    pub(in crate::session) fn on_recalled(&mut self, reply: ReplyId, recalled: Vec<String>) {
        self.upkeep.recalled.extend(recalled);
        // The newest belong to what is talked about now.
        let most = self.config.memory.recall_tokens;
        let upkeep = &mut self.upkeep;
        while upkeep.recalled.iter().map(|text| upkeep.counter.of(text)).sum::<u64>() > most {
            upkeep.recalled.remove(0);
        }
        let waits =
            |(request, delay): &mut (Request, Delay)| request.reply == reply && *delay == Delay::Recall;
        if let Some((request, _)) = self.upkeep.waiting.take_if(waits) {
            self.ask_with_room(request);
        }
    }

    /// A run is over: is there enough to look through for memories?
    pub(in crate::session) fn remember(&mut self) {
        let threshold = self.config.memory.extract_threshold;
        let tokens = self.upkeep.usage.last_input_tokens();
        let grown = tokens.saturating_sub(self.upkeep.pointer.input_tokens);
        if threshold == 0 || grown < threshold || self.upkeep.remembering {
            return;
        }
        self.upkeep.remembering = true;
        let from = self.upkeep.pointer.turn;
        let history = self.journal.history().iter();
        let messages = history.filter(|m| m.turn > from && !compaction::is_made(m)).cloned().collect();
        let search = Search {
            engines: self.work.engines_shared(),
            writer: self.journal.writer().background(),
            owner: self.journal.writer().owner(),
            messages,
            pointer: MemoryPointer { turn: self.journal.last_turn().0, input_tokens: tokens },
        };
        let inbox = self.work.inbox();
        self.keeper.search(search, move |news| {
            // Nobody waits for it; a session that is gone, or has other worries, is not told.
            let _ = inbox.try_send(Arrival::Remembered(news));
        });
    }

    pub(in crate::session) fn on_remembered(&mut self, news: News) {
        let upkept = match news {
            News::Started => Upkept::MemoryStart,
            News::Ended { session, pointer, result } => {
                self.upkeep.remembering = false;
                if result.is_ok() && session == self.journal.session_id() {
                    self.upkeep.pointer = pointer;
                }
                match result {
                    Ok((items, memories)) => Upkept::MemoryDone { items, memories },
                    Err(fault) => Upkept::MemoryFailed { fault },
                }
            }
        };
        self.send(ToClient::Upkept(upkept));
    }
}

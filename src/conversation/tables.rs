//! The projections in memory: what stores are held against.

use std::collections::{BTreeMap, BTreeSet};

use super::chain::StoredEvent;
use super::history::Role;
use super::ids::{Hash, SeqNo, SessionId};
use super::projections::{
    AuditRow, Change, ConversationRow, MemoryItemRow, MemoryRow, MessageRow, Talk, change,
};

/// All tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    /// `conversations`
    pub conversations: BTreeMap<SessionId, ConversationRow>,
    /// `messages`
    pub messages: BTreeMap<(SessionId, SeqNo), MessageRow>,
    /// `memory_items`
    pub memory_items: BTreeMap<SessionId, MemoryItemRow>,
    /// `memories`
    pub memories: BTreeMap<SessionId, MemoryRow>,
    /// `audits`
    pub audits: BTreeMap<(SessionId, SeqNo), AuditRow>,
    /// `deleted_sessions`
    pub deleted_sessions: BTreeSet<SessionId>,
}

impl Tables {
    /// Lets one more event happen. Events come in the order in which they were written.
    pub fn apply(&mut self, stored: &StoredEvent) {
        match change(stored) {
            None => {}
            Some(Change::Start(row)) => drop(self.conversations.insert(row.session, *row)),
            Some(Change::Talk(talk)) => self.talk(stored, talk),
            Some(Change::AddItem(row)) => {
                let owner = self.owner(row.session);
                self.memory_items.insert(row.id, MemoryItemRow { owner, ..*row });
            }
            Some(Change::Remember { row, from, replaces }) => {
                for id in from {
                    if let Some(item) = self.memory_items.get_mut(&id) {
                        item.consolidated = true;
                    }
                }
                replaces.iter().for_each(|id| drop(self.memories.remove(id)));
                let owner = self.owner(row.session);
                self.memories.insert(row.id, MemoryRow { owner, ..*row });
            }
            Some(Change::Correct { id, text, at_unix_us }) => {
                if let Some(memory) = self.memories.get_mut(&id) {
                    (memory.text, memory.updated_at_unix_us) = (text, at_unix_us);
                }
            }
            Some(Change::Forget(id)) => {
                self.memories.remove(&id);
                self.memory_items.remove(&id);
            }
            Some(Change::DeleteSession(session)) => {
                self.conversations.remove(&session);
                self.messages.retain(|(of, _), _| *of != session);
                self.deleted_sessions.insert(session);
            }
            Some(Change::Audit(row)) => drop(self.audits.insert((row.session, row.seq), *row)),
        }
    }

    fn owner(&self, session: SessionId) -> Option<Hash> {
        self.conversations.get(&session)?.owner
    }

    fn talk(&mut self, stored: &StoredEvent, talk: Talk) {
        let Some(conversation) = self.conversations.get_mut(&stored.session) else { return };
        conversation.updated_at_unix_us = stored.at_unix_us;
        let of_session = (stored.session, SeqNo(0))..=(stored.session, SeqNo(u64::MAX));
        match talk {
            Talk::Say(row) => {
                conversation.messages += 1;
                self.messages.insert((row.session, row.seq), *row);
            }
            Talk::EndTurn => conversation.turns += 1,
            Talk::Amend { turn, heard_text, estimated } => {
                let mut newest_first =
                    self.messages.range_mut(of_session).map(|(_, row)| &mut row.message).rev();
                if let Some(reply) = newest_first.find(|m| m.role == Role::Assistant && m.turn == turn) {
                    reply.amend(&heard_text, estimated);
                }
            }
            Talk::Withdraw(spot) => {
                let at = |(_, row): &(_, &MessageRow)| row.message.is_at(&spot);
                let gone: Vec<_> =
                    self.messages.range(of_session).filter(at).map(|(place, _)| *place).collect();
                conversation.messages -= gone.len() as u64;
                gone.iter().for_each(|place| drop(self.messages.remove(place)));
            }
            Talk::End(ended) => conversation.ended = Some(ended),
        }
    }
}

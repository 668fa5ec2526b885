// Who said what, and what of it was heard. Pure: messages in, entries out; `transcript-view.js`
// shows them.
//
// An entry: { key, role: user | assistant | note, turn, text, unheard, partial, outcome, hidden }; that
// of a tool which has not answered yet has its name, too: { tool }.
// `text` is what was said or heard; `unheard` is the rest of an interrupted reply.

/**
 * Splits the text of a reply behind the part that was heard. White space does not count in the
 * comparison: segments are joined differently on the two sides. Where `heard` is not the beginning
 * of `text` (the server's word stands), as many words as it has are taken off `text`.
 */
export function splitHeard(text, heard) {
  const space = /\s/;
  let position = 0;
  for (const character of heard) {
    if (space.test(character)) continue;
    while (position < text.length && space.test(text[position])) position += 1;
    if (!text.startsWith(character, position)) {
      return { heard: heard.trim(), unheard: withoutFirstWords(text, heard) };
    }
    position += character.length;
  }
  return { heard: text.slice(0, position), unheard: text.slice(position) };
}

function withoutFirstWords(text, heard) {
  let count = heard.split(/\s+/).filter(Boolean).length;
  const rest = text.replace(/\s*\S+/g, (word) => (count-- > 0 ? '' : word));
  return rest.trim() === '' ? '' : rest;
}

/** Puts two segments of a reply behind one another as a reader expects. */
export function joinSegments(before, after) {
  if (before === '' || after === '' || /\s$/.test(before) || /^\s/.test(after)) return before + after;
  const unspaced = /[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]/; // Chinese, Japanese
  const seam = before.at(-1) + after[0];
  return unspaced.test(seam) ? before + after : `${before} ${after}`;
}

export class Transcript {
  entries = [];

  #user = new Map(); // turn → entry, of this connection
  #assistant = new Map();
  #typed = []; // typed entries whose turn is not known yet
  #nextKey = 0;
  #changed; // called with each entry that is new or different, and the entry it stands before

  constructor(changed) {
    this.#changed = changed;
  }

  /** A new connection: turn ids may start again, and what was under way does not come any more. */
  restart(note) {
    for (const entry of this.entries) {
      if (!entry.partial) continue;
      this.#set(entry, { partial: false, hidden: entry.role === 'user' });
    }
    this.#user.clear();
    this.#assistant.clear();
    this.#typed = [];
    if (note && this.entries.some((entry) => !entry.hidden)) this.note(note);
  }

  /** Something that happened, between what was said. */
  note(text, turn) {
    return this.#add({ role: 'note', text, turn });
  }

  /** What the user typed, shown before the server has given it a turn. */
  typed(text) {
    this.#typed.push(this.#add({ role: 'user', text }));
  }

  /** Takes any message of the server; those that concern nothing said are ignored. */
  apply(message) {
    const turn = message.turn_id;
    switch (message.type) {
      case 'status':
        if (['thinking', 'speaking', 'rendering'].includes(message.state)) this.#claimTyped(turn);
        break;
      case 'partial_transcript':
        this.#set(this.#userEntry(turn), { text: message.text, partial: true });
        break;
      case 'transcript':
        if (message.text !== '') {
          this.#set(this.#userEntry(turn), { text: message.text, partial: false });
        } else if (this.#user.has(turn)) {
          this.#set(this.#user.get(turn), { hidden: true });
        }
        break;
      case 'response_text':
        this.#claimTyped(turn);
        if (message.filler) this.note(message.text, turn);
        else this.#response(message);
        break;
      case 'speaking_clip':
        this.#claimTyped(turn);
        this.#set(this.#assistantEntry(turn), { text: message.text, partial: false });
        break;
      case 'interrupt':
        this.#interrupt(turn, message.heard_text ?? '');
        break;
      case 'tool_call':
        this.#claimTyped(turn);
        this.#add({ role: 'note', text: `Uses the tool ${message.name}`, turn, tool: message.name });
        break;
      case 'tool_result':
        this.#toolResult(message);
        break;
      case 'turn_end':
        this.#end(turn, message.outcome);
        break;
    }
  }

  #response({ turn_id: turn, text, final }) {
    const entry = this.#assistantEntry(turn);
    if (entry.outcome) return;
    this.#set(entry, {
      text: final ? text : joinSegments(entry.text, text),
      partial: !final,
    });
  }

  /** Completes the note of its call. */
  #toolResult({ turn_id: turn, name, summary }) {
    const call = this.entries.find((entry) => entry.turn === turn && entry.tool === name);
    const text = `Uses the tool ${name}: ${summary}`;
    if (call) this.#set(call, { text, tool: undefined });
    else this.note(text, turn);
  }

  #interrupt(turn, heardText) {
    const entry = this.#assistant.get(turn);
    if (!entry) return;
    const { heard, unheard } = splitHeard(entry.text + entry.unheard, heardText);
    this.#set(entry, { text: heard, unheard, partial: false, outcome: 'interrupted' });
  }

  #end(turn, outcome) {
    this.#claimTyped(turn);
    for (const entry of [this.#user.get(turn), this.#assistant.get(turn)]) {
      if (!entry) continue;
      // The words of a superseded turn come again with the next one; an empty turn has none.
      const hidden = outcome === 'superseded' || (outcome === 'empty' && entry.partial);
      this.#set(entry, { outcome, partial: false, hidden: entry.hidden || hidden });
    }
  }

  /** A turn that has no words of the user yet gets the oldest typed ones. */
  #claimTyped(turn) {
    if (turn === undefined || turn === null || this.#user.has(turn)) return;
    const entry = this.#typed.shift();
    if (!entry) return;
    this.#user.set(turn, entry);
    this.#set(entry, { turn });
  }

  #userEntry(turn) {
    if (!this.#user.has(turn)) {
      const before = this.#assistant.get(turn);
      this.#user.set(turn, this.#add({ role: 'user', turn, text: '' }, before));
    }
    return this.#user.get(turn);
  }

  #assistantEntry(turn) {
    if (!this.#assistant.has(turn)) {
      this.#assistant.set(turn, this.#add({ role: 'assistant', turn, text: '' }));
    }
    return this.#assistant.get(turn);
  }

  #add(fields, before) {
    const blank = { turn: undefined, unheard: '', partial: false, outcome: '', hidden: false };
    const entry = { key: this.#nextKey++, ...blank, ...fields };
    const index = before ? this.entries.indexOf(before) : this.entries.length;
    this.entries.splice(index, 0, entry);
    this.#changed(entry, before);
    return entry;
  }

  #set(entry, fields) {
    Object.assign(entry, fields);
    this.#changed(entry);
  }
}

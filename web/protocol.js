// One conversation over `/ws/chat`: the socket, its messages, and getting it back when it is lost.
//
// Knows no page: sockets, timers, chance and the HTTP probe are given, so that tests can give others.
// Deliberately absent: what the messages mean for the page (`main.js`).

export const PROTOCOL_VERSION = 1;

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;
/** A busy server is asked less eagerly. */
const BUSY_RETRY_MS = 4_000;
/** Unsent microphone audio beyond this (2 s) is dropped: late words are worse than lost ones. */
const MAX_UNSENT_BYTES = 64_000;

/**
 * Why a connection ended, and whether trying again makes sense.
 * `opened`: the `session` message had come. `httpStatus`: what the probe found, 0 if nothing.
 */
export function classifyClose({ code, opened, httpStatus = 0 }) {
  if (code === 1000) return { kind: 'done', retry: false };
  if (code === 1008) return { kind: opened ? 'refused' : 'access', retry: false };
  if (code === 1009) return { kind: 'too_big', retry: false };
  if (code === 1012) return { kind: 'restart', retry: true };
  if (code === 1013) return { kind: 'busy', retry: true };
  if (httpStatus === 401 || httpStatus === 403) return { kind: 'access', retry: false };
  if (httpStatus === 429 || httpStatus === 503) return { kind: 'busy', retry: true };
  return { kind: opened ? 'lost' : 'unreachable', retry: true };
}

/** Wait before attempt number `attempt` (from 0); `chance` in 0…1 spreads clients apart. */
export function retryDelayMs(kind, attempt, chance) {
  const base = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** attempt);
  const floor = kind === 'busy' ? BUSY_RETRY_MS : 0;
  return Math.max(floor, base) * (0.75 + 0.5 * chance);
}

/** The address of the socket for a page at `pageUrl`. */
export function socketUrl(pageUrl, { agent, sessionId, lastChunkId } = {}) {
  const url = new URL('ws/chat', pageUrl);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.search = '';
  url.hash = '';
  if (agent) url.searchParams.set('agent', agent);
  if (sessionId) url.searchParams.set('session', sessionId);
  if (lastChunkId !== undefined) url.searchParams.set('last_chunk_id', lastChunkId);
  return url;
}

/** A token can travel as a sub-protocol only if it consists of HTTP token characters (RFC 9110). */
export function isSendableToken(token) {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(token);
}

export class Session {
  /** `connecting` · `open` (the `session` message has come) · `waiting` (to retry) · `closed`. */
  phase = 'closed';
  token;

  #environment;
  #handlers;
  #pageUrl;
  #agent;
  #resume = null; // { sessionId, resumeToken }
  #lastPlayed; // the last chunk that was heard to its end
  #socket = null;
  #opened = false;
  #announced = null; // the `audio` message whose samples come next
  #attempt = 0;
  #retryTimer = null;

  /**
   * `handlers`: `connection({ phase, kind, reason, retryMs })`, `message(object)`,
   * `audio(announcement, ArrayBuffer)`, `oddity(text)` (the server broke the protocol).
   * `environment`: `openSocket(url, protocols)`, `probe(httpUrl, token)` → status or 0,
   * `setTimer(fn, ms)`, `clearTimer(id)`, `chance()`.
   */
  constructor({ pageUrl, agent, token, handlers, environment = browserEnvironment }) {
    this.#pageUrl = pageUrl;
    this.#agent = agent;
    this.token = token || '';
    this.#handlers = handlers;
    this.#environment = environment;
  }

  /** Connects now, also out of a wait. Does nothing while connecting or open. */
  connect() {
    if (this.phase === 'connecting' || this.phase === 'open') return;
    this.#environment.clearTimer(this.#retryTimer);
    const sessionId = this.#resume?.sessionId;
    const lastChunkId = sessionId && this.#lastPlayed;
    const url = socketUrl(this.#pageUrl, { agent: this.#agent, sessionId, lastChunkId });
    const protocols = ['vivavoce.v1'];
    if (this.token) {
      if (!isSendableToken(this.token)) {
        this.#enter('closed', { kind: 'access', reason: 'the token has characters it cannot have' });
        return;
      }
      protocols.push(`bearer.${this.token}`);
    }
    if (this.#resume) protocols.push(`resume.${this.#resume.resumeToken}`);
    this.#opened = false;
    this.#announced = null;
    const socket = this.#environment.openSocket(url, protocols);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      if (this.#socket === socket) this.#receive(data);
    };
    socket.onclose = (event) => {
      if (this.#socket === socket) this.#closed(event);
    };
    this.#enter('connecting', {});
  }

  /** Ends the conversation on the user's side; the next `connect` begins a new one. */
  close() {
    this.#environment.clearTimer(this.#retryTimer);
    const socket = this.#socket;
    this.#socket = null;
    this.#resume = null;
    socket?.close(1000);
    this.#enter('closed', { kind: 'done' });
  }

  /** 16 kHz mono s16le. False: not sent (no connection, or the network is too slow). */
  sendAudio(buffer) {
    if (this.phase !== 'open' || this.#socket.bufferedAmount > MAX_UNSENT_BYTES) return false;
    this.#socket.send(buffer);
    return true;
  }

  /** A typed turn. */
  sendText(text) {
    return this.#send({ type: 'text', text });
  }

  /** Stop talking; `lastChunkId`: the last chunk of this reply that was heard, if any. */
  interrupt(lastChunkId) {
    const heard = lastChunkId === undefined ? {} : { last_chunk_id: lastChunkId };
    return this.#send({ type: 'interrupt', ...heard });
  }

  /** Other settings from here on, answered by `configured`; {} only asks for those in force. */
  configure(settings) {
    return this.#send({ type: 'configure', ...settings });
  }

  played(chunkId) {
    this.#lastPlayed = chunkId;
    return this.#send({ type: 'played', chunk_id: chunkId });
  }

  #send(message) {
    if (this.phase !== 'open') return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #receive(data) {
    if (typeof data !== 'string') {
      this.#receiveAudio(data);
      return;
    }
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      this.#handlers.oddity('a text message that is not JSON');
      return;
    }
    if (message === null || typeof message.type !== 'string') {
      this.#handlers.oddity('a message without a type');
    } else if (message.type === 'audio') {
      this.#announced = message;
    } else {
      if (message.type === 'session') this.#begin(message);
      this.#handlers.message(message);
    }
  }

  #begin(message) {
    this.#opened = true;
    this.#attempt = 0;
    // In a session that did not go on, chunks are counted from the start again.
    if (!message.live) this.#lastPlayed = undefined;
    this.#resume = message.resume_token
      ? { sessionId: message.session_id, resumeToken: message.resume_token }
      : null;
    this.#enter('open', {});
    if (message.protocol !== PROTOCOL_VERSION) {
      this.#handlers.oddity(`protocol version ${message.protocol}; this page knows ${PROTOCOL_VERSION}`);
    }
  }

  #receiveAudio(buffer) {
    const announced = this.#announced;
    this.#announced = null;
    if (!announced) {
      this.#handlers.oddity('audio that was not announced');
    } else if (buffer.byteLength !== announced.samples * 2) {
      this.#handlers.oddity(`chunk ${announced.chunk_id} has not the ${announced.samples} samples announced`);
    } else {
      this.#handlers.audio(announced, buffer);
    }
  }

  async #closed({ code, reason }) {
    this.#socket = null;
    this.phase = 'waiting';
    const opened = this.#opened;
    let httpStatus = 0;
    if (!opened && code !== 1008 && code !== 1012 && code !== 1013) {
      // Browsers do not tell why an upgrade was refused; the same address over HTTP does.
      const url = socketUrl(this.#pageUrl, { agent: this.#agent });
      url.protocol = url.protocol === 'wss:' ? 'https:' : 'http:';
      httpStatus = await this.#environment.probe(url, this.token);
      if (this.phase !== 'waiting') return; // connected or closed by somebody in the meantime
    }
    let { kind, retry } = classifyClose({ code, opened, httpStatus });
    if (!opened && this.#resume && kind !== 'busy' && (httpStatus > 0 || !retry)) {
      // The server is there and does not take the old session up again: begin a new one.
      this.#resume = null;
      [kind, retry] = ['lost', true];
    }
    if (!retry) {
      this.#enter('closed', { kind, reason });
      return;
    }
    const retryMs = retryDelayMs(kind, this.#attempt, this.#environment.chance());
    this.#attempt += 1;
    this.#retryTimer = this.#environment.setTimer(() => this.connect(), retryMs);
    this.#enter('waiting', { kind, reason, retryMs });
  }

  #enter(phase, details) {
    this.phase = phase;
    this.#handlers.connection({ phase, ...details });
  }
}

export const browserEnvironment = {
  openSocket: (url, protocols) => new WebSocket(url, protocols),
  setTimer: (callback, ms) => setTimeout(callback, ms),
  clearTimer: (id) => clearTimeout(id),
  chance: () => Math.random(),
  async probe(url, token) {
    try {
      const headers = token ? { authorization: `Bearer ${token}` } : {};
      return (await fetch(url, { headers, cache: 'no-store' })).status;
    } catch {
      return 0;
    }
  },
};

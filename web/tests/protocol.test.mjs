import assert from 'node:assert/strict';
import { test } from 'node:test';

import { classifyClose, isSendableToken, retryDelayMs, Session, socketUrl } from '../protocol.js';

/** A session with fake sockets, timers and probe; `log` is what the page would have been told. */
function bench({ token, agent, status = 0 } = {}) {
  const sockets = [];
  const timers = [];
  const log = [];
  const session = new Session({
    pageUrl: 'https://voice.example/?agent=x#token=y',
    agent,
    token,
    handlers: {
      connection: ({ phase, kind, retryMs }) => log.push([phase, kind, retryMs].filter((x) => x !== undefined).join(' ')),
      message: (message) => log.push(`message ${message.type}`),
      audio: (announced, buffer) => log.push(`audio ${announced.chunk_id} ${buffer.byteLength}`),
      oddity: (text) => log.push(`oddity ${text}`),
    },
    environment: {
      openSocket(url, protocols) {
        const socket = {
          url: String(url),
          protocols,
          sent: [],
          bufferedAmount: 0,
          send: (data) => socket.sent.push(data),
          close: (code) => (socket.closedWith = code),
        };
        sockets.push(socket);
        return socket;
      },
      probe: async (url, probeToken) => {
        log.push(`probe ${url} ${probeToken}`);
        return status;
      },
      setTimer: (callback, ms) => timers.push({ callback, ms }),
      clearTimer: () => {},
      chance: () => 0.5,
    },
  });
  const socket = () => sockets.at(-1);
  const give = (message) => socket().onmessage({ data: JSON.stringify(message) });
  const open = () => {
    session.connect();
    give({ type: 'session', protocol: 1, session_id: 's1', resume_token: 'r1' });
  };
  const drop = async (code, reason = '') => {
    socket().onclose({ code, reason });
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { session, sockets, timers, log, socket, give, open, drop };
}

test('the socket is beside the page, with agent and session, without the token', () => {
  const at = (page, options) => String(socketUrl(page, options));
  assert.equal(at('http://localhost:8080/?autostart#token=t'), 'ws://localhost:8080/ws/chat');
  assert.equal(at('https://a.example/voice/'), 'wss://a.example/voice/ws/chat');
  assert.equal(
    at('http://h/', { agent: 'a b', sessionId: 's1' }),
    'ws://h/ws/chat?agent=a+b&session=s1',
  );
});

test('the token travels as a sub-protocol', () => {
  const { session, socket } = bench({ token: 'abc-1_2.~', agent: 'guard' });
  session.connect();
  assert.deepEqual(socket().protocols, ['vivavoce.v1', 'bearer.abc-1_2.~']);
  assert.equal(socket().url, 'wss://voice.example/ws/chat?agent=guard');
  assert.equal(socket().binaryType, 'arraybuffer');
});

test('a token that cannot travel is refused here, without a socket', () => {
  for (const token of ['a b', 'a,b', 'ä', '"']) {
    assert.equal(isSendableToken(token), false);
    const { session, sockets, log } = bench({ token });
    session.connect();
    assert.deepEqual([sockets.length, log], [0, ['closed access']]);
  }
});

test('audio is handed over with its announcement', () => {
  const { open, give, socket, log } = bench();
  open();
  give({ type: 'audio', turn_id: 1, segment_id: 0, chunk_id: 5, samples: 4 });
  socket().onmessage({ data: new ArrayBuffer(8) });
  assert.deepEqual(log, ['connecting', 'open', 'message session', 'audio 5 8']);
});

test('audio without announcement, or of another length, is not played', () => {
  const { open, give, socket, log } = bench();
  open();
  socket().onmessage({ data: new ArrayBuffer(8) });
  give({ type: 'audio', chunk_id: 6, samples: 4 });
  socket().onmessage({ data: new ArrayBuffer(6) });
  socket().onmessage({ data: new ArrayBuffer(8) });
  assert.deepEqual(log.slice(3), [
    'oddity audio that was not announced',
    'oddity chunk 6 has not the 4 samples announced',
    'oddity audio that was not announced',
  ]);
});

test('what is not a message is passed over', () => {
  const { open, socket, log } = bench();
  open();
  for (const data of ['{', 'null', '[]', '{"type":3}']) socket().onmessage({ data });
  assert.deepEqual(log.slice(3).map((line) => line.split(' ')[0]), Array(4).fill('oddity'));
});

test('what the client says has the form of the protocol', () => {
  const { session, open, socket } = bench();
  open();
  session.interrupt();
  session.interrupt(0);
  session.played(3);
  session.sendText('Hello');
  assert.deepEqual(socket().sent.map((text) => JSON.parse(text)), [
    { type: 'interrupt' },
    { type: 'interrupt', last_chunk_id: 0 },
    { type: 'played', chunk_id: 3 },
    { type: 'text', text: 'Hello' },
  ]);
});

test('nothing is sent before the session is there', () => {
  const { session, socket } = bench();
  assert.equal(session.sendText('Hello'), false);
  session.connect();
  assert.equal(session.sendText('Hello'), false);
  assert.equal(session.sendAudio(new ArrayBuffer(640)), false);
  assert.deepEqual(socket().sent, []);
});

test('microphone audio is dropped, not piled up, when the network is too slow', () => {
  const { session, open, socket } = bench();
  open();
  assert.equal(session.sendAudio(new ArrayBuffer(640)), true);
  socket().bufferedAmount = 64_001;
  assert.equal(session.sendAudio(new ArrayBuffer(640)), false);
  assert.equal(socket().sent.length, 1);
});

test('a lost connection comes back and takes the session up again', async () => {
  const { open, drop, timers, socket, log } = bench();
  open();
  await drop(1006);
  assert.equal(log.at(-1), 'waiting lost 500');
  timers[0].callback();
  assert.equal(socket().url, 'wss://voice.example/ws/chat?session=s1');
  assert.deepEqual(socket().protocols, ['vivavoce.v1', 'resume.r1']);
});

test('waits grow while the server is away, and the session is not forgotten', async () => {
  const { open, drop, timers, socket } = bench();
  open();
  await drop(1012);
  for (let n = 0; n < 7; n += 1) {
    timers.at(-1).callback();
    await drop(1006);
  }
  assert.deepEqual(timers.map(({ ms }) => ms), [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  timers.at(-1).callback();
  assert.match(socket().url, /session=s1/);
  open();
  await drop(1012);
  assert.equal(timers.at(-1).ms, 500);
});

test('a session that the server does not take up again gives way to a new one', async () => {
  const { open, drop, timers, socket } = bench({ status: 404 });
  open();
  await drop(1006);
  timers.at(-1).callback();
  await drop(1006);
  timers.at(-1).callback();
  assert.equal(socket().url, 'wss://voice.example/ws/chat');
  assert.deepEqual(socket().protocols, ['vivavoce.v1']);
});

test('why an upgrade was refused is asked over HTTP', async () => {
  for (const [status, expected] of [
    [401, 'closed access'],
    [403, 'closed access'],
    [429, 'waiting busy 4000'],
    [503, 'waiting busy 4000'],
    [426, 'waiting unreachable 500'],
    [0, 'waiting unreachable 500'],
  ]) {
    const { session, drop, log } = bench({ status, token: 't' });
    session.connect();
    await drop(1006);
    assert.deepEqual(log.slice(1), ['probe https://voice.example/ws/chat t', expected], `HTTP ${status}`);
  }
});

test('close codes say what happened and whether to try again', () => {
  const kind = (code, opened) => {
    const { kind: name, retry } = classifyClose({ code, opened });
    return `${name}${retry ? ' retry' : ''}`;
  };
  assert.equal(kind(1000, true), 'done');
  assert.equal(kind(1008, false), 'access');
  assert.equal(kind(1008, true), 'refused');
  assert.equal(kind(1009, true), 'too_big');
  assert.equal(kind(1012, true), 'restart retry');
  assert.equal(kind(1013, false), 'busy retry');
  assert.equal(kind(1006, true), 'lost retry');
  assert.equal(kind(1006, false), 'unreachable retry');
  assert.equal(kind(1011, true), 'lost retry');
});

test('chance spreads the waits by a quarter to both sides', () => {
  assert.equal(retryDelayMs('lost', 0, 0), 375);
  assert.equal(retryDelayMs('lost', 0, 1), 625);
  assert.equal(retryDelayMs('busy', 0, 0), 3000);
});

test('messages of an earlier socket are not heard', () => {
  const { session, sockets, open, log } = bench();
  open();
  session.close();
  const before = log.length;
  sockets[0].onmessage({ data: '{"type":"status"}' });
  sockets[0].onclose({ code: 1006 });
  assert.equal(log.length, before);
  assert.equal(sockets[0].closedWith, 1000);
});

test('connecting during the probe is not undone by its answer', async () => {
  const { session, socket, sockets, log } = bench({ status: 503 });
  session.connect();
  socket().onclose({ code: 1006, reason: '' });
  session.connect();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(sockets.length, 2);
  assert.equal(log.at(-1), 'connecting');
});

test('who comes back says what was heard last, as long as the session is the same', async () => {
  const { session, socket, give, open, drop } = bench();
  open();
  session.played(7);
  await drop(1006);
  session.connect();
  assert.equal(socket().url, 'wss://voice.example/ws/chat?session=s1&last_chunk_id=7');
  give({ type: 'session', protocol: 1, session_id: 's1', resume_token: 'r1', resumed: true, live: true });
  await drop(1006);
  session.connect();
  assert.match(socket().url, /last_chunk_id=7/);
  give({ type: 'session', protocol: 1, session_id: 's1', resume_token: 'r1', resumed: true });
  await drop(1006);
  session.connect();
  assert.doesNotMatch(socket().url, /last_chunk_id/);
});

// Wires the page together: what the socket says goes to the player, the clip and the transcript;
// what the person does goes to the socket. Decides nothing about the conversation itself.
//
// What tests and style sheets may read: data attributes of <body>: connection (connecting · open ·
// waiting · closed), state (the server's), look (what is shown: state.js), microphone (unavailable ·
// off · starting · on), held (true while the server holds a reply), sounding (true while audio is
// played), audio (state of the AudioContext), played (the last chunk reported as heard), resumed
// (whether the server took an earlier conversation up again).

import { ClipStage } from './clip.js';
import { DeviceChoice } from './devices.js';
import { FactsBox } from './facts.js';
import { LatencyLog, showLatency } from './latency.js';
import { Microphone, microphoneObstacle } from './microphone.js';
import { button, Notices, tokenForm } from './notices.js';
import { meterPosition } from './pcm.js';
import { Player } from './player.js';
import { connectionProblem, MICROPHONE_PROBLEMS, NO_LANGUAGE_MODEL } from './problems.js';
import { Session } from './protocol.js';
import { describeState, engineNames, isReplying } from './state.js';
import { TranscriptView } from './transcript-view.js';
import { Transcript } from './transcript.js';

const TOKEN_KEY = 'vivavoce.token';
/** Silence sent after the microphone went off, so that the server hears the end of the last word. */
const SILENCE_STEP_MS = 100;
const SILENCE_AT_LEAST_MS = 1000;
const SILENCE_AT_MOST_MS = 5000;

/** Errors about a report or a stop that crossed with the server's own decision: nothing to tell anybody. */
const CROSSED = new Set(['stale_chunk', 'unknown_chunk', 'nothing_to_interrupt']);

const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const page = document.body.dataset;
page.connection = 'closed';
page.state = 'listening';
page.microphone = microphoneObstacle() ? 'unavailable' : 'off';

const notices = new Notices(byId('notices'));
const transcriptView = new TranscriptView(byId('transcript'), byId('scroller'));
const transcript = new Transcript((entry, before) => transcriptView.show(entry, before));
const latency = new LatencyLog();

let context = null; // the one AudioContext, made at the first gesture
let replyTurn; // the turn whose audio or text came last
let silencedTurn; // the turn that the person stopped: what is under way of it is not played
let lastHeard = {}; // { turn, chunkId }
let silenceTimer = null;
let sendWhenOpen = false; // what is in the text box was to be sent while there was no connection
const turnOfChunk = new Map();

const player = new Player({
  onPlayed(chunkId) {
    lastHeard = { turn: turnOfChunk.get(chunkId), chunkId };
    turnOfChunk.delete(chunkId);
    page.played = chunkId;
    session.played(chunkId);
  },
  onSounding(sounding) {
    page.sounding = sounding;
    showState();
  },
});

const clips = new ClipStage({
  stage: byId('stage'),
  idle: byId('idle'),
  clip: byId('clip'),
  onPlaying: () => showState(),
  onBlocked: () => askForGesture(),
  onFailed: () => notices.show('video', 'A video reply could not be played.'),
});

const microphone = new Microphone({
  onAudio(pcm, { rms }) {
    byId('level').style.setProperty('--level', meterPosition(rms).toFixed(3));
    session.sendAudio(pcm);
  },
  onLost() {
    microphoneOff();
    notices.show('microphone', MICROPHONE_PROBLEMS.lost);
  },
});

const devices = new DeviceChoice({
  input: byId('input-device'),
  output: byId('output-device'),
  outputRow: byId('output-row'),
  onInput: () => microphoneWanted() && microphoneOn(),
  onOutput: chooseOutput,
});

const session = new Session({
  pageUrl: location.href,
  agent: query.get('agent'),
  token: takeToken(),
  handlers: {
    connection: onConnection,
    message: onMessage,
    audio: onAudio,
    oddity: (text) => console.warn(`vivavoce: the server sent ${text}`),
  },
});

const facts = new FactsBox({
  form: byId('facts-form'),
  prompt: byId('prompt'),
  facts: byId('facts'),
  note: byId('facts-note'),
  example: byId('facts-example'),
  reset: byId('facts-reset'),
  send: (settings) => session.configure(settings),
});

// --- From the server ---

function onConnection({ phase, kind, reason }) {
  page.connection = phase;
  if (phase === 'open') {
    notices.clear('connection');
  } else {
    page.state = 'listening';
    setHeld(false);
    dropReply();
  }
  if (phase === 'waiting') {
    const actions = [button('Try now', () => session.connect())];
    notices.show('connection', connectionProblem(kind, reason), { actions, dismissable: false });
  } else if (phase === 'closed') {
    microphoneOff();
    const actions = kind === 'access' ? [tokenForm(useToken)] : [];
    const tone = kind === 'done' ? 'info' : 'error';
    notices.show('connection', connectionProblem(kind, reason), { tone, actions, dismissable: false });
  }
  showState();
}

function onAudio({ turn_id: turn, chunk_id: chunkId }, pcm) {
  replyTurn = turn;
  if (turn === silencedTurn) return;
  turnOfChunk.set(chunkId, turn);
  player.enqueue(chunkId, pcm);
}

function onMessage(message) {
  switch (message.type) {
    case 'session':
      onSession(message);
      break;
    case 'status':
      page.state = message.state;
      if (isReplying(message.state)) replyTurn = message.turn_id;
      break;
    case 'video_mode':
      clips.setMode(message);
      if (message.reason) {
        notices.show('video', `Video is off; replies are audio. (${message.reason})`);
      }
      break;
    case 'speaking_clip':
      replyTurn = message.turn_id;
      if (message.turn_id !== silencedTurn) clips.play(message);
      break;
    case 'pause':
      setHeld(true);
      player.pause();
      clips.pause();
      break;
    case 'resume':
      setHeld(false);
      player.resume();
      clips.resume();
      break;
    case 'interrupt':
      setHeld(false);
      silencedTurn = message.turn_id;
      dropReply();
      break;
    case 'metrics':
      latency.add(message);
      showLatency(byId('latency'), latency);
      byId('latency-empty').hidden = true;
      break;
    case 'turn_end':
      setHeld(false);
      player.resume(); // should the server have forgotten that it held the queue
      break;
    case 'configured':
      facts.configured(message);
      break;
    case 'error':
      onError(message);
      break;
  }
  transcript.apply(message);
  announce(message);
  showState();
}

function onSession({ resumed, recorded, engines = {} }) {
  // Chunk ids and, in a new conversation, turn ids count from the start again.
  [replyTurn, silencedTurn, lastHeard] = [undefined, undefined, {}];
  turnOfChunk.clear();
  page.resumed = resumed;
  transcript.restart(resumed ? '' : 'A new conversation');
  byId('engines').replaceChildren(
    ...engineNames(engines).flatMap(([task, name]) => {
      const term = Object.assign(document.createElement('dt'), { textContent: task });
      const engine = Object.assign(document.createElement('dd'), { textContent: name });
      engine.dataset.engine = task;
      return [term, engine];
    }),
  );
  if (recorded) {
    notices.show('recorded', 'This conversation is recorded.', { tone: 'info' });
  } else {
    notices.clear('recorded');
  }
  byId('small-model').hidden = engines.llm_model !== 'concierge';
  if (engines.llm === 'echo') {
    notices.show('echo', NO_LANGUAGE_MODEL.title, {
      tone: 'info',
      detail: [NO_LANGUAGE_MODEL.question, NO_LANGUAGE_MODEL.answer],
    });
  } else {
    notices.clear('echo');
  }
  facts.opened();
  if (sendWhenOpen) byId('composer').requestSubmit();
}

function onError({ code = '', message, fatal }) {
  if (CROSSED.has(code)) return;
  if (code === 'bad_configure') facts.refused(message);
  notices.show('error', message || code, { tone: fatal ? 'error' : 'warning' });
}

/**
 * For screen readers: what was understood, and what was replied. While the microphone is on, replies
 * are not announced: they have just been heard, and the microphone would hear the screen reader.
 */
function announce(message) {
  const say = (text) => (byId('announcer').textContent = text);
  if (message.type === 'transcript' && message.text) say(`You said: ${message.text}`);
  if (message.type !== 'turn_end' || page.microphone === 'on') return;
  const reply = transcript.entries.findLast(
    ({ role, turn }) => role === 'assistant' && turn === message.turn_id,
  );
  if (reply?.text) say(`Reply: ${reply.text}`);
}

// --- From the person ---

byId('small-model').querySelector('a').addEventListener('click', () => (byId('facts-box').open = true));

byId('talk').addEventListener('click', () => {
  if (microphoneWanted()) microphoneOff();
  else microphoneOn();
});

byId('stop').addEventListener('click', stopReply);

document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || event.isComposing || byId('stop').disabled) return;
  event.preventDefault();
  stopReply();
});

byId('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = byId('text').value.trim();
  if (text === '') return;
  openAudio();
  if (session.sendText(text)) {
    transcript.typed(text);
    byId('text').value = '';
    sendWhenOpen = false;
  } else {
    sendWhenOpen = true;
    session.connect();
  }
});

// A gesture is needed for sound; which one does not matter.
for (const gesture of ['pointerdown', 'keydown']) {
  document.addEventListener(gesture, () => context && openAudio(), { passive: true });
}
globalThis.addEventListener('online', () => page.connection === 'waiting' && session.connect());

function stopReply() {
  silencedTurn = replyTurn;
  dropReply(); // first, so that the silence is immediate and what was heard is known
  session.interrupt(lastHeard.turn === replyTurn ? lastHeard.chunkId : undefined);
  setHeld(false);
  showState();
}

async function microphoneOn() {
  clearInterval(silenceTimer);
  const obstacle = microphoneObstacle();
  if (obstacle) {
    notices.show('microphone', MICROPHONE_PROBLEMS[obstacle]);
    openAudio();
    return;
  }
  session.connect();
  page.microphone = 'starting';
  showState();
  try {
    if (!(await microphone.start(openAudio(), devices.inputId))) return;
    page.microphone = 'on';
    notices.clear('microphone');
    devices.refresh();
  } catch (error) {
    microphoneOff();
    notices.show('microphone', MICROPHONE_PROBLEMS[error.kind] ?? MICROPHONE_PROBLEMS.unknown);
    console.warn(error);
  }
  showState();
}

function microphoneWanted() {
  return page.microphone === 'starting' || page.microphone === 'on';
}

function microphoneOff() {
  if (!microphoneWanted()) return;
  const wasOn = page.microphone === 'on';
  microphone.stop();
  page.microphone = 'off';
  byId('level').style.setProperty('--level', '0');
  if (wasOn) sendSilence();
  showState();
}

/** Without it, words cut off by the button would wait for their end for ever. */
function sendSilence() {
  let sentMs = 0;
  clearInterval(silenceTimer);
  silenceTimer = setInterval(() => {
    const enough = sentMs >= SILENCE_AT_LEAST_MS && page.state !== 'user_speaking';
    if (enough || sentMs >= SILENCE_AT_MOST_MS) {
      clearInterval(silenceTimer);
      return;
    }
    session.sendAudio(new ArrayBuffer(SILENCE_STEP_MS * 16 * 2));
    sentMs += SILENCE_STEP_MS;
  }, SILENCE_STEP_MS);
}

// --- Sound ---

/** The audio context, made or woken up; only a gesture makes a browser let it run. */
function openAudio() {
  if (!context) {
    context = new AudioContext({ latencyHint: 'interactive' });
    context.onstatechange = showAudio;
    player.attach(context).catch((error) => {
      notices.show('audio', 'Replies cannot be heard: the audio output could not be started.');
      console.warn(error);
    });
  }
  if (context.state !== 'running') context.resume().catch(() => {});
  clips.resume();
  showAudio();
  return context;
}

function showAudio() {
  page.audio = context.state;
  if (context.state === 'running') notices.clear('gesture');
}

function askForGesture() {
  notices.show('gesture', 'Press any key or tap anywhere: the browser wants that before it plays sound.', {
    tone: 'info',
  });
}

async function chooseOutput(deviceId) {
  try {
    await openAudio().setSinkId(deviceId);
    await clips.setSink(deviceId);
    notices.clear('audio');
  } catch {
    notices.show('audio', 'This loudspeaker cannot be used. Choose another one.');
  }
}

function dropReply() {
  player.interrupt();
  clips.discard();
}

function setHeld(held) {
  page.held = held;
}

// --- What is seen ---

function showState() {
  const sounding = page.sounding === 'true' || clips.playing;
  const { title, hint, look, replying } = describeState({
    connection: page.connection,
    state: page.state,
    microphone: page.microphone,
    held: page.held === 'true',
    sounding,
  });
  page.look = look;
  byId('state').textContent = title;
  byId('state-hint').textContent = hint;
  byId('stop').disabled = !replying;
  const on = microphoneWanted();
  byId('talk').setAttribute('aria-pressed', String(on));
  byId('talk').title = on ? 'Turn the microphone off' : 'Turn the microphone on';
  byId('empty').hidden = transcript.entries.some(({ hidden }) => !hidden);
}

/** `#token=…` is kept for this tab and taken out of the address, where others would see it. */
function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token === null) return sessionStorage.getItem(TOKEN_KEY) ?? '';
  sessionStorage.setItem(TOKEN_KEY, token);
  history.replaceState(null, '', location.pathname + location.search);
  return token;
}

function useToken(token) {
  sessionStorage.setItem(TOKEN_KEY, token);
  session.token = token;
  session.connect();
}

byId('latency-box').open = matchMedia('(min-width: 60rem)').matches;
showLatency(byId('latency'), latency);
devices.refresh();
if (microphoneObstacle() === 'insecure') notices.show('microphone', MICROPHONE_PROBLEMS.insecure);
session.connect();
showState();
if (query.has('autostart')) {
  microphoneOn();
  setTimeout(() => context && context.state !== 'running' && askForGesture(), 1000);
}

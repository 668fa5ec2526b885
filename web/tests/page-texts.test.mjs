import assert from 'node:assert/strict';
import { test } from 'node:test';

import { formatMs, LatencyLog, STAGES } from '../latency.js';
import { microphoneObstacle, microphoneProblem } from '../microphone.js';
import { connectionProblem, MICROPHONE_PROBLEMS } from '../problems.js';
import { classifyClose } from '../protocol.js';
import { describeState, engineNames } from '../state.js';

test('stage times are short to read, and a stage that did not happen is a dash', () => {
  assert.equal(formatMs(0), '0 ms');
  assert.equal(formatMs(3.24), '3.2 ms');
  assert.equal(formatMs(511.7), '512 ms');
  assert.equal(formatMs(999.7), '1.00 s');
  assert.equal(formatMs(1_234), '1.23 s');
  assert.equal(formatMs(9_996), '10.0 s');
  assert.equal(formatMs(12_345), '12.3 s');
  assert.equal(formatMs(null), '–');
  assert.equal(formatMs(undefined), '–');
});

test('the latency log keeps the last turns, newest first, in the order of the stages', () => {
  const log = new LatencyLog(2);
  for (const turn of [1, 2, 3]) log.add({ type: 'metrics', turn_id: turn, endpoint: turn, total: null });
  assert.deepEqual(log.rows.map(({ turn }) => turn), [3, 2]);
  assert.equal(log.rows[0].cells.length, STAGES.length);
  assert.equal(log.rows[0].cells[0], '3 ms');
  assert.equal(log.rows[0].cells.at(-1), '–');
});

test('every reason to be without a microphone has a text', () => {
  const navigator = { mediaDevices: { getUserMedia() {} } };
  const scope = { isSecureContext: true, navigator, AudioWorkletNode: class {} };
  assert.equal(microphoneObstacle(scope), null);
  assert.equal(microphoneObstacle({ ...scope, isSecureContext: false }), 'insecure');
  assert.equal(microphoneObstacle({ ...scope, navigator: {} }), 'unsupported');
  assert.equal(microphoneProblem({ name: 'NotAllowedError' }), 'refused');
  assert.equal(microphoneProblem({ name: 'NotFoundError' }), 'absent');
  assert.equal(microphoneProblem({ name: 'NotReadableError' }), 'taken');
  for (const kind of ['insecure', 'unsupported', 'refused', 'absent', 'taken', 'unknown', 'lost']) {
    assert.ok(MICROPHONE_PROBLEMS[kind]?.length > 20, kind);
  }
  assert.match(MICROPHONE_PROBLEMS.insecure, /HTTPS or on localhost.*TLS comes with a later/);
});

test('every way a connection ends has a text of its own', () => {
  const kinds = [1000, 1008, 1009, 1012, 1013, 1006].flatMap((code) =>
    [true, false].map((opened) => classifyClose({ code, opened }).kind),
  );
  const texts = new Set([...new Set(kinds)].map((kind) => connectionProblem(kind)));
  assert.equal(texts.size, new Set(kinds).size);
  assert.match(connectionProblem('refused', 'too many messages'), /too many messages/);
});

const open = { connection: 'open', state: 'listening', microphone: 'on', held: false, sounding: false };

test('the state shown follows the server, the microphone and what is heard', () => {
  const title = (change) => describeState({ ...open, ...change }).title;
  assert.equal(title({}), 'Listening');
  assert.equal(title({ microphone: 'off' }), 'Ready');
  assert.match(describeState({ ...open, microphone: 'unavailable' }).hint, /Type/);
  assert.equal(title({ state: 'user_speaking' }), 'Hearing you');
  assert.equal(title({ state: 'thinking' }), 'Thinking');
  assert.equal(title({ sounding: true }), 'Speaking');
  assert.equal(title({ state: 'speaking', held: true }), 'Holding');
  assert.equal(title({ connection: 'waiting', state: 'speaking' }), 'Not connected');
});

test('only a reply can be stopped', () => {
  const stoppable = (change) => describeState({ ...open, ...change }).replying;
  assert.deepEqual(
    ['listening', 'user_speaking', 'transcribing', 'thinking', 'speaking', 'rendering'].filter((state) => stoppable({ state })),
    ['thinking', 'speaking', 'rendering'],
  );
  assert.equal(stoppable({ sounding: true }), true);
  assert.equal(stoppable({ state: 'speaking', connection: 'waiting' }), false);
});

test('engines are named in the order of the flow; one that is not there is off', () => {
  const names = engineNames({ tts: 'flite', llm: 'echo', asr: 'pocketsphinx', turn: 'smart-turn', vad: 'silero', video: null });
  assert.deepEqual(names.map(([, name]) => name), ['silero', 'smart-turn', 'pocketsphinx', 'echo', 'flite', 'off']);
  const local = engineNames({ llm: 'local', llm_model: 'concierge' });
  assert.deepEqual(local.find(([task]) => task === 'Language model')[1], 'local (concierge)');
  assert.deepEqual(local.find(([task]) => task === 'End of turn')[1], 'by pauses');
});

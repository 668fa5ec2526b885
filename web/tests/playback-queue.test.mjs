import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PlaybackQueue } from '../playback-queue.js';

const BLOCK = 128;

/** At 24 kHz out nothing is resampled; a fade of one sample leaves every sample as it was. */
const exactQueue = () => new PlaybackQueue({ outputRateHz: 24_000, fadeMs: 0 });
const ramp = (from, count) => Int16Array.from({ length: count }, (_, n) => from + n);
const asPcm = (samples) => [...samples].map((x) => Math.round(x * 32768));

/** Reads `blocks` blocks: all samples, and { chunkId, at } for each chunk that ended. */
function read(queue, blocks) {
  const samples = [];
  const ended = [];
  for (let n = 0; n < blocks; n += 1) {
    const block = new Float32Array(BLOCK);
    for (const { chunkId, offset } of queue.read(block)) ended.push({ chunkId, at: n * BLOCK + offset });
    samples.push(...block);
  }
  return { samples, ended };
}

test('chunks are played without a gap, and each is reported at its last sample', () => {
  const queue = exactQueue();
  queue.push(7, ramp(1, 200));
  queue.push(8, ramp(201, 56));
  queue.push(9, ramp(257, 128));
  const { samples, ended } = read(queue, 3);
  assert.deepEqual(asPcm(samples), [...ramp(1, 384)]);
  assert.deepEqual(ended, [{ chunkId: 7, at: 200 }, { chunkId: 8, at: 256 }, { chunkId: 9, at: 384 }]);
});

test('a chunk is not reported before its last sample', () => {
  const queue = exactQueue();
  queue.push(1, ramp(1, 129));
  assert.deepEqual(read(queue, 1).ended, []);
  assert.deepEqual(read(queue, 1).ended, [{ chunkId: 1, at: 1 }]);
});

test('a pause holds at a sample and resume goes on with that one', () => {
  const queue = exactQueue();
  queue.push(1, ramp(1, 400));
  const before = read(queue, 1);
  queue.pause();
  const during = read(queue, 5);
  queue.push(2, ramp(401, 112));
  queue.resume();
  const after = read(queue, 3);
  assert.ok(during.samples.every((x) => x === 0));
  assert.deepEqual(during.ended, []);
  assert.deepEqual(asPcm([...before.samples, ...after.samples]), [...ramp(1, 512)]);
  assert.deepEqual(after.ended, [{ chunkId: 1, at: 272 }, { chunkId: 2, at: 384 }]);
});

test('the fade of a pause is heard but not counted as played', () => {
  const queue = new PlaybackQueue({ outputRateHz: 24_000, fadeMs: 5 }); // 120 samples
  queue.push(1, new Int16Array(300).fill(16_384));
  read(queue, 1);
  queue.pause();
  const fade = read(queue, 4).samples;
  assert.ok(fade[0] > 0.49 && fade[60] < 0.3 && fade[60] > 0.2 && fade[120] === 0);
  assert.equal(queue.queuedSamples, 300 - BLOCK);
  queue.resume();
  const { samples, ended } = read(queue, 2);
  assert.ok(samples[0] < 0.01 && samples[60] > 0.2 && samples[119] === 0.5);
  assert.deepEqual(ended, [{ chunkId: 1, at: 300 - BLOCK }]);
});

test('a second pause fades over what follows then, not what followed before', () => {
  const queue = new PlaybackQueue({ outputRateHz: 24_000, fadeMs: 5 });
  queue.push(1, new Int16Array(300).fill(16_384));
  queue.pause();
  read(queue, 2);
  queue.resume();
  read(queue, 1);
  queue.push(2, new Int16Array(20)); // behind 172 samples: the fade ends before it
  queue.pause();
  assert.ok(read(queue, 1).samples.slice(0, 119).every((x) => x > 0));
});

test('interrupt leaves a fade of 5 ms and nothing else, and reports nothing of it', () => {
  const queue = new PlaybackQueue({ outputRateHz: 24_000, fadeMs: 5 });
  for (let id = 0; id < 10; id += 1) queue.push(id, new Int16Array(960).fill(16_384));
  read(queue, 2);
  queue.interrupt();
  const { samples, ended } = read(queue, 80);
  assert.deepEqual(ended, []);
  for (let n = 1; n < 120; n += 1) assert.ok(samples[n] < samples[n - 1], `sample ${n} does not fall`);
  assert.ok(samples.slice(120).every((x) => x === 0));
});

test('a reply after an interrupt is whole', () => {
  const queue = exactQueue();
  queue.push(1, ramp(1, 500));
  queue.pause();
  queue.interrupt();
  assert.equal(queue.paused, false);
  queue.push(2, ramp(1_000, 256));
  const { samples, ended } = read(queue, 3);
  const fade = 1;
  assert.deepEqual(asPcm(samples.slice(fade, fade + 256)), [...ramp(1_000, 256)]);
  assert.deepEqual(ended, [{ chunkId: 2, at: fade + 256 }]);
});

test('interrupt during a pause is silent at once', () => {
  const queue = new PlaybackQueue({ outputRateHz: 24_000, fadeMs: 5 });
  queue.push(1, new Int16Array(5_000).fill(16_384));
  read(queue, 1);
  queue.pause();
  read(queue, 3);
  queue.interrupt();
  assert.ok(read(queue, 3).samples.every((x) => x === 0));
});

test('running dry decays without a jump and goes on when more comes', () => {
  const queue = new PlaybackQueue({ outputRateHz: 24_000 });
  queue.push(1, new Int16Array(BLOCK).fill(16_384));
  const { samples } = read(queue, 6);
  for (let n = BLOCK; n < samples.length; n += 1) {
    assert.ok(samples[n - 1] - samples[n] < 0.03 && samples[n] <= samples[n - 1]);
  }
  assert.equal(samples.at(-1), 0);
  queue.push(2, ramp(1, BLOCK));
  const more = read(queue, 1);
  assert.deepEqual(asPcm(more.samples), [...ramp(1, BLOCK)]);
  assert.deepEqual(more.ended, [{ chunkId: 2, at: BLOCK }]);
});

for (const outputRateHz of [44_100, 48_000, 16_000]) {
  test(`at ${outputRateHz} Hz chunks have no seams and end where they should`, () => {
    const tone = (length) =>
      Int16Array.from({ length }, (_, n) => 12_000 * Math.sin((2 * Math.PI * 440 * n) / 24_000));
    const whole = new PlaybackQueue({ outputRateHz });
    whole.push(0, tone(24_000));
    const cut = new PlaybackQueue({ outputRateHz });
    for (let id = 0; id < 25; id += 1) cut.push(id, tone(24_000).subarray(id * 960, (id + 1) * 960));

    const blocks = Math.ceil(outputRateHz / BLOCK) + 1;
    const expected = read(whole, blocks);
    const { samples, ended } = read(cut, blocks);
    assert.deepEqual(samples, expected.samples);
    assert.deepEqual(expected.ended, [{ chunkId: 0, at: outputRateHz }]);
    assert.deepEqual(
      ended,
      Array.from({ length: 25 }, (_, id) => ({
        chunkId: id,
        at: Math.ceil(((id + 1) * 960 * outputRateHz) / 24_000),
      })),
    );
  });
}

test('the queue is bounded', () => {
  const queue = new PlaybackQueue({ outputRateHz: 24_000, capacityS: 1 });
  assert.equal(queue.push(1, new Int16Array(30_000)), true);
  assert.equal(queue.push(2, new Int16Array(960)), false);
  assert.equal(queue.queuedSamples, 30_000);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { floatFromPcm16, Framer, loudness, meterPosition, pcm16FromFloat } from '../pcm.js';

test('every 16-bit value survives the way to float and back', () => {
  const all = Int16Array.from({ length: 65_536 }, (_, n) => n - 32_768);
  assert.deepEqual(pcm16FromFloat(floatFromPcm16(all)), all);
});

test('what is too loud is clipped, not wrapped', () => {
  assert.deepEqual([...pcm16FromFloat(Float32Array.of(1, 1.5, -1, -2))], [32767, 32767, -32768, -32768]);
});

test('frames are full, in order, and keep the remainder for the next push', () => {
  const framer = new Framer(4);
  const frames = [];
  const push = (...samples) => framer.push(Float32Array.from(samples), (f) => frames.push([...f]));
  push(1, 2, 3);
  assert.deepEqual(frames, []);
  push(4, 5, 6, 7, 8, 9);
  assert.deepEqual(frames, [[1, 2, 3, 4], [5, 6, 7, 8]]);
  push(10, 11, 12);
  assert.deepEqual(frames.at(-1), [9, 10, 11, 12]);
});

test('loudness of a square wave is its amplitude; of silence, nothing', () => {
  assert.deepEqual(loudness(Float32Array.of(0.5, -0.5, 0.5, -0.5)), { rms: 0.5, peak: 0.5 });
  assert.deepEqual(loudness(new Float32Array(8)), { rms: 0, peak: 0 });
});

test('the meter is empty at silence, full at full scale, linear in decibel between', () => {
  assert.equal(meterPosition(0), 0);
  assert.equal(meterPosition(1), 1);
  assert.ok(Math.abs(meterPosition(10 ** (-30 / 20)) - 0.5) < 1e-9);
});

// What is waiting to be heard: a gapless queue of chunks that is read at the output's own pace.
// Pure; the audio thread (`playback-worklet.js`, or `player.js` where there are no worklets) reads it.
//
// - Chunks are converted to the output's rate as one stream: no seams between them.
// - `read` tells which chunks have been read to their last sample, and where.
// - `pause` stops at a sample and `resume` goes on with that very sample. The short fade-out is made
//   of the samples behind it, which are then played again.
// - `interrupt` forgets everything but a fade of a few milliseconds.
// - Running dry is silence, after a short decay so that it does not click.

import { floatFromPcm16 } from './pcm.js';
import { Resampler } from './resampler.js';

const FADE_MS = 5;
/** More than this in the queue means that something is wrong; the server stays 0.4 s ahead. */
const CAPACITY_S = 120;

export class PlaybackQueue {
  #resampler;
  #fadeSamples;
  #capacity;
  #blocks = []; // Float32Arrays at the output's rate; the first is read from #offset on
  #offset = 0;
  #queued = 0;
  #marks = []; // { chunkId, end }: the chunk is heard when `end` samples have been read
  #readTotal = 0;
  #writtenTotal = 0;
  #streamStart = 0; // #writtenTotal when the resampler's stream began
  #streamInput = 0; // samples that went into it
  #paused = false;
  #gain = 1; // moves by 1 / #fadeSamples per sample towards 0 (paused) or 1
  #peeked = 0; // samples of the fade-out that were heard but not taken
  #tail = new Float32Array(0); // the fade of what was interrupted
  #last = 0; // the last sample, decaying, to end without a click when dry

  constructor({ inputRateHz = 24_000, outputRateHz, fadeMs = FADE_MS, capacityS = CAPACITY_S }) {
    this.#resampler = new Resampler(inputRateHz, outputRateHz);
    this.#fadeSamples = Math.max(1, Math.round((fadeMs / 1000) * outputRateHz));
    this.#capacity = capacityS * outputRateHz;
  }

  /** Samples, at the output's rate, that can be read now. */
  get queuedSamples() {
    return this.#queued;
  }

  get paused() {
    return this.#paused;
  }

  /** Appends a chunk (Int16Array at the input rate). False: the queue is full, the chunk dropped. */
  push(chunkId, pcm) {
    if (this.#queued > this.#capacity) return false;
    if (this.#streamInput === 0) this.#streamStart = this.#writtenTotal;
    this.#streamInput += pcm.length;
    this.#write(this.#resampler.process(floatFromPcm16(pcm)));
    const end = this.#streamStart + this.#resampler.outputLengthOf(this.#streamInput);
    this.#marks.push({ chunkId, end });
    return true;
  }

  /** Fills `output`. Returns `{ chunkId, offset }` for each chunk that ends within it. */
  read(output) {
    if (!this.#paused && this.#queued < output.length) this.#endStream();
    let filled = 0;
    if (this.#tail.length > 0) {
      filled = Math.min(output.length, this.#tail.length);
      output.set(this.#tail.subarray(0, filled));
      this.#tail = this.#tail.subarray(filled);
      this.#last = 0;
    }
    const start = this.#readTotal - filled;
    for (; filled < output.length; filled += 1) output[filled] = this.#next();

    const ended = [];
    while (this.#marks.length > 0 && this.#marks[0].end <= this.#readTotal) {
      const { chunkId, end } = this.#marks.shift();
      ended.push({ chunkId, offset: Math.max(0, end - start) });
    }
    return ended;
  }

  pause() {
    this.#paused = true;
  }

  resume() {
    this.#paused = false;
    this.#peeked = 0;
  }

  /** Drops everything; what is being heard fades out. */
  interrupt() {
    const from = this.#paused ? this.#peeked : 0;
    const count = Math.max(0, Math.min(this.#fadeSamples, this.#queued - from));
    const tail = new Float32Array(this.#gain > 0 ? count : 0);
    for (let i = 0; i < tail.length; i += 1) {
      tail[i] = this.#peek(from + i) * this.#gain * (1 - (i + 1) / tail.length);
    }
    this.#tail = tail;
    this.#blocks = [];
    this.#offset = 0;
    this.#queued = 0;
    this.#marks = [];
    this.#writtenTotal = this.#readTotal;
    this.#streamInput = 0;
    this.#resampler.reset();
    this.#paused = false;
    this.#gain = 1;
    this.#peeked = 0;
  }

  #write(samples) {
    if (samples.length === 0) return;
    this.#blocks.push(samples);
    this.#queued += samples.length;
    this.#writtenTotal += samples.length;
  }

  /** Nothing more is known to come: what the resampler holds back belongs to the chunks so far. */
  #endStream() {
    if (this.#streamInput === 0) return;
    this.#write(this.#resampler.flush());
    this.#streamInput = 0;
  }

  #next() {
    const step = 1 / this.#fadeSamples;
    if (this.#paused) {
      this.#gain = Math.max(0, this.#gain - step);
      if (this.#gain === 0) return 0;
      if (this.#peeked >= this.#queued) return this.#decay(step);
      this.#last = this.#peek(this.#peeked++) * this.#gain;
      return this.#last;
    }
    if (this.#queued === 0) return this.#decay(step);
    this.#gain = Math.min(1, this.#gain + step);
    this.#last = this.#take() * this.#gain;
    return this.#last;
  }

  #decay(step) {
    this.#last -= this.#last * step * 4;
    if (Math.abs(this.#last) < 1e-4) this.#last = 0;
    return this.#last;
  }

  #take() {
    const sample = this.#blocks[0][this.#offset];
    this.#offset += 1;
    this.#queued -= 1;
    this.#readTotal += 1;
    if (this.#offset === this.#blocks[0].length) {
      this.#blocks.shift();
      this.#offset = 0;
    }
    return sample;
  }

  #peek(ahead) {
    let index = this.#offset + ahead;
    for (const block of this.#blocks) {
      if (index < block.length) return block[index];
      index -= block.length;
    }
    return 0;
  }
}

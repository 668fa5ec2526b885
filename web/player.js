// The loudspeaker: hands chunks to the audio thread and reports what has really been heard.
//
// A chunk is reported when its last sample has left the device as far as the browser can tell
// (`outputLatency`). After `interrupt` nothing of what was dropped is reported any more.
// Before the audio context may run (browsers want a gesture first) chunks wait.

import { PlaybackQueue } from './playback-queue.js';

/** Chunks that may wait for the audio thread to be there. */
const MAX_WAITING = 3000;
/** Frames per callback of the fallback; 2048 at 48 kHz is 43 ms. */
const FALLBACK_BLOCK = 2048;

export class Player {
  #context = null;
  #port = null; // { postMessage } of the audio thread, once it is there
  #waiting = [];
  #epoch = 0; // counts interrupts; reports of older ones are void
  #reports = []; // { chunkId, dueMs } in order
  #onPlayed;
  #onSounding;

  /** `onPlayed(chunkId)`, `onSounding(boolean)`. */
  constructor({ onPlayed, onSounding }) {
    this.#onPlayed = onPlayed;
    this.#onSounding = onSounding;
  }

  /** Connects to the context. Chunks that came before are played now. */
  async attach(context) {
    this.#context = context;
    const receive = (message) => this.#receive(message);
    this.#port = context.audioWorklet
      ? await workletPort(context, receive)
      : fallbackPort(context, receive);
    for (const [message, transfer] of this.#waiting) this.#port.postMessage(message, transfer);
    this.#waiting = [];
  }

  /** `pcm`: ArrayBuffer, 24 kHz mono s16le; it is given away. */
  enqueue(chunkId, pcm) {
    this.#send({ type: 'chunk', chunkId, pcm }, [pcm]);
  }

  pause() {
    this.#send({ type: 'pause' });
  }

  resume() {
    this.#send({ type: 'resume' });
  }

  /** Silence at once. What was heard until now is reported first. */
  interrupt() {
    this.#reportDue();
    this.#reports = [];
    this.#waiting = [];
    this.#epoch += 1;
    this.#send({ type: 'interrupt', epoch: this.#epoch });
  }

  #send(message, transfer = []) {
    if (this.#port) this.#port.postMessage(message, transfer);
    else if (this.#waiting.length < MAX_WAITING) this.#waiting.push([message, transfer]);
  }

  #receive(message) {
    if (message.type === 'sounding') {
      this.#onSounding(message.sounding);
    } else if (message.epoch === this.#epoch) {
      const waitMs = this.#msUntilHeard(message.time);
      this.#reports.push({ chunkId: message.chunkId, dueMs: performance.now() + waitMs });
      setTimeout(() => this.#reportDue(), waitMs);
    }
  }

  #msUntilHeard(contextTime) {
    const latency = this.#context.outputLatency || this.#context.baseLatency || 0;
    const wait = contextTime - this.#context.currentTime + Math.min(latency, 1);
    return Math.max(0, wait * 1000);
  }

  #reportDue() {
    const now = performance.now() + 1; // timers may fire a fraction of a millisecond early
    while (this.#reports.length > 0 && this.#reports[0].dueMs <= now) {
      this.#onPlayed(this.#reports.shift().chunkId);
    }
  }
}

async function workletPort(context, receive) {
  await context.audioWorklet.addModule(new URL('playback-worklet.js', import.meta.url));
  const node = new AudioWorkletNode(context, 'vivavoce-playback', {
    numberOfInputs: 0,
    outputChannelCount: [1],
  });
  node.port.onmessage = ({ data }) => receive(data);
  node.connect(context.destination);
  return node.port;
}

// Worklets exist only in secure contexts. A phone on plain HTTP can still type and hear the replies:
// the old main-thread node reads the same queue.
function fallbackPort(context, receive) {
  const queue = new PlaybackQueue({ outputRateHz: context.sampleRate });
  const node = context.createScriptProcessor(FALLBACK_BLOCK, 0, 1);
  let epoch = 0;
  let sounding = false;
  node.onaudioprocess = ({ outputBuffer, playbackTime }) => {
    for (const { chunkId, offset } of queue.read(outputBuffer.getChannelData(0))) {
      const time = playbackTime + offset / context.sampleRate;
      receive({ type: 'played', chunkId, time, epoch });
    }
    const now = queue.queuedSamples > 0 && !queue.paused;
    if (now !== sounding) receive({ type: 'sounding', sounding: (sounding = now) });
  };
  node.connect(context.destination);
  return {
    keepAlive: node,
    postMessage(message) {
      if (message.type === 'chunk') queue.push(message.chunkId, new Int16Array(message.pcm));
      else queue[message.type]();
      if (message.type === 'interrupt') epoch = message.epoch;
    },
  };
}

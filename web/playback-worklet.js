// The audio thread's end of the playback queue. See `player.js` for the other end.
//
// In: { type: chunk, chunkId, pcm } · pause · resume · interrupt { epoch }.
// Out: { type: played, chunkId, time, epoch } (context time at which the chunk's last sample leaves
// for the device), { type: sounding, sounding }.

import { PlaybackQueue } from './playback-queue.js';

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = new PlaybackQueue({ outputRateHz: sampleRate });
    this.epoch = 0;
    this.sounding = false;
    this.port.onmessage = ({ data }) => this.receive(data);
  }

  receive(message) {
    switch (message.type) {
      case 'chunk':
        this.queue.push(message.chunkId, new Int16Array(message.pcm));
        break;
      case 'pause':
        this.queue.pause();
        break;
      case 'resume':
        this.queue.resume();
        break;
      case 'interrupt':
        this.queue.interrupt();
        this.epoch = message.epoch;
        break;
    }
  }

  process(_inputs, [output]) {
    const [first, ...others] = output;
    for (const { chunkId, offset } of this.queue.read(first)) {
      const time = (currentFrame + offset) / sampleRate;
      this.port.postMessage({ type: 'played', chunkId, time, epoch: this.epoch });
    }
    for (const channel of others) channel.set(first);
    const sounding = this.queue.queuedSamples > 0 && !this.queue.paused;
    if (sounding !== this.sounding) {
      this.sounding = sounding;
      this.port.postMessage({ type: 'sounding', sounding });
    }
    return true;
  }
}

registerProcessor('vivavoce-playback', Playback);

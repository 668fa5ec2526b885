// The audio thread's end of the microphone: any rate in, 16 kHz mono PCM in 20 ms messages out.
//
// Out: { pcm: ArrayBuffer, rms, peak }.

import { Framer, loudness, pcm16FromFloat } from './pcm.js';
import { Resampler } from './resampler.js';

const RATE_HZ = 16_000;
const MESSAGE_SAMPLES = RATE_HZ / 50;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE_HZ);
    this.framer = new Framer(MESSAGE_SAMPLES);
    this.mono = new Float32Array(128);
  }

  process([channels]) {
    if (channels.length === 0) return true;
    this.framer.push(this.resampler.process(this.mix(channels)), (frame) => {
      const { buffer } = pcm16FromFloat(frame);
      this.port.postMessage({ pcm: buffer, ...loudness(frame) }, [buffer]);
    });
    return true;
  }

  /** One channel is asked for; a device that gives more is averaged. */
  mix(channels) {
    if (channels.length === 1) return channels[0];
    if (this.mono.length !== channels[0].length) this.mono = new Float32Array(channels[0].length);
    this.mono.fill(0);
    for (const channel of channels) {
      for (let i = 0; i < channel.length; i += 1) this.mono[i] += channel[i] / channels.length;
    }
    return this.mono;
  }
}

registerProcessor('vivavoce-capture', Capture);

// Signed 16-bit PCM: what travels over the socket, and how microphone samples are packed into it.

/** −1…1 → −32768…32767, rounded, clipped. The inverse of `floatFromPcm16`. */
export function pcm16FromFloat(samples) {
  const pcm = new Int16Array(samples.length);
  for (let i = 0; i < samples.length; i += 1) {
    pcm[i] = Math.max(-32768, Math.min(32767, Math.round(samples[i] * 32768)));
  }
  return pcm;
}

/** −32768…32767 → −1…1. */
export function floatFromPcm16(pcm) {
  const samples = new Float32Array(pcm.length);
  for (let i = 0; i < pcm.length; i += 1) samples[i] = pcm[i] / 32768;
  return samples;
}

// Typed arrays have the machine's byte order. Every machine with a browser is little-endian, as
// the wire is; the check makes the assumption loud instead of noisy.
if (new Uint8Array(new Uint16Array([1]).buffer)[0] !== 1) {
  throw new Error('this machine is big-endian; the audio of the page would be noise');
}

/** Collects samples into messages of one length. */
export class Framer {
  #frame;
  #filled = 0;

  constructor(frameSamples) {
    this.#frame = new Float32Array(frameSamples);
  }

  /** Takes any number of samples; calls `emit` with every frame that is full (valid in the call). */
  push(samples, emit) {
    let taken = 0;
    while (taken < samples.length) {
      const count = Math.min(samples.length - taken, this.#frame.length - this.#filled);
      this.#frame.set(samples.subarray(taken, taken + count), this.#filled);
      this.#filled += count;
      taken += count;
      if (this.#filled === this.#frame.length) {
        this.#filled = 0;
        emit(this.#frame);
      }
    }
  }
}

/** Root mean square and peak of a frame, as fractions of full scale. */
export function loudness(samples) {
  let energy = 0;
  let peak = 0;
  for (const sample of samples) {
    energy += sample * sample;
    peak = Math.max(peak, Math.abs(sample));
  }
  return { rms: Math.sqrt(energy / Math.max(1, samples.length)), peak };
}

/** Where a level meter stands for an RMS value: 0 at −60 dB and below, 1 at full scale. */
export function meterPosition(rms) {
  const decibel = 20 * Math.log10(Math.max(rms, 1e-6));
  return Math.max(0, Math.min(1, (decibel + 60) / 60));
}

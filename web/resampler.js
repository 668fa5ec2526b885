// Streaming sample-rate conversion between any two rates, for audio threads.
//
// A windowed-sinc low-pass in polyphase form: with L/M = output rate / input rate in lowest terms,
// output n lies at input time n·M/L, and only L different sets of filter taps exist. Passband to
// 90 % of the lower Nyquist frequency, stopband (−80 dB, Kaiser window) from 100 % of it.
//
// Splitting the input differently never changes the output. There is no delay in the samples
// (output 0 is input time 0); an output only comes out as soon as the filter can see far enough
// ahead, and `flush` gives what is still held back.

const STOPBAND_DB = 80;
const PASSBAND_OF_NYQUIST = 0.9;

export class Resampler {
  #tapsPerPhase;
  #table; // [upFactor][tapsPerPhase], each phase summing to 1
  #history; // input samples; #history[0] is input index #historyStart
  #historyLength;
  #historyStart;
  #position; // the next output lies at input index #position + #phase / upFactor
  #phase;
  #received;

  constructor(inputRateHz, outputRateHz) {
    if (!(inputRateHz > 0) || !(outputRateHz > 0)) {
      throw new RangeError(`cannot resample from ${inputRateHz} Hz to ${outputRateHz} Hz`);
    }
    const input = Math.round(inputRateHz);
    const output = Math.round(outputRateHz);
    const divisor = greatestCommonDivisor(input, output);
    this.upFactor = output / divisor;
    this.downFactor = input / divisor;
    const { halfWidth, table } = designTable(input, output, this.upFactor);
    this.halfWidth = halfWidth;
    this.#tapsPerPhase = 2 * halfWidth;
    this.#table = table;
    this.#history = new Float32Array(4 * this.#tapsPerPhase + 1024);
    this.reset();
  }

  /** How many outputs `inputLength` inputs make in all, held-back ones included. */
  outputLengthOf(inputLength) {
    return Math.ceil((inputLength * this.upFactor) / this.downFactor);
  }

  /** Forgets everything; the next input is at time 0, with silence before it. */
  reset() {
    this.#historyLength = this.halfWidth - 1;
    this.#historyStart = -this.#historyLength;
    this.#history.fill(0, 0, this.#historyLength);
    this.#position = 0;
    this.#phase = 0;
    this.#received = 0;
  }

  /** Takes any number of samples; returns a new array with the outputs that are complete. */
  process(input) {
    if (this.upFactor === this.downFactor) return Float32Array.from(input);
    this.#received += input.length;
    this.#append(input);
    return this.#produce(Infinity);
  }

  /** The outputs still held back, as if silence followed; afterwards as after `reset`. */
  flush() {
    if (this.upFactor === this.downFactor) return new Float32Array(0);
    this.#append(new Float32Array(this.halfWidth));
    const rest = this.#produce(this.#received);
    this.reset();
    return rest;
  }

  #append(input) {
    const needed = this.#historyLength + input.length;
    if (needed > this.#history.length) {
      const larger = new Float32Array(2 * needed);
      larger.set(this.#history.subarray(0, this.#historyLength));
      this.#history = larger;
    }
    this.#history.set(input, this.#historyLength);
    this.#historyLength = needed;
  }

  /** All outputs at input times before `endTime` whose taps are all there. */
  #produce(endTime) {
    const { upFactor, downFactor, halfWidth } = this;
    const taps = this.#tapsPerPhase;
    const end = Math.min(this.#historyStart + this.#historyLength - halfWidth, endTime);
    const steps = (end - this.#position) * upFactor - this.#phase;
    const output = new Float32Array(Math.max(0, Math.ceil(steps / downFactor)));
    for (let n = 0; n < output.length; n += 1) {
      const first = this.#position - halfWidth + 1 - this.#historyStart;
      const row = this.#phase * taps;
      let sum = 0;
      for (let k = 0; k < taps; k += 1) sum += this.#history[first + k] * this.#table[row + k];
      output[n] = sum;
      this.#phase += downFactor;
      this.#position += Math.floor(this.#phase / upFactor);
      this.#phase %= upFactor;
    }
    const unneeded = Math.min(
      this.#position - halfWidth + 1 - this.#historyStart,
      this.#historyLength,
    );
    if (unneeded > 0) {
      this.#history.copyWithin(0, unneeded, this.#historyLength);
      this.#historyLength -= unneeded;
      this.#historyStart += unneeded;
    }
    return output;
  }
}

// Kaiser's design formulas: beta and the number of taps from the attenuation and the width of the
// transition band (Oppenheim & Schafer, Discrete-Time Signal Processing, section 7.6).
function designTable(inputRateHz, outputRateHz, upFactor) {
  const nyquist = Math.min(inputRateHz, outputRateHz) / 2 / inputRateHz; // cycles per input sample
  const transition = nyquist * (1 - PASSBAND_OF_NYQUIST);
  const cutoff = nyquist - transition / 2;
  const beta = 0.1102 * (STOPBAND_DB - 8.7);
  const halfWidth = Math.ceil((STOPBAND_DB - 7.95) / (2.285 * 2 * Math.PI * transition) / 2);
  const taps = 2 * halfWidth;
  const table = new Float32Array(upFactor * taps);
  for (let phase = 0; phase < upFactor; phase += 1) {
    const row = new Float64Array(taps);
    let sum = 0;
    for (let k = 0; k < taps; k += 1) {
      const distance = phase / upFactor - (k - halfWidth + 1);
      const x = 2 * cutoff * distance;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
      const inside = 1 - (distance / halfWidth) ** 2;
      row[k] = inside > 0 ? sinc * besselI0(beta * Math.sqrt(inside)) : 0;
      sum += row[k];
    }
    for (let k = 0; k < taps; k += 1) table[phase * taps + k] = row[k] / sum;
  }
  return { halfWidth, table };
}

function besselI0(x) {
  let term = 1;
  let sum = 1;
  for (let n = 1; term > sum * 1e-12; n += 1) {
    term *= (x / (2 * n)) ** 2;
    sum += term;
  }
  return sum;
}

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Resampler } from '../resampler.js';

const sine = (hz, rateHz, count, amplitude = 0.5) =>
  Float32Array.from({ length: count }, (_, n) => amplitude * Math.sin((2 * Math.PI * hz * n) / rateHz));

function convert(input, fromHz, toHz, blockOf = () => input.length) {
  const resampler = new Resampler(fromHz, toHz);
  const out = [];
  for (let at = 0; at < input.length; ) {
    const size = blockOf(at);
    out.push(...resampler.process(input.subarray(at, at + size)));
    at += size;
  }
  out.push(...resampler.flush());
  return Float32Array.from(out);
}

/** The middle, where the filter sees no edge. */
const middle = (samples) => samples.subarray(samples.length * 0.2, samples.length * 0.8);
const decibel = (ratio) => 20 * Math.log10(Math.max(ratio, 1e-12));
const rms = (samples) => Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);

const RATES = [
  [48_000, 16_000],
  [44_100, 16_000],
  [96_000, 16_000],
  [16_000, 16_000],
  [8_000, 16_000],
  [24_000, 48_000],
  [24_000, 44_100],
];

for (const [fromHz, toHz] of RATES) {
  test(`${fromHz} → ${toHz} Hz keeps a tone: the same sine, at the same time`, () => {
    const hz = 1_000;
    const output = convert(sine(hz, fromHz, fromHz / 2), fromHz, toHz);
    const expected = sine(hz, toHz, output.length);
    const error = middle(output.map((x, n) => x - expected[n]));
    assert.equal(output.length, toHz / 2);
    assert.ok(decibel(rms(error) / 0.35) < -70, `error ${decibel(rms(error) / 0.35)} dB`);
  });
}

test('tones up to 90 % of the lower Nyquist frequency pass unchanged', () => {
  for (const hz of [100, 3_000, 6_000, 7_100]) {
    const gain = rms(middle(convert(sine(hz, 48_000, 24_000), 48_000, 16_000))) / (0.5 / Math.SQRT2);
    assert.ok(Math.abs(decibel(gain)) < 0.05, `${hz} Hz: ${decibel(gain)} dB`);
  }
});

test('what 16 kHz cannot hold is removed, not folded down', () => {
  for (const fromHz of [44_100, 48_000]) {
    for (const hz of [8_050, 9_000, 12_000, 15_000, 17_000, 21_000]) {
      const left = rms(middle(convert(sine(hz, fromHz, fromHz / 2), fromHz, 16_000)));
      const attenuation = decibel(left / (0.5 / Math.SQRT2));
      assert.ok(attenuation < -70, `${hz} Hz at ${fromHz}: ${attenuation} dB`);
    }
  }
});

test('raising the rate leaves no mirror image', () => {
  const output = convert(sine(10_000, 24_000, 12_000), 24_000, 48_000);
  const expected = sine(10_000, 48_000, output.length);
  const error = rms(middle(output.map((x, n) => x - expected[n])));
  assert.ok(decibel(error / 0.35) < -70);
});

test('however the input is cut, the output is the same to the bit', () => {
  let seed = 7;
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  const noise = Float32Array.from({ length: 9_000 }, () => random() - 0.5);
  for (const [fromHz, toHz] of RATES) {
    const whole = convert(noise, fromHz, toHz);
    assert.deepEqual(convert(noise, fromHz, toHz, () => 128), whole);
    assert.deepEqual(convert(noise, fromHz, toHz, () => 1 + Math.floor(random() * 700)), whole);
  }
});

test('the output is as long as promised, whatever the input length', () => {
  for (const [fromHz, toHz] of RATES) {
    const resampler = new Resampler(fromHz, toHz);
    for (const length of [1, 2, 127, 128, 441, 5_000]) {
      const promised = resampler.outputLengthOf(length);
      const got = resampler.process(new Float32Array(length)).length + resampler.flush().length;
      assert.equal(got, promised, `${length} samples ${fromHz} → ${toHz}`);
      assert.equal(promised, Math.ceil((length * toHz) / fromHz));
    }
  }
});

test('after a flush nothing of before is left', () => {
  const resampler = new Resampler(48_000, 16_000);
  resampler.process(sine(500, 48_000, 4_000));
  resampler.flush();
  assert.ok(resampler.process(new Float32Array(4_000)).every((x) => x === 0));
});

test('a rate that cannot be is refused by name', () => {
  assert.throws(() => new Resampler(0, 16_000), /0 Hz/);
  assert.throws(() => new Resampler(48_000, Number.NaN), /NaN Hz/);
});

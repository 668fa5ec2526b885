#!/usr/bin/env python3
"""Writes tests/golden/silero/ with the official silero-vad package.

    python3 -m venv /tmp/silero && /tmp/silero/bin/pip install -r models/parity/silero/requirements.txt
    /tmp/silero/bin/python models/parity/silero/generate.py ../shared/data /usr/share/sounds/alsa

Every wav file below the given folders' `speech` and `noise` (or in the folder itself) becomes one
golden file: its name and sha256, the probability of every whole frame of 512 samples from the
package's default ONNX model, and the boundaries that its VADIterator finds. No audio is written.
Files of 48 kHz are taken as the package itself takes them: every third sample.

`iterator.json` holds made-up probabilities and what VADIterator makes of them, to reach corners
that recordings do not. The one probability left out is the negative threshold itself: 0.35 as a
32-bit float is below the package's 0.35, which is a 64-bit one. (For the same reason the thresholds
are sums of powers of two.)
"""
import hashlib
import json
import os
import pathlib
import random
import sys
import wave

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before ONNX Runtime is loaded

import numpy
import silero_vad
import torch

FRAME_SAMPLES = 512
THRESHOLD = 0.5
SPEECH_PAD_MS = 30
MIN_SILENCES_MS = (100, 500)


def frames(path):
    with wave.open(str(path)) as file:
        assert file.getsampwidth() == 2 and file.getnchannels() == 1, path
        step, rest = divmod(file.getframerate(), 16_000)
        assert rest == 0, path
        pcm = numpy.frombuffer(file.readframes(file.getnframes()), "<i2")[::step]
    whole = len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES
    signal = torch.from_numpy(pcm[:whole].astype(numpy.float32) / 32_768)
    return step, signal.split(FRAME_SAMPLES)


def boundaries(model, signal, threshold, min_silence_ms):
    iterator = silero_vad.VADIterator(
        model, threshold, 16_000, min_silence_duration_ms=min_silence_ms, speech_pad_ms=SPEECH_PAD_MS
    )
    return [edge for frame in signal if (edge := iterator(frame))]


def golden(path, name):
    step, signal = frames(path)
    model = silero_vad.load_silero_vad(onnx=True)
    probabilities = [model(frame, 16_000).item() for frame in signal]
    iterators = [
        {"min_silence_ms": ms, "boundaries": boundaries(model, signal, THRESHOLD, ms)} for ms in MIN_SILENCES_MS
    ]
    return {
        "wav": name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "every_nth_sample": step,
        "threshold": THRESHOLD,
        "speech_pad_ms": SPEECH_PAD_MS,
        "iterators": iterators,
        "probabilities": [float(f"{probability:.7g}") for probability in probabilities],
    }


class Scripted:
    """Stands where VADIterator expects the network."""

    def __init__(self, probabilities):
        self.probabilities = probabilities

    def reset_states(self):
        self.rest = iter(self.probabilities)

    def __call__(self, _frame, _sample_rate):
        return torch.tensor(next(self.rest))


def made_up(seed):
    choose = random.Random(seed)
    threshold = choose.choice((0.25, 0.5, 0.75))
    offsets = (-1, -0.3, -0.16, -0.14, -0.05, 0, 0.05, 0.3, 1)
    probabilities = []
    while len(probabilities) < 100:
        probability = round(min(max(threshold + choose.choice(offsets), 0), 1), 2)
        probabilities += [probability] * choose.choice((1, 1, 1, 1, 1, 2, 2, 3, 4, 17))
    min_silence_ms = choose.choice((0, 31, 32, 33, 96, 100, 500))
    silent_frames = [torch.zeros(FRAME_SAMPLES)] * len(probabilities)
    return {
        "threshold": threshold,
        "speech_pad_ms": SPEECH_PAD_MS,
        "min_silence_ms": min_silence_ms,
        "boundaries": boundaries(Scripted(probabilities), silent_frames, threshold, min_silence_ms),
        "probabilities": probabilities,
    }


def main():
    out = pathlib.Path(__file__).resolve().parents[3] / "tests" / "golden" / "silero"
    out.mkdir(parents=True, exist_ok=True)
    cases = ",\n".join(json.dumps(made_up(seed)) for seed in range(40))
    (out / "iterator.json").write_text(f"[\n{cases}\n]\n")
    for folder in map(pathlib.Path, sys.argv[1:]):
        for path in sorted([*folder.glob("*.wav"), *folder.glob("speech/*.wav"), *folder.glob("noise/*.wav")]):
            kind = path.parent.name
            (out / f"{kind}_{path.stem}.json").write_text(
                json.dumps(golden(path, f"{kind}/{path.name}")).replace(', "', ',\n"') + "\n"
            )


if __name__ == "__main__":
    main()

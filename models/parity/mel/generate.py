#!/usr/bin/env python3
"""Writes tests/golden/mel/golden.safetensors: spectrograms of transformers' WhisperFeatureExtractor.

    python3 -m venv /tmp/mel && /tmp/mel/bin/pip install -r models/parity/mel/requirements.txt
    /tmp/mel/bin/python models/parity/mel/generate.py ../shared/data/speech

See README.md beside this file.
"""
import pathlib
import sys
import wave

import numpy
from safetensors.numpy import save_file
from transformers import WhisperFeatureExtractor

RECORDINGS = {
    80: ["jfk_jfk", "librivox_0880", "picovoice_test_de", "speechbrain_spk1_snt4"],
    128: ["librivox_0890", "speechbrain_spk1_snt2"],
}


def samples_of(path):
    with wave.open(str(path)) as file:
        assert (file.getsampwidth(), file.getnchannels(), file.getframerate()) == (2, 1, 16_000), path
        return numpy.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


def mel(samples, bins):
    """[bins, frames] of 16-bit samples."""
    extractor = WhisperFeatureExtractor(feature_size=bins)
    waveform = samples.astype(numpy.float32) / 32_768
    return extractor._np_extract_fbank_features(waveform[None], "cpu")[0].astype(numpy.float32)


def main():
    folder = pathlib.Path(sys.argv[1])
    golden = {}
    random = numpy.random.default_rng(1)
    seconds = numpy.arange(12_345) / 16_000
    sweep = numpy.sin(2 * numpy.pi * (100 + 3_000 * seconds) * seconds)
    made_up = 6_000 * sweep + 2_000 * random.standard_normal(seconds.size) * (seconds > 0.4)
    golden["noise.samples"] = made_up.round().astype(numpy.int16)
    for bins in RECORDINGS:
        golden[f"noise.{bins}"] = mel(golden["noise.samples"], bins)
    # Shorter than the window, so mirrored more than once.
    golden["short.80"] = mel(golden["noise.samples"][:165], 80)
    for bins, names in RECORDINGS.items():
        for name in names:
            samples = samples_of(folder / f"{name}.wav")
            spectrogram = mel(samples, bins)
            frames = spectrogram.shape[1]
            chosen = sorted({*range(0, frames, 7), *range(3), *range(frames - 3, frames)})
            golden[f"speech.{name}.{bins}"] = numpy.ascontiguousarray(spectrogram[:, chosen])
            golden[f"speech.{name}.{bins}.frames"] = numpy.array(chosen, dtype=numpy.int32)
            # That it is the same recording: its length and the sum of its samples.
            identity = [samples.size, int(samples.astype(numpy.int64).sum())]
            golden[f"speech.{name}.{bins}.identity"] = numpy.array(identity, dtype=numpy.int64)
    out = pathlib.Path(__file__).parents[3] / "tests/golden/mel/golden.safetensors"
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(golden, out, {"made by": "models/parity/mel/generate.py"})
    print(out, out.stat().st_size)


if __name__ == "__main__":
    main()

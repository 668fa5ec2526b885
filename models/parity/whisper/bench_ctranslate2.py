#!/usr/bin/env python3
"""Times CTranslate2 (the engine of faster-whisper) on a folder of Whisper weights, for benches/whisper.rs.

    python3 -m venv /tmp/ct2 && /tmp/ct2/bin/pip install ctranslate2 torch transformers
    WHISPER_BENCH_PYTHON=/tmp/ct2/bin/python cargo bench --bench whisper

Arguments: folder, threads, mel frames of the speech, tokens to write. Weights are converted to int8 once;
then each line on standard input is a round, answered by a line of JSON: seconds to encode 30 s and the
speech alone (null if that is refused), seconds to write so many tokens after each, and the tokens.
"""
import json
import pathlib
import sys
import tempfile
import time

import ctranslate2
import numpy
import torch
from ctranslate2.converters.transformers import WhisperLoader
from transformers import WhisperForConditionalGeneration

PROMPT = ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]


def converted(folder, out):
    with torch.no_grad():
        model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        spec = WhisperLoader().get_model_spec(model)
        # Names do not matter but for those that steer; their ids are those of the multilingual models.
        tokens = [f"t{token}" for token in range(model.config.vocab_size)]
        tokens[50257] = "<|endoftext|>"
        tokens[50258], tokens[50259], tokens[50359], tokens[50363] = PROMPT
        tokens[50362] = "<|nospeech|>"
        spec.register_vocabulary(tokens)
        spec.config.suppress_ids, spec.config.suppress_ids_begin = [], []
        spec.config.lang_ids, spec.config.alignment_heads = [50259], [(0, 0)]
        spec.validate()
        spec.optimize(quantization="int8")
        out.mkdir()
        spec.save(str(out))
    return model.config.num_mel_bins


def main():
    folder, threads, frames, tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    with tempfile.TemporaryDirectory() as out:
        bins = converted(folder, pathlib.Path(out) / "model")
        model = ctranslate2.models.Whisper(
            str(pathlib.Path(out) / "model"), device="cpu", compute_type="int8", intra_threads=threads,
            inter_threads=1,
        )
    mel = numpy.random.default_rng(0).standard_normal((1, bins, 3000)).astype(numpy.float32) * 0.3

    def timed(work):
        began = time.perf_counter()
        result = work()
        return time.perf_counter() - began, result

    def encode(frames):
        features = ctranslate2.StorageView.from_array(numpy.ascontiguousarray(mel[:, :, :frames]))
        return model.encode(features, to_cpu=False)

    def write(encoded, count):
        # The end is suppressed: random weights would write it at random. Half of `max_length` is for the words.
        return model.generate(
            encoded, [PROMPT], beam_size=1, max_length=2 * count, suppress_blank=False,
            suppress_tokens=[50257, *range(50258, 50364)],
        )

    def measure(frames):
        try:
            seconds, encoded = timed(lambda: encode(frames))
            few_seconds, few = timed(lambda: write(encoded, 1))
            many_seconds, many = timed(lambda: write(encoded, tokens))
        except (RuntimeError, ValueError) as error:
            print(f"CTranslate2 on {frames} frames: {error}", file=sys.stderr)
            return None
        few, many = len(few[0].sequences_ids[0]), len(many[0].sequences_ids[0])
        return dict(encode=seconds, write=many_seconds, tokens=many,
                    step=(many_seconds - few_seconds) / max(1, many - few))

    measure(frames), measure(3000)
    print(json.dumps(dict(version=ctranslate2.__version__)), flush=True)
    for _ in sys.stdin:
        print(json.dumps(dict(short=measure(frames), full=measure(3000))), flush=True)


if __name__ == "__main__":
    main()

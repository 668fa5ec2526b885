#!/usr/bin/env python3
"""A Whisper of the true shape that always hears the same sentence: for measuring a whole server where no
trained weights are to be had.

    python dictated.py TOKENIZER_FOLDER OUT_FOLDER [--shape base] [--says "what time do you open"]

(see requirements.txt; TOKENIZER_FOLDER holds vocab.json and merges.txt as published; each word must be one
token)

All weights are random, so every step costs what it costs. But the decoder's position embeddings are so long
that they drown the rest, and each points at the token that shall follow: the text does not depend on the
audio. It takes a prompt of <|startoftranscript|><|en|><|transcribe|><|notimestamps|>, so the server needs

    asr: {whisper: {model: OUT_FOLDER, expect_names: false}}
"""
import argparse
import json
import pathlib
import shutil

import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration
from transformers.models.whisper.tokenization_whisper import LANGUAGES

SHAPES = {"tiny": (384, 4, 6), "base": (512, 6, 8), "small": (768, 12, 12)}
STEERING = ["translate", "transcribe", "startoflm", "startofprev", "nocaptions", "notimestamps"]
REACH = 60.0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tokenizer", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--shape", choices=SHAPES, default="base")
    parser.add_argument("--says", default="what time do you open")
    options = parser.parse_args()
    torch.manual_seed(1)
    width, layers, heads = SHAPES[options.shape]
    config = WhisperConfig(
        vocab_size=51_865, num_mel_bins=80, d_model=width, encoder_layers=layers, decoder_layers=layers,
        encoder_attention_heads=heads, decoder_attention_heads=heads, encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
    )
    model = WhisperForConditionalGeneration(config).eval()
    number = json.loads((options.tokenizer / "vocab.json").read_text())
    added = ["endoftext", "startoftranscript", *list(LANGUAGES)[:99], *STEERING]
    added = {f"<|{name}|>": 50_257 + at for at, name in enumerate(added)}
    number |= added
    words = [number["Ġ" + word] for word in options.says.split()]
    following = [number[name] for name in ("<|en|>", "<|transcribe|>", "<|notimestamps|>")] + words
    end = number["<|endoftext|>"]
    with torch.no_grad():
        tokens = model.model.decoder.embed_tokens.weight
        tokens.copy_(torch.nn.functional.normalize(torch.randn_like(tokens), dim=1))
        positions = model.model.decoder.embed_positions.weight
        for at in range(positions.shape[0]):
            positions[at] = REACH * tokens[following[at] if at < len(following) else end]
    options.out.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(options.out)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(options.tokenizer / name, options.out)
    for name, content in [
        ("added_tokens.json", added), ("tokenizer_config.json", {"tokenizer_class": "WhisperTokenizer"}),
        ("generation_config.json", {"is_multilingual": True}),
    ]:
        (options.out / name).write_text(json.dumps(content))
    print(f"{options.out}: {len(words)} tokens of {options.says!r}")


main()

#!/usr/bin/env python3
"""Writes tests/golden/smart_turn: a small network with smart-turn v3's interface, and what it says.

    python3 -m venv /tmp/turn && /tmp/turn/bin/pip install -r models/parity/smart_turn/requirements.txt
    /tmp/turn/bin/python models/parity/smart_turn/generate.py

tiny.onnx        Whisper's encoder (2 layers, width 32) with random weights, attention pooling and a
                 classifier: `input_features` [batch, 80, 800] -> `logits` [batch, 1], a probability
golden.safetensors
    samples      made-up sound, 16 bits
    NAME.range   from which sample to which NAME hears it
    NAME.mel     every 9th frame of its features [80, 89], by transformers' WhisperFeatureExtractor with
                 the arguments that smart-turn's own inference uses, on 8 s that are padded on the left
    NAME.probability   by torch

The weights are no speech model's: they only have to give another answer for another input.
"""
import pathlib
import warnings

import numpy
import torch
from safetensors.numpy import save_file
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

RATE = 16_000
HEARS = 8 * RATE
OUT = pathlib.Path(__file__).parents[3] / "tests/golden/smart_turn"


class TinyTurn(torch.nn.Module):
    def __init__(self):
        super().__init__()
        shape = dict(d_model=32, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=64)
        config = WhisperConfig(**shape, num_mel_bins=80, max_source_positions=400)
        config._attn_implementation = "eager"
        linear = torch.nn.Linear
        self.encoder = WhisperEncoder(config)
        self.pool = torch.nn.Sequential(linear(32, 16), torch.nn.Tanh(), linear(16, 1))
        self.classifier = torch.nn.Sequential(
            linear(32, 16), torch.nn.LayerNorm(16), torch.nn.GELU(), linear(16, 1)
        )

    def forward(self, input_features):
        hidden = self.encoder(input_features=input_features).last_hidden_state
        attention = torch.softmax(self.pool(hidden), 1)
        return torch.sigmoid(self.classifier((hidden * attention).sum(1)))


def fill(model):
    """Weights whose outputs are neither all alike nor out of hand."""
    random = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=random)
            if weight.dim() == 1:
                gain = name.endswith("weight")
                weight.copy_(0.1 * noise + (1.0 if gain else 0.0))
            else:
                weight.copy_(1.5 * noise / weight[0].numel() ** 0.5)
    return model.eval()


def sound():
    """10 s: a voice-like hum in words, noise, and pauses."""
    random = numpy.random.default_rng(3)
    seconds = numpy.arange(10 * RATE) / RATE
    pitch = 130 + 25 * numpy.sin(2 * numpy.pi * 0.7 * seconds)
    phase = 2 * numpy.pi * numpy.cumsum(pitch) / RATE
    hum = sum(numpy.sin(n * phase) / n for n in range(1, 12))
    words = numpy.clip(numpy.sin(2 * numpy.pi * 1.3 * seconds) + 0.4, 0, 1)
    signal = 5_000 * hum * words + 150 * random.standard_normal(seconds.size)
    return signal.clip(-32_000, 32_000).round().astype(numpy.int16)


def features(samples):
    """As smart-turn's inference does: the last 8 s, zeros before them, normalised as a whole."""
    audio = samples[-HEARS:].astype(numpy.float32) / 32_768
    audio = numpy.pad(audio, (HEARS - audio.size, 0))
    extractor = WhisperFeatureExtractor(chunk_length=8)
    audio = extractor.zero_mean_unit_var_norm([audio], attention_mask=None)[0]
    # The NumPy path: the Torch path is up to 4e-5 away from its own 64-bit result.
    return extractor._np_extract_fbank_features(audio[None], "cpu")[0].astype(numpy.float32)


def main():
    torch.set_num_threads(1)
    model, samples = fill(TinyTurn()), sound()
    golden = {"samples": samples}
    parts = {"short": (0, 2 * RATE), "pause": (0, 51_234), "exact": (0, HEARS), "long": (7_777, 10 * RATE), "empty": (5, 5)}
    for name, (start, end) in parts.items():
        mel = features(samples[start:end])
        with torch.no_grad():
            probability = model(torch.from_numpy(mel)[None]).numpy()[0]
        golden[f"{name}.range"] = numpy.array([start, end], dtype=numpy.int64)
        golden[f"{name}.mel"] = numpy.ascontiguousarray(mel[:, ::9])
        golden[f"{name}.probability"] = probability
        print(name, mel.shape, probability)
    OUT.mkdir(parents=True, exist_ok=True)
    save_file(golden, OUT / "golden.safetensors", {"made by": "models/parity/smart_turn/generate.py"})
    batch = {0: "batch_size"}
    warnings.simplefilter("ignore")
    torch.onnx.export(
        model,
        (torch.zeros(1, 80, 800),),
        OUT / "tiny.onnx",
        input_names=["input_features"],
        output_names=["logits"],
        dynamic_axes={"input_features": batch, "logits": batch},
        opset_version=18,
        dynamo=False,
    )
    for file in sorted(OUT.iterdir()):
        print(file.name, file.stat().st_size)


if __name__ == "__main__":
    main()

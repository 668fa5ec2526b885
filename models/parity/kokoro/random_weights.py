"""Kokoro of random weights in its true shape, for benches and for dry loads: no published weights needed.

    python random_weights.py OUT_FOLDER      (see requirements.txt; takes about 1 GB there)

Writes kokoro-v1_0.pth, config.json, voices/af_heart.bin and onnx/model.onnx, in the layouts of the published
ones. Durations are made natural (about 3 frames of 25 ms a phoneme), so that times mean something.
"""
import json
import re
import sys
import types
from pathlib import Path

import torch

OUT = Path(sys.argv[1])
PACKAGE = next(p for p in sys.path if p.endswith("site-packages")) + "/kokoro"
package = types.ModuleType("kokoro")
package.__path__ = [PACKAGE]
sys.modules["kokoro"] = package  # its __init__ wants the G2P
from kokoro.model import KModel, KModelForONNX  # noqa: E402

CONFIG = {
    "istftnet": {
        "upsample_kernel_sizes": [20, 12], "upsample_rates": [10, 6], "gen_istft_hop_size": 5,
        "gen_istft_n_fft": 20, "resblock_dilation_sizes": [[1, 3, 5]] * 3, "resblock_kernel_sizes": [3, 7, 11],
        "upsample_initial_channel": 512,
    },
    "dim_in": 64, "dropout": 0.2, "hidden_dim": 512, "max_conv_dim": 512, "max_dur": 50, "multispeaker": True,
    "n_layer": 3, "n_mels": 80, "n_token": 178, "style_dim": 128, "text_encoder_kernel_size": 5,
    "plbert": {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 2048,
               "max_position_embeddings": 512, "num_hidden_layers": 12, "dropout": 0.1},
    "vocab": json.loads((Path(__file__).parents[3] / "src/engines/kokoro/vocab.json").read_text()),
}


def main():
    for folder in ("voices", "onnx"):
        (OUT / folder).mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    empty = OUT / "empty.pth"
    torch.save({}, empty)
    network = KModel("hexgrad/Kokoro-82M", config=CONFIG, model=str(empty), disable_complex=True).eval()
    empty.unlink()
    with torch.no_grad():
        network.predictor.duration_proj.linear_layer.bias.fill_(-2.9)  # 50 · sigmoid(-2.9) = 2.6 frames
        network.predictor.F0_proj.bias.fill_(130.0)
    absent = re.compile(r"((norm\d?|adain\d\.\d)\.norm\.(weight|bias)|position_ids)$|^generator\.stft")
    parts = {part: {f"module.{name}": value for name, value in getattr(network, part).state_dict().items()
                    if not absent.search(name)}
             for part in ("bert", "bert_encoder", "predictor", "text_encoder", "decoder")}
    torch.save(parts, OUT / "kokoro-v1_0.pth")
    (OUT / "config.json").write_text(json.dumps(CONFIG, ensure_ascii=False))
    (OUT / "voices/af_heart.bin").write_bytes((torch.randn(510, 1, 256) * 0.3).numpy().tobytes())
    ids = torch.LongTensor([[0, 50, 83, 54, 156, 57, 135, 16, 65, 85, 54, 46, 0]])
    torch.onnx.export(KModelForONNX(network).eval(), args=(ids, torch.randn(1, 256) * 0.3, torch.FloatTensor([1.0])),
                      f=str(OUT / "onnx/model.onnx"), input_names=["input_ids", "style", "speed"],
                      output_names=["waveform", "duration"], opset_version=17,
                      dynamic_axes={"input_ids": {1: "n"}}, do_constant_folding=True, dynamo=False)


main()

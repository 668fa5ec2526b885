"""A tiny Kokoro of random weights in the published layout, and what the reference makes of it, stage by stage.

    python model.py OUT_FOLDER      (see requirements.txt)

Writes tiny.pth, config.json, voice.pt, golden.safetensors and the exports tiny.onnx, tiny_f16.onnx (inputs,
weights and waveform in half precision) and tiny_q8.onnx (dynamically quantised, but for the durations: one that
is rounded the other way moves everything behind it). The reference hard-codes its widths
(1024, 512, 64 in the decoder, 128 for the style); they are replaced in memory. Weights follow
N(0, 1/sqrt(fan_in)), gains are 1 +- 0.1, so that a wrong activation shows well above the tolerance. The F0's
bias is 130 Hz, else everything would be unvoiced, and the last convolution is small, else its exp overflows.
The noise of the source is zero: it cannot be compared.
"""
import importlib.machinery
import json
import re
import sys
import types
from pathlib import Path

import torch
from safetensors.torch import save_file

torch.set_num_threads(1)
OUT = Path(sys.argv[1])
WIDTH, DECODER, RESIDUAL, STYLE = 16, 24, 8, 8  # hidden_dim, and what stands for 1024, 64 and 128

# The package's __init__ wants the G2P: load the model's modules only.
PACKAGE = next(p for p in sys.path if p.endswith("site-packages")) + "/kokoro"
package = types.ModuleType("kokoro")
package.__path__ = [PACKAGE]
sys.modules["kokoro"] = package


def module(name, source):
    result = types.ModuleType(f"kokoro.{name}")
    result.__package__ = "kokoro"
    result.__spec__ = importlib.machinery.ModuleSpec(result.__name__, None)
    sys.modules[result.__name__] = result
    exec(compile(source, name, "exec"), result.__dict__)
    return result


before, decoder = Path(PACKAGE, "istftnet.py").read_text().split("class Decoder(nn.Module)")
for old, new in (("1024", DECODER), ("512", WIDTH), ("64", RESIDUAL)):
    decoder = decoder.replace(old, str(new))
istftnet = module("istftnet", before + "class Decoder(nn.Module)" + decoder)
model = module("model", Path(PACKAGE, "model.py").read_text().replace("128", str(STYLE)))
from loguru import logger  # noqa: E402

logger.remove()

VOCAB = json.loads((Path(__file__).parents[3] / "src/engines/kokoro/vocab.json").read_text())
CONFIG = {
    "istftnet": {
        "upsample_kernel_sizes": [20, 12], "upsample_rates": [10, 6], "gen_istft_hop_size": 5,
        "gen_istft_n_fft": 20, "resblock_dilation_sizes": [[1, 3, 5]] * 3, "resblock_kernel_sizes": [3, 7, 11],
        "upsample_initial_channel": WIDTH,
    },
    "dim_in": RESIDUAL, "dropout": 0.2, "hidden_dim": WIDTH, "max_conv_dim": WIDTH, "max_dur": 8,
    "multispeaker": True, "n_layer": 2, "n_mels": 80, "n_token": 178, "style_dim": STYLE,
    "text_encoder_kernel_size": 5,
    "plbert": {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48,
               "max_position_embeddings": 64, "num_hidden_layers": 2, "dropout": 0.1, "embedding_size": 16},
    "vocab": VOCAB,
}


def fill(network, seed):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(network.named_parameters()):
            gain = "alpha" in name or name.endswith("weight_g") or ("norm" in name.lower() and name.endswith("weight"))
            if gain and (p.dim() <= 1 or "alpha" in name or name.endswith("weight_g")):
                p.copy_(1 + 0.1 * torch.randn(p.shape, generator=g))
            elif p.dim() <= 1:
                p.copy_(0.1 * torch.randn(p.shape, generator=g))
            else:
                p.copy_(torch.randn(p.shape, generator=g) / max(1, p[0].numel()) ** 0.5)
        predictor, generator = network.predictor, network.decoder.generator
        predictor.F0_proj.bias.fill_(130.0)
        predictor.F0_proj.weight.copy_(torch.randn(predictor.F0_proj.weight.shape, generator=g) * 25)
        predictor.duration_proj.linear_layer.weight.mul_(6)
        generator.conv_post.weight_g.mul_(0.02)


def build(path, custom_stft):
    return model.KModel("hexgrad/Kokoro-82M", config=CONFIG, model=str(path), disable_complex=custom_stft).eval()


def shortened(exported):
    """The same with short names: half of a tiny export is names."""
    kept = {value.name for value in (*exported.graph.input, *exported.graph.output)}
    short = {}

    def of(name):
        return name if not name or name in kept else short.setdefault(name, f"v{len(short)}")

    def walk(graph, is_inner):
        graph.ClearField("value_info")
        for node in graph.node:
            for field in ("name", "doc_string", "metadata_props"):
                node.ClearField(field)
            node.input[:] = [of(name) for name in node.input]
            node.output[:] = [of(name) for name in node.output]
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    walk(attribute.g, True)
        for value in (*graph.initializer, *((*graph.input, *graph.output) if is_inner else ())):
            value.name = of(value.name)

    walk(exported.graph, False)
    return exported


def main():
    torch.save({}, OUT / "empty.pth")
    network = build(OUT / "empty.pth", False)
    (OUT / "empty.pth").unlink()
    fill(network, 1)
    # The published file has no affine parameters of the instance norms.
    absent = re.compile(r"((norm\d?|adain\d\.\d)\.norm\.(weight|bias)|position_ids)$|^generator\.stft")
    parts = {part: {f"module.{name}": value.clone() for name, value in getattr(network, part).state_dict().items()
                    if not absent.search(name)}
             for part in ("bert", "bert_encoder", "predictor", "text_encoder", "decoder")}
    torch.save(parts, OUT / "tiny.pth")
    (OUT / "config.json").write_text(json.dumps(CONFIG, ensure_ascii=False))
    network = build(OUT / "tiny.pth", False)

    quiet = types.SimpleNamespace(**{name: getattr(torch, name) for name in dir(torch) if not name.startswith("__")})
    quiet.rand = lambda *shape, **_: torch.zeros(*shape)
    quiet.randn_like = torch.zeros_like
    istftnet.torch = quiet

    golden = {}

    def keep(name, module, of_input=None):
        def hook(_, inputs, output):
            value = output if of_input is None else inputs[of_input]
            golden.setdefault(name, (value[0] if isinstance(value, tuple) else value).detach().clone())
        return module.register_forward_hook(hook)

    ids = torch.LongTensor([[0, 50, 83, 54, 156, 57, 135, 16, 65, 85, 54, 46, 0]])
    g = torch.Generator().manual_seed(3)
    style = torch.randn(1, 2 * STYLE, generator=g)
    hooks = [
        keep("bert", network.bert), keep("prosody_text", network.predictor.text_encoder),
        keep("duration_logits", network.predictor.duration_proj), keep("text", network.text_encoder),
        keep("f0", network.decoder, 1), keep("energy", network.decoder, 2),
        keep("decoded", network.decoder.generator, 0), keep("har", network.decoder.generator.noise_convs[0], 0),
    ]
    audio, durations = network.forward_with_tokens(ids, style, 1.0)
    for hook in hooks:
        hook.remove()
    _, fast = network.forward_with_tokens(ids, style, 1.7)
    golden |= {"ids": ids, "style": style, "audio": audio, "durations": durations, "durations_fast": fast}
    voice = torch.randn(510, 1, 2 * STYLE, generator=g)
    voice[len(ids[0]) - 3, 0] = style[0]
    torch.save(voice, OUT / "voice.pt")

    exported = model.KModelForONNX(build(OUT / "tiny.pth", True)).eval()
    torch.onnx.export(exported, args=(ids, style, torch.FloatTensor([1.0])), f=str(OUT / "tiny.onnx"),
                      input_names=["input_ids", "style", "speed"], output_names=["waveform", "duration"],
                      opset_version=17, dynamic_axes={"input_ids": {1: "n"}}, do_constant_folding=True, dynamo=False)
    import onnx
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnxruntime.set_default_logger_severity(4)
    plain = onnx.load(OUT / "tiny.onnx")
    timing = [node.name for node in plain.graph.node if node.name.startswith(("/predictor", "/bert"))]
    quantize_dynamic(OUT / "tiny.onnx", OUT / "tiny_q8.onnx", weight_type=QuantType.QUInt8, nodes_to_exclude=timing)
    onnx.save(shortened(onnx.load(OUT / "tiny_q8.onnx")), OUT / "tiny_q8.onnx")
    onnx.save(shortened(convert_float_to_float16(plain, keep_io_types=False)), OUT / "tiny_f16.onnx")
    onnx.save(shortened(onnx.load(OUT / "tiny.onnx")), OUT / "tiny.onnx")

    session = onnxruntime.InferenceSession(str(OUT / "tiny.onnx"))
    waveform, duration = session.run(None, {"input_ids": ids.numpy(), "style": style.numpy(),
                                            "speed": torch.FloatTensor([1.0]).numpy()})
    golden |= {"onnx_audio": torch.from_numpy(waveform).reshape(-1), "onnx_durations": torch.from_numpy(duration)}
    golden = {name: value.contiguous() for name, value in golden.items()}
    save_file(golden, OUT / "golden.safetensors")
    for name, value in sorted(golden.items()):
        print(name, tuple(value.shape), float(value.float().abs().max()))
    print("durations", durations.tolist(), fast.tolist())


main()

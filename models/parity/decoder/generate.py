#!/usr/bin/env python3
"""Writes tests/golden/decoder/: tiny random checkpoints, and what the reference makes of them.

    python3 -m venv /tmp/decoder && /tmp/decoder/bin/pip install -r models/parity/decoder/requirements.txt
    /tmp/decoder/bin/python models/parity/decoder/generate.py

Each checkpoint is a folder `NAME/` with safetensors or a file `NAME.gguf`; what transformers
computes for it in 32-bit floats is in `NAME.golden.safetensors`:

    prompt   [t]                token ids
    logits   [t, vocab]         after each of them
    greedy   [n]                continuation of the prompt, the most likely token each time
    long     [2060]             token ids (some checkpoints)
    long_logits [20, vocab]     after the last 20 of them, at positions beyond 2048

Of a quantised checkpoint the reference computes with the weights as the `gguf` package
dequantises them. Weights are N(0, 1/fan_in), norms 1 ± 0.1, biases ± 0.1, so that a swapped axis or a
forgotten term shows far above the tolerances. The K-quants are random blocks instead, because the
package cannot quantise to them: every scale and every bit pattern occurs.

A greedy continuation is refused if its best two tokens are ever closer than MARGIN, or if it has fewer
than DISTINCT tokens, which would not show much: pick another seed.
"""
import copy
import json
import pathlib
import shutil

import gguf
import numpy
import torch
from gguf import GGMLQuantizationType as Type
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

torch.set_num_threads(1)
OUT = pathlib.Path(__file__).parents[3] / "tests/golden/decoder"
GREEDY = 24
LONG = 2060
LAST = 20
MARGIN = 2e-3
DISTINCT = 4

SHAPE = dict(
    vocab_size=128, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=4096, bos_token_id=1, eos_token_id=2, pad_token_id=0,
)
LLAMA3 = dict(
    rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=256,
)


def randomised(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                parameter.copy_(noise * 0.1 + (1.0 if "norm" in name else 0.0))
            else:
                parameter.copy_(noise / parameter.shape[1] ** 0.5)
    return model.eval()


def rounded(model, dtype):
    """The model with weights that `dtype` holds exactly; it still computes in 32 bits."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(dtype).float())
    return model


def qwen3(seed, **changes):
    config = Qwen3Config(**{**SHAPE, "head_dim": 16, "tie_word_embeddings": True, "rms_norm_eps": 1e-6,
                            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, **changes})
    return randomised(Qwen3ForCausalLM(config), seed)


def llama(seed, **changes):
    config = LlamaConfig(**{**SHAPE, "tie_word_embeddings": False, "rms_norm_eps": 1e-5,
                            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}, **changes})
    return randomised(LlamaForCausalLM(config), seed)


def golden(name, model, long=False):
    generator = torch.Generator().manual_seed(7)
    vocab = model.config.vocab_size
    prompt = torch.randint(3, vocab, (10,), generator=generator)
    tensors = {"prompt": prompt}
    with torch.no_grad():
        tensors["logits"] = model(prompt[None]).logits[0]
        ids = prompt
        for _ in range(GREEDY):
            logits = model(ids[None]).logits[0, -1]
            best = logits.topk(2).values
            assert best[0] - best[1] > MARGIN, f"{name}: near tie, {best}"
            ids = torch.cat([ids, logits.argmax()[None]])
        tensors["greedy"] = ids[len(prompt):]
        assert len(set(tensors["greedy"].tolist())) >= DISTINCT, f"{name}: a poor continuation"
        if long:
            tensors["long"] = torch.randint(3, vocab, (LONG,), generator=generator)
            tensors["long_logits"] = model(tensors["long"][None]).logits[0, -LAST:]
    tensors = {
        key: (value.int() if value.dtype == torch.int64 else value).contiguous()
        for key, value in tensors.items()
    }
    save_file(tensors, OUT / f"{name}.golden.safetensors")
    print(name, tensors["greedy"].tolist()[:8], "logits std", round(tensors["logits"].std().item(), 2))


def folder(name, model, dtype=torch.float32, config=None, **options):
    """`config`: changes config.json as another version or another hub folder would have it."""
    path = OUT / name
    copy.deepcopy(model).to(dtype).save_pretrained(path, **options)
    if config:
        file = path / "config.json"
        values = json.loads(file.read_text())
        config(values)
        file.write_text(json.dumps(values, indent=2) + "\n")


def old_style(values):
    """As transformers 4 wrote it."""
    rope = values.pop("rope_parameters")
    values["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    values["rope_scaling"] = None if kind == "default" else {"type": kind, **rope}
    values["torch_dtype"] = values.pop("dtype")
    values.pop("layer_types", None)
    values["use_sliding_window"] = False
    values["sliding_window"] = None


GGUF_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def gguf_name(name):
    name = name.replace("model.layers.", "blk.")
    for hugging_face, ours in GGUF_NAMES.items():
        name = name.replace(hugging_face, ours)
    return name


def permuted(values, heads):
    """The order of rows that GGUF files of Llama have: the halves of a head become pairs."""
    rest = values.shape[1:]
    return values.reshape(heads, 2, -1, *rest).swapaxes(1, 2).reshape(-1, *rest)


def random_blocks(kind, shape, random):
    """Random blocks of a K-quant whose values are about N(0, 1/fan_in)."""
    count = shape[0] * shape[1] // 256
    target = 1 / shape[1] ** 0.5
    half = lambda scale: (scale * random.uniform(0.5, 1.5, (count, 1))).astype(numpy.float16).view(numpy.uint8)
    any_bytes = lambda number: random.integers(0, 256, (count, number), dtype=numpy.uint8)
    if kind == Type.Q4_K:  # d, dmin, 12 bytes of scales and minima, 128 of nibbles
        parts = [half(target / 240), half(target / 32), any_bytes(12 + 128)]
    elif kind == Type.Q5_K:  # the same with 32 bytes of fifth bits
        parts = [half(target / 480), half(target / 32), any_bytes(12 + 32 + 128)]
    elif kind == Type.Q6_K:  # 128 bytes of low bits, 64 of high bits, 16 scales, d
        parts = [any_bytes(128 + 64 + 16), half(target / 1350)]
    else:
        raise ValueError(kind)
    return numpy.concatenate(parts, axis=1).reshape(shape[0], -1)


def write_gguf(name, model, kind_of, long=False, key_length=True):
    """`kind_of(name, shape)`: the type of a matrix."""
    config = model.config
    is_llama = config.model_type == "llama"
    random = numpy.random.default_rng(5)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer = gguf.GGUFWriter(OUT / f"{name}.gguf", config.model_type)
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    if key_length:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([f"t{i}" for i in range(config.vocab_size)])
    writer.add_token_types([3 if i < 3 else 1 for i in range(config.vocab_size)])
    writer.add_token_merges(["t 1", "t 2"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{{ messages[0].content }}")
    reference = copy.deepcopy(model)
    state = reference.state_dict()
    for source, parameter in model.state_dict().items():
        if source == "lm_head.weight" and config.tie_word_embeddings:
            continue
        target, values = gguf_name(source), parameter.numpy().astype(numpy.float32)
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(
            source.split(".")[-2])
        order = (lambda rows: permuted(rows, heads)) if is_llama and heads else (lambda rows: rows)
        kind = kind_of(target, values.shape) if values.ndim == 2 else Type.F32
        if kind in (Type.Q4_K, Type.Q5_K, Type.Q6_K):
            data = random_blocks(kind, values.shape, random)
        else:
            data = gguf.quantize(values, kind)
        writer.add_tensor(target, order(data), raw_dtype=kind)
        state[source].copy_(torch.from_numpy(gguf.dequantize(data, kind).copy()).reshape(parameter.shape))
    if config.rope_parameters["rope_type"] == "llama3":
        plain = 1 / config.rope_parameters["rope_theta"] ** (
            torch.arange(0, head_dim, 2, dtype=torch.int64).float() / head_dim)
        writer.add_tensor("rope_freqs.weight", (plain / reference.model.rotary_emb.inv_freq).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    golden(name, reference, long)


def k_quant(main, other):
    """As in the mixtures of llama.cpp: some matrices finer, and another type where the rows are not
    whole blocks of 256."""
    def kind_of(name, shape):
        if shape[1] % 256:
            return Type.Q8_0
        return other if "attn_v" in name or name.startswith("output") else main
    return kind_of


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)

    tied = qwen3(15)
    folder("qwen3-tied", tied)
    golden("qwen3-tied", tied, long=True)

    untied = rounded(qwen3(11, tie_word_embeddings=False, num_key_value_heads=4), torch.bfloat16)
    folder("qwen3-untied-old-sharded", untied, torch.bfloat16, old_style, max_shard_size="30KB")
    golden("qwen3-untied-old-sharded", untied)

    biased = rounded(llama(5, attention_bias=True, mlp_bias=True, rope_parameters=LLAMA3), torch.float16)
    folder("llama3-biased", biased, torch.float16, lambda values: values.pop("head_dim", None))
    golden("llama3-biased", biased, long=True)

    linear = llama(6, num_hidden_layers=1, rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0})
    folder("llama-linear-old", linear, config=old_style)
    golden("llama-linear-old", linear, long=True)

    write_gguf("qwen3-f32", tied, lambda name, shape: Type.F32)
    write_gguf("qwen3-f16", tied, lambda name, shape: Type.F16)
    write_gguf("qwen3-bf16", tied, lambda name, shape: Type.BF16)
    write_gguf("qwen3-q8_0", tied, lambda name, shape: Type.Q8_0)
    write_gguf("qwen3-q4_0", tied, lambda name, shape: Type.Q4_0)
    write_gguf("llama-permuted", biased, lambda name, shape: Type.F32, long=True, key_length=False)

    wide = dict(hidden_size=256, intermediate_size=64, num_attention_heads=2, num_key_value_heads=1,
                head_dim=32, vocab_size=64, num_hidden_layers=1)
    write_gguf("qwen3-q4_k", qwen3(2, **wide), k_quant(Type.Q4_K, Type.Q4_K))
    write_gguf("qwen3-q6_k", qwen3(4, **wide), k_quant(Type.Q6_K, Type.Q6_K))
    mixed = qwen3(1, **{**wide, "num_hidden_layers": 2, "tie_word_embeddings": False})
    write_gguf("qwen3-mixed", mixed, k_quant(Type.Q5_K, Type.Q6_K))

    total = sum(file.stat().st_size for file in OUT.rglob("*") if file.is_file())
    print(f"{total / 1024:.0f} KiB in all")


if __name__ == "__main__":
    main()

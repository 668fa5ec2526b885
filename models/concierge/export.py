"""Writes a checkpoint as `concierge-q8_0.gguf` and checks that the file answers as the checkpoint does.

    python models/concierge/export.py [checkpoint folder] [conversations per suite for the check]

Matrices are Q8_0, norms F32, the embedding is tied.  Beside it lie `tokenizer.json` and `tokenizer_config.json`.
"""

import json
import sys

import gguf
import numpy as np
import torch

from chat import HERE, load
from evaluate import hits, make_suite
from marks import MARKS
from tokenizer import ADDED, SPECIAL

OUT = HERE / "concierge-q8_0.gguf"
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def gguf_name(name):
    """The name of a tensor of Hugging Face's Qwen3 in a GGUF file."""
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"


def tokens_of(tk):
    """-> (tokens by id, their GGUF types, merges)."""
    spec = json.loads(tk.to_str())
    size = tk.get_vocab_size()
    tokens, types = [""] * size, [gguf.TokenType.NORMAL] * size
    for text, i in tk.get_vocab().items():
        tokens[i] = text
    for i, text in enumerate(tokens):
        types[i] = (
            gguf.TokenType.CONTROL
            if text in SPECIAL or text in MARKS
            else gguf.TokenType.USER_DEFINED
            if text in ADDED
            else gguf.TokenType.NORMAL
        )
    merges = [m if isinstance(m, str) else " ".join(m) for m in spec["model"]["merges"]]
    return tokens, types, merges


def write(model, tk, template, path):
    c = model.config
    g = gguf.GGUFWriter(str(path), "qwen3")
    g.add_name("Concierge")
    g.add_description("A receptionist that answers from the facts in its prompt; made for Vivavoce.")
    g.add_license("MIT OR Apache-2.0")
    g.add_languages(["en"])
    g.add_quantization_version(gguf.GGML_QUANT_VERSION)
    g.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    g.add_context_length(c.max_position_embeddings)
    g.add_embedding_length(c.hidden_size)
    g.add_block_count(c.num_hidden_layers)
    g.add_feed_forward_length(c.intermediate_size)
    g.add_head_count(c.num_attention_heads)
    g.add_head_count_kv(c.num_key_value_heads)
    g.add_key_length(c.head_dim)
    g.add_value_length(c.head_dim)
    g.add_rope_freq_base(c.rope_parameters["rope_theta"])
    g.add_layer_norm_rms_eps(c.rms_norm_eps)
    g.add_vocab_size(c.vocab_size)
    tokens, types, merges = tokens_of(tk)
    g.add_tokenizer_model("gpt2")
    g.add_tokenizer_pre("qwen2")
    g.add_token_list(tokens)
    g.add_token_types(types)
    g.add_token_merges(merges)
    g.add_eos_token_id(SPECIAL.index("<|im_end|>"))
    g.add_pad_token_id(SPECIAL.index("<|endoftext|>"))
    g.add_add_bos_token(False)
    g.add_chat_template(template)
    g.add_float32("general.sampling.temp", 0.0)  # a receptionist is greedy
    for name, value in model.state_dict().items():
        if name == "lm_head.weight":
            continue  # tied to the embedding
        x = value.float().numpy()
        if x.ndim == 2:
            q = gguf.quants.quantize(x, gguf.GGMLQuantizationType.Q8_0)
            g.add_tensor(gguf_name(name), q, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            g.add_tensor(gguf_name(name), x.astype(np.float32))
    g.write_header_to_file()
    g.write_kv_data_to_file()
    g.write_tensors_to_file()
    g.close()


@torch.no_grad()
def read_back(model, path):
    """Puts the file's dequantised tensors into `model`."""
    by_name = {t.name: t for t in gguf.GGUFReader(str(path)).tensors}
    state = model.state_dict()
    for name, value in state.items():
        if name == "lm_head.weight":
            continue
        t = by_name[gguf_name(name)]
        x = gguf.quants.dequantize(t.data, t.tensor_type)
        value.copy_(torch.from_numpy(np.array(x, dtype=np.float32)).reshape(value.shape))


def tokenizer_config(tk, template):
    return dict(
        tokenizer_class="Qwen2Tokenizer",
        model_max_length=2048,
        bos_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token=None,
        add_bos_token=False,
        add_prefix_space=False,
        clean_up_tokenization_spaces=False,
        chat_template=template,
        added_tokens_decoder={
            str(tk.token_to_id(t)): dict(
                content=t, special=t not in ADDED, lstrip=False, rstrip=False, normalized=False, single_word=False
            )
            for t in [*SPECIAL, *ADDED, *MARKS]
        },
    )


def main(folder=None, count=60):
    torch.set_num_threads(1)
    model, tk = load(folder or HERE / "run")
    template = (HERE / "chat_template.jinja").read_text()
    write(model, tk, template, OUT)
    tk.save(str(HERE / "tokenizer.json"))
    (HERE / "tokenizer_config.json").write_text(
        json.dumps(tokenizer_config(tk, template), indent=2, ensure_ascii=False) + "\n"
    )
    size = OUT.stat().st_size
    assert size <= 12e6, f"{OUT.name} has {size} bytes, more than 12 MB"
    suites = [make_suite(s, count, seed=4) for s in ("values", "noisy", "unknown", "long")]
    before = [hits(model, tk, s) for s in suites]
    read_back(model, OUT)
    after = [hits(model, tk, s) for s in suites]
    flips = sum(x != y for a, b in zip(before, after) for u, v in zip(a, b) for x, y in zip(u, v))
    total = sum(len(u) for a in before for u in a)
    was, now = (sum(h for a in rows for u in a for h in u) / total for rows in (before, after))
    print(f"{OUT.name}: {size / 1e6:.2f} MB; of {total} replies {flips} changed between right and wrong;", end=" ")
    print(f"right before {was:.3f}, after {now:.3f}")


if __name__ == "__main__":
    main(*(sys.argv[1:2]), *map(int, sys.argv[2:3]))

#!/usr/bin/env python3
"""Writes tests/golden/stories260k.json: what transformers makes of the converted checkpoint.

    python3 -m venv /tmp/decoder && /tmp/decoder/bin/pip install -r models/parity/stories260k/requirements.txt
    python3 models/parity/stories260k/convert.py ../shared/data/llm/stories260K.bin ../shared/data/llm/tok512.bin /tmp/stories.gguf
    /tmp/decoder/bin/python models/parity/stories260k/golden.py /tmp/stories.gguf

The greedy continuation of the begin token, as ids and as text, and the smallest distance that its best two
logits ever had.
"""
import json
import pathlib
import sys

import gguf
import torch
from transformers import LlamaConfig, LlamaForCausalLM

TOKENS = 120
NAMES = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}


def main():
    reader = gguf.GGUFReader(sys.argv[1])
    setting = lambda key: reader.fields[key].contents()
    config = LlamaConfig(
        vocab_size=len(setting("tokenizer.ggml.tokens")),
        hidden_size=setting("llama.embedding_length"),
        intermediate_size=setting("llama.feed_forward_length"),
        num_hidden_layers=setting("llama.block_count"),
        num_attention_heads=setting("llama.attention.head_count"),
        num_key_value_heads=setting("llama.attention.head_count_kv"),
        max_position_embeddings=setting("llama.context_length"),
        rms_norm_eps=setting("llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": setting("llama.rope.freq_base")},
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config).eval()
    state = {}
    for tensor in reader.tensors:
        parts = tensor.name.split(".")
        layer = f"model.layers.{parts[1]}." if parts[0] == "blk" else ""
        values = torch.from_numpy(tensor.data.copy())
        heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(parts[-2])
        if heads:  # pairs become halves
            values = values.reshape(heads, -1, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        state[f"{layer}{NAMES[parts[-2]]}.weight"] = values
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)

    ids, margin = [1], float("inf")
    with torch.no_grad():
        for _ in range(TOKENS):
            logits = model(torch.tensor([ids])).logits[0, -1]
            best = logits.topk(2).values
            margin = min(margin, (best[0] - best[1]).item())
            ids.append(logits.argmax().item())
    tokens = setting("tokenizer.ggml.tokens")
    text = "".join(tokens[id] for id in ids[1:]).replace("\u2581", " ").replace("<0x0A>", "\n")
    out = pathlib.Path(__file__).parents[3] / "tests/golden/stories260k.json"
    out.write_text(json.dumps({"greedy": ids[1:], "text": text.strip(), "smallest_margin": margin}, indent=1) + "\n")
    print(text, margin)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Converts a checkpoint of llama2.c (version 0) to GGUF; needs nothing but Python.

    python3 models/parity/stories260k/convert.py ../shared/data/llm/stories260K.bin ../shared/data/llm/tok512.bin OUT.gguf

Input, little-endian: seven 32-bit numbers (width, feed-forward width, layers, heads, key-value heads,
vocabulary, positions; the vocabulary is negative if the LM head is a matrix of its own), then 32-bit floats:
embeddings; per kind and then layer: attention norms, q, k, v, output, feed-forward norms, gate (w1), down (w2),
up (w3); last norm; two tables of rotations that nobody needs; the LM head.
The tokenizer file: longest token; then per token its score, its length and its bytes.

Rows of q and k stay as they are: llama2.c rotates the pairs (2i, 2i+1), as GGUF files of Llama do.
"""
import struct
import sys

ALIGNMENT = 32
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
F32_TENSOR = 0
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def scalar(kind, value):
    if kind == STRING:
        return string(value)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


def entry(key, kind, value):
    if isinstance(value, list):
        head = struct.pack("<IIQ", ARRAY, kind, len(value))
        return string(key) + head + b"".join(scalar(kind, element) for element in value)
    return string(key) + struct.pack("<I", kind) + scalar(kind, value)


def padded(data):
    return data + b"\0" * (-len(data) % ALIGNMENT)


def read_model(path):
    """Settings, and tensors by their GGUF names as (shape, bytes)."""
    with open(path, "rb") as file:
        data = file.read()
    width, inner, layers, heads, kv_heads, vocab, positions = struct.unpack_from("<7i", data)
    tied, vocab = vocab > 0, abs(vocab)
    head_dim = width // heads
    offset = 28

    def take(*shape):
        nonlocal offset
        size = 4
        for length in shape:
            size *= length
        offset += size
        if offset > len(data):
            sys.exit(f"{path}: ends within its weights")
        return shape, data[offset - size : offset]

    tensors = {"token_embd.weight": take(vocab, width)}

    def per_layer(name, *shape):
        for layer in range(layers):
            tensors[f"blk.{layer}.{name}.weight"] = take(*shape)

    per_layer("attn_norm", width)
    per_layer("attn_q", heads * head_dim, width)
    per_layer("attn_k", kv_heads * head_dim, width)
    per_layer("attn_v", kv_heads * head_dim, width)
    per_layer("attn_output", width, heads * head_dim)
    per_layer("ffn_norm", width)
    per_layer("ffn_gate", inner, width)
    per_layer("ffn_down", width, inner)
    per_layer("ffn_up", inner, width)
    tensors["output_norm.weight"] = take(width)
    take(2, positions, head_dim // 2)
    if not tied:
        tensors["output.weight"] = take(vocab, width)
    if offset != len(data):
        sys.exit(f"{path}: {len(data) - offset} bytes are left over: no version 0 of llama2.c")
    settings = [
        ("llama.context_length", U32, positions),
        ("llama.embedding_length", U32, width),
        ("llama.block_count", U32, layers),
        ("llama.feed_forward_length", U32, inner),
        ("llama.attention.head_count", U32, heads),
        ("llama.attention.head_count_kv", U32, kv_heads),
        ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
        ("llama.rope.dimension_count", U32, head_dim),
        ("llama.rope.freq_base", F32, 10000.0),
    ]
    return settings, tensors, vocab


def read_tokenizer(path, vocab):
    with open(path, "rb") as file:
        data = file.read()
    tokens, scores, kinds, offset = [], [], [], 4
    for token in range(vocab):
        score, length = struct.unpack_from("<fi", data, offset)
        text = data[offset + 8 : offset + 8 + length].decode()
        offset += 8 + length
        if token == 0:
            kind, text = UNKNOWN, "<unk>"
        elif token < 3:
            kind, text = CONTROL, text.strip("\n")
        elif text.startswith("<0x") and text.endswith(">"):
            kind = BYTE
        else:
            # SentencePiece's own sign for a space.
            kind, text = NORMAL, text.replace(" ", "\u2581")
        tokens.append(text)
        scores.append(score)
        kinds.append(kind)
    return [
        ("tokenizer.ggml.model", STRING, "llama"),
        ("tokenizer.ggml.tokens", STRING, tokens),
        ("tokenizer.ggml.scores", F32, scores),
        ("tokenizer.ggml.token_type", I32, kinds),
        ("tokenizer.ggml.unknown_token_id", U32, 0),
        ("tokenizer.ggml.bos_token_id", U32, 1),
        ("tokenizer.ggml.eos_token_id", U32, 2),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.ggml.add_space_prefix", BOOL, True),
    ]


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    settings, tensors, vocab = read_model(sys.argv[1])
    entries = [
        ("general.architecture", STRING, "llama"),
        ("general.name", STRING, "stories260K"),
        *settings,
        *read_tokenizer(sys.argv[2], vocab),
    ]
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries))
    header += b"".join(entry(*each) for each in entries)
    offset = 0
    for name, (shape, data) in tensors.items():
        header += string(name) + struct.pack("<I", len(shape))
        header += struct.pack(f"<{len(shape)}Q", *reversed(shape)) + struct.pack("<IQ", F32_TENSOR, offset)
        offset += len(padded(data))
    with open(sys.argv[3], "wb") as file:
        file.write(padded(header))
        for _, data in tensors.values():
            file.write(padded(data))


if __name__ == "__main__":
    main()

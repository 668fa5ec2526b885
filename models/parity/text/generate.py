"""Makes tests/golden/text: what transformers, sentencepiece and torch say about words and tokens.

    pip install -r requirements.txt
    python generate.py [DATA]

DATA holds the real vocabularies: `tokenizers/qwen3` (vocab.json, merges.txt, added_tokens.json,
tokenizer_config.json, chat_template.jinja of a Qwen3 model) and `llm/tok512.bin` (llama2.c format).
Without it, their two goldens are left as they are. Nothing of these files is written but token ids.

Ids of a text are written as they are if they are few, else as "<count>:<first 16 hex digits of the
SHA-256 of the ids, comma-separated>".

`bytes/` (a byte-level tokenizer) and `pieces.json` (a SentencePiece one, as a GGUF file would carry
it) are trained here, on the texts of strings.py; training them again is the only thing that could
change the ids of the same version.
"""
import hashlib
import io
import json
import pathlib
import shutil
import struct
import sys
import tempfile

import sentencepiece
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AddedToken, GPT2Tokenizer, LlamaTokenizer, Qwen2Tokenizer
from transformers.generation import logits_process
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX
from transformers.tokenization_utils_base import generate_merges

import conversations
import strings

OUT = pathlib.Path(__file__).resolve().parents[3] / "tests" / "golden" / "text"
TEXTS = [strings.text(entry) for entry in strings.strings()]
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
ADDED = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]
# The pattern of Llama 3's tokenizer.json.
LLAMA3_REGEX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
FEW_IDS = 32


def write(name, value):
    lines = io.StringIO()
    if isinstance(value, list):
        lines.write("[\n" + ",\n".join(json.dumps(item, ensure_ascii=False) for item in value) + "\n]\n")
    else:
        rows = [json.dumps(key) + ": " + json.dumps(item, ensure_ascii=False) for key, item in value.items()]
        lines.write("{\n" + ",\n".join(rows) + "\n}\n")
    (OUT / name).write_text(lines.getvalue(), encoding="utf-8")


def brief(ids):
    if len(ids) <= FEW_IDS:
        return ids
    return f"{len(ids)}:{hashlib.sha256(','.join(map(str, ids)).encode()).hexdigest()[:16]}"


def all_ids(encode):
    return [brief(list(encode(text))) for text in TEXTS]


def transformers_ids(tokenizer):
    return {
        "parsed": all_ids(lambda text: tokenizer.encode(text, add_special_tokens=False)),
        "plain": all_ids(tokenizer._encode_without_added_tokens),
    }


def added_tokens():
    for text in CONTROL:
        yield AddedToken(text, special=True, normalized=False)
    for text in ADDED:
        yield AddedToken(text, special=False, normalized=False)


def byte_level():
    """A small Qwen2-style tokenizer: its files, and its ids under every cut that GGUF files name."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated")
    trained.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    trained.train_from_iterator([text for text in TEXTS if len(text) < 500 and "<" not in text], trainer)
    model = json.loads(trained.to_str())["model"]
    vocab, merges = model["vocab"], [tuple(pair) for pair in model["merges"]]

    tokenizer = Qwen2Tokenizer(vocab=vocab, merges=merges, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.add_tokens(list(added_tokens()))
    folder = OUT / "bytes"
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as saved:
        tokenizer.save_pretrained(saved)
        folder.mkdir(parents=True)
        raw = json.loads((pathlib.Path(saved) / "tokenizer.json").read_text())
        (folder / "tokenizer.json").write_text(json.dumps(raw, ensure_ascii=False, separators=(",", ":")) + "\n")
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False, separators=(",", ":")) + "\n")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    decoder = {
        str(id): {"content": token.content, "lstrip": token.lstrip, "normalized": token.normalized, "rstrip": token.rstrip, "single_word": token.single_word, "special": token.special}
        for id, token in tokenizer.added_tokens_decoder.items()
    }
    config = {"tokenizer_class": "Qwen2Tokenizer", "add_prefix_space": False, "bos_token": None, "eos_token": "<|im_end|>", "pad_token": {"content": "<|endoftext|>"}, "added_tokens_decoder": decoder}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [tokenizer.convert_tokens_to_ids(t) for t in ("<|im_end|>", "<|endoftext|>")]}) + "\n")
    write("bytes.json", transformers_ids(tokenizer))

    def cut(model, *steps):
        other = Tokenizer(model)
        other.pre_tokenizer = pre_tokenizers.Sequence(list(steps))
        return all_ids(lambda text: other.encode(text, add_special_tokens=False).ids)

    # Llama 3 takes a word that is a token as it is; that shows where no merges lead to it.
    llama3 = models.BPE(vocab=vocab, merges=merges[:-60], ignore_merges=True)

    gpt2 = GPT2Tokenizer(vocab=vocab, merges=merges, unk_token=None, bos_token=None, eos_token=None)
    write("cuts.json", {
        "gpt-2": all_ids(gpt2._encode_without_added_tokens),
        "llama-bpe": cut(llama3, pre_tokenizers.Split(Regex(LLAMA3_REGEX), behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)),
        "smollm": cut(models.BPE(vocab=vocab, merges=merges), pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)),
    })
    return tokenizer


def llama(tokens, scores, types):
    vocab = {token: id for id, token in enumerate(tokens)}
    merges = generate_merges(vocab, {token: score for token, score, type in zip(tokens, scores, types) if type in (1, 6)})
    tokenizer = LlamaTokenizer(vocab=vocab, merges=merges, unk_token=tokens[0], bos_token=tokens[1], eos_token=tokens[2])
    outside = [AddedToken(token, special=type == 3, normalized=False) for token, type in zip(tokens, types) if type in (3, 4)]
    tokenizer.add_tokens(outside)
    return tokenizer


def sentence_pieces():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text for text in TEXTS if 0 < len(text) < 500 and "\0" not in text and "<" not in text]),
        model_writer=model, model_type="bpe", vocab_size=900, byte_fallback=True, character_coverage=0.98,
        normalization_rule_name="identity", remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
        control_symbols=["<|im_start|>", "<|im_end|>"], user_defined_symbols=["<tool_call>"], num_threads=1, minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = range(pieces.get_piece_size())
    types = [2 if pieces.is_unknown(id) else 3 if pieces.is_control(id) else 6 if pieces.is_byte(id) else 4 if pieces.id_to_piece(id) == "<tool_call>" else 1 for id in ids]
    tokens, scores = [pieces.id_to_piece(id) for id in ids], [pieces.get_score(id) for id in ids]
    golden = transformers_ids(llama(tokens, scores, types))
    # Where transformers and sentencepiece part: a text that begins with a space, and NUL.
    same = [brief(pieces.encode(text)) == ids for text, ids in zip(TEXTS, golden["parsed"])]
    print(f"sentencepiece agrees with transformers on {sum(same)} of {len(same)} texts")
    parted = [text[:20] for text, same in zip(TEXTS, same) if not same]
    print("it does not on", parted)
    write("pieces.json", {"tokens": tokens, "scores": scores, "token_types": types, **golden, "sentencepiece_agrees": same})


def tok512(file):
    data = file.read_bytes()[4:]
    tokens, scores = [], []
    while data:
        score, length = struct.unpack("<fi", data[:8])
        tokens.append(data[8:8 + length].decode().replace(" ", "▁"))
        scores.append(score)
        data = data[8 + length:]
    types = [2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259)
    tokens[1:3] = ["<s>", "</s>"]
    write("tok512.json", transformers_ids(llama(tokens, scores, types)))


def qwen3(folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert type(tokenizer).__name__.startswith("Qwen2Tokenizer"), type(tokenizer)
    golden = transformers_ids(tokenizer)
    round_trips = [tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) for text in TEXTS]
    golden["decoded"] = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in round_trips]
    golden["chat"] = [
        brief(tokenizer.apply_chat_template(messages(chat), tools=described(tools), add_generation_prompt=True, enable_thinking=False, tokenize=True, return_dict=False))
        for chat, tools in every_conversation()
    ]
    write("qwen3.json", golden)


def messages(chat):
    """Our messages as transformers wants them."""
    names = {call["id"]: call["name"] for message in chat for call in message.get("tool_calls", [])}
    theirs = []
    for message in chat:
        message = dict(message)
        if "tool_calls" in message:
            message["tool_calls"] = [
                {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": json.loads(call["arguments"])}} for call in message["tool_calls"]
            ]
        if "tool_call_id" in message:
            message["name"] = names[message["tool_call_id"]]
        theirs.append(message)
    return theirs


def described(tools):
    return [{"type": "function", "function": tool} for tool in tools] or None


def every_conversation():
    plain = [(chat, []) for chat in conversations.PLAIN + conversations.LATE_SYSTEM]
    return plain + [(chat, [conversations.NOW, conversations.WEATHER]) for chat in conversations.PLAIN] + conversations.TOOLS


def templates(tokenizer):
    cases = []
    named = {"bos_token": "<s>", "eos_token": "</s>"}
    for name in ("qwen3", "llama3-like", "mistral-like"):
        source = (OUT / "templates" / f"{name}.jinja").read_text()
        for chat, tools in every_conversation() + conversations.INJECTIONS:
            for thinking, prompt in ((False, True), (True, True), (False, False)) if name == "qwen3" else ((False, True),):
                case = {"template": name, "messages": chat, "tools": tools, "enable_thinking": thinking, "add_generation_prompt": prompt}
                options = dict(chat_template=source, tools=described(tools), enable_thinking=thinking, add_generation_prompt=prompt, **({} if name == "qwen3" else named))
                try:
                    text = tokenizer.apply_chat_template(messages(chat), tokenize=False, **options)
                    case["text"] = text if len(text) < 400 else f"{len(text.encode())}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
                except Exception as error:
                    case["error"] = str(error)
                cases.append(case)
    write("templates.json", [{"conversation": number, **case} for number, case in enumerate(dedup(cases))])

    source = (OUT / "templates" / "qwen3.jinja").read_text()
    tokenizer.chat_control_tokens = CONTROL + ADDED
    golden = []
    for chat, tools in conversations.INJECTIONS:
        ids = tokenizer.apply_chat_template(
            messages(chat), chat_template=source, tools=described(tools), enable_thinking=False, add_generation_prompt=True, sanitize_control_tokens=True, tokenize=True, return_dict=False
        )
        golden.append({"messages": chat, "tools": tools, "ids": list(ids)})
    write("injections.json", golden)


def dedup(cases):
    """Conversations and tools are written once, and then named by number."""
    known, short = {}, []
    for case in cases:
        key = json.dumps([case["messages"], case["tools"]])
        if key in known:
            case = {k: v for k, v in case.items() if k not in ("messages", "tools")} | {"same_as": known[key]}
        else:
            known[key] = len(short)
        short.append(case)
    return short


def sampling():
    torch.manual_seed(20261120)
    cases = []
    settings = [
        dict(temperature=1.0), dict(temperature=0.7, top_k=20, top_p=0.8), dict(temperature=0.6, top_k=20, top_p=0.95), dict(temperature=1.5, min_p=0.1),
        dict(temperature=1.0, top_p=0.1), dict(temperature=1.0, top_k=1), dict(temperature=2.0, top_k=5, min_p=0.3), dict(temperature=1.0, repetition_penalty=1.3),
        dict(temperature=0.8, top_k=12, top_p=0.9, min_p=0.05, repetition_penalty=1.1), dict(temperature=0.3, top_p=0.99), dict(temperature=1.0, min_p=1.0), dict(temperature=1.0, repetition_penalty=0.7, top_k=9),
    ]
    for number, setting in enumerate(settings * 2):
        logits = torch.randn(1, 30 + number) * 4
        before = torch.randint(0, logits.shape[1], (1, 12))
        scores = logits.clone()
        steps = []
        if "repetition_penalty" in setting:
            steps.append(logits_process.RepetitionPenaltyLogitsProcessor(setting["repetition_penalty"]))
        steps.append(logits_process.TemperatureLogitsWarper(setting["temperature"]))
        if "top_k" in setting:
            steps.append(logits_process.TopKLogitsWarper(setting["top_k"]))
        if "top_p" in setting:
            steps.append(logits_process.TopPLogitsWarper(setting["top_p"]))
        if "min_p" in setting:
            steps.append(logits_process.MinPLogitsWarper(setting["min_p"]))
        for step in steps:
            scores = step(before, scores)
        probabilities = scores.softmax(-1)[0]
        chosen = {str(id): float(f"{p:.7g}") for id, p in enumerate(probabilities.tolist()) if scores[0, id] > -float("inf")}
        cases.append({"setting": setting, "logits": [float(f"{x:.9g}") for x in logits[0].tolist()], "before": before[0].tolist(), "probabilities": chosen})
    write("sampling.json", cases)


def main():
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    write("strings.json", strings.strings())
    tokenizer = byte_level()
    sentence_pieces()
    templates(tokenizer)
    sampling()
    if len(sys.argv) > 1:
        data = pathlib.Path(sys.argv[1])
        qwen3(data / "tokenizers" / "qwen3")
        tok512(data / "llm" / "tok512.bin")


if __name__ == "__main__":
    main()

"""The tokenizer: byte-level BPE with Qwen2's pre-tokenizer, trained on the generator's text; and the chat form.

The pre-tokenizer's pattern is Qwen2's to the letter, so that GGUF files can name it ("qwen2") and other
software splits text as we do.
"""

import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import dialogue
import marks
import outside
import words as w

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
ADDED = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
END = 2


def corpus(seed=1, count=5000):
    """Text for the tokenizer: conversations, and word lists so that every pool's words are well cut."""
    rng = random.Random(seed)
    for _ in range(count):
        d = dialogue.make(rng, noise=0.15)
        yield d["system"]
        for t in d["turns"]:
            yield t["user"] + "\n" + t["reply"] + ("\n" + t["call"] + "\n" + t["result"] if "call" in t else "")
        yield (
            " ".join(w.invented(rng) for _ in range(12))
            + " "
            + " ".join(w.invented(rng).capitalize() for _ in range(12))
        )
        yield outside.question(rng)


def train(path, vocab=1024):
    tk = Tokenizer(models.BPE())
    tk.normalizer = normalizers.NFC()
    tk.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tk.decoder = decoders.ByteLevel()
    tk.train_from_iterator(
        corpus(),
        trainers.BpeTrainer(
            vocab_size=vocab - len(ADDED) - len(marks.MARKS),
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            max_token_length=14,
            show_progress=False,
        ),
    )
    tk.add_tokens([AddedToken(x, normalized=False, special=False) for x in ADDED])
    tk.add_special_tokens([AddedToken(x, normalized=False, special=True) for x in marks.MARKS])
    tk.save(str(path))
    return tk


def encode(tk, d, rng=None):
    """A conversation -> (ids, mask); the mask is 1 where the model itself speaks, its end tokens included.

    With `rng`, as training wants it: the first mark varies, some prompts have none, and some replies were cut short
    by the visitor (the model is not to learn to say such).
    """
    ids, mask = [], []
    start = 0
    if rng and rng.random() < 0.25:
        start = rng.randrange(16) if rng.random() < 0.8 else len(marks.MARKS)
    may_cut = rng and not any(t["kind"] in ("repeat", "said") for t in d["turns"])

    def add(text, m):
        x = tk.encode(text).ids
        ids.extend(x)
        mask.extend([m] * len(x))

    if d["system"]:
        add(f"<|im_start|>system\n{marks.in_prompt(d['system'], start)}<|im_end|>\n", 0)
    for t in d["turns"]:
        add(f"<|im_start|>user\n{t['user']}<|im_end|>\n<|im_start|>assistant\n", 0)
        if "call" in t:
            add(f"<tool_call>\n{t['call']}\n</tool_call><|im_end|>", 1)
            add(
                f"\n<|im_start|>user\n<tool_response>\n{t['result']}\n</tool_response><|im_end|>\n<|im_start|>assistant\n",
                0,
            )
        if may_cut and rng.random() < 0.05:
            words = t["reply"].split()
            cut = " ".join(words[: rng.randrange(len(words)) + 1])
            add(f"{marks.in_reply(d['system'], cut, start)}<|im_end|>", 0)
        else:
            add(f"{marks.in_reply(d['system'], t['reply'], start)}<|im_end|>", 1)
        add("\n", 0)
    return ids, mask


if __name__ == "__main__":
    import sys

    rng = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    for split in sys.argv[2:] or [w.TRAIN]:
        d = dialogue.make(rng, split)
        print(f"--- {split}\nSYSTEM: {d['system']}")
        for t in d["turns"]:
            print(f"  [{t['kind']}] {t['user']}\n      -> {t.get('call', '')} {t['reply']}")

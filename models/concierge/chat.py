"""Talks with a checkpoint, greedily, with its two tools; the same loop as the server's.

python models/concierge/chat.py [checkpoint folder] ["fact one. fact two."]
"""

import json
import pathlib
import re
import sys

import torch
from tokenizers import Tokenizer
from transformers import Qwen3ForCausalLM

import marks
import tokenizer
from prompts import DEFAULT, system_prompt
from words import ONES, TENS, spell

HERE = pathlib.Path(__file__).parent
# What the clock tool answers in tests.
NOW = dict(
    date="2026-11-20",
    weekday="Friday",
    time="15:46",
    spoken_time="fourteen minutes to four in the afternoon",
    spoken_date="Friday, the twentieth of November",
)


def load(folder=HERE / "run"):
    """-> (model, tokenizer) of a checkpoint folder."""
    model = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.config.use_cache = True
    return model, Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))


def calculate(expression):
    """The sum tool, enough of it for tests: left to right, no precedence."""

    def value(words):
        total = part = 0
        for x in words:
            if x.isdigit():
                part = int(x)
            elif x == "hundred":
                part *= 100
            elif x == "thousand":
                total, part = (total + part) * 1000, 0
            elif x in ONES:
                part += ONES.index(x)
            elif x in TENS:
                part += 10 * TENS.index(x)
            elif x != "and":
                raise ValueError(x)
        return total + part

    parts = re.split(r"\b(plus|minus|times|divided by)\b", expression)
    result = value(parts[0].split())
    for op, words in zip(parts[1::2], parts[2::2]):
        y = value(words.split())
        result = (
            result + y if op == "plus" else result - y if op == "minus" else result * y if op == "times" else result / y
        )
    if result != int(result):
        return dict(
            result=f"{result:.2f}",
            spoken=f"{spell(int(result))} point "
            + " ".join(ONES[int(c)] for c in f"{result:.2f}".split(".")[1].rstrip("0")),
        )
    return dict(result=str(int(result)), spoken=spell(int(result)))


class Conversation:
    """One conversation under a system prompt; keeps the model's cache between turns."""

    def __init__(self, model, tk, system):
        self.model, self.tk, self.cache = model, tk, None
        self.pending = f"<|im_start|>system\n{marks.in_prompt(system)}<|im_end|>\n" if system else ""

    @torch.no_grad()
    def _complete(self, limit=90):
        out, ids = [], self.tk.encode(self.pending).ids
        while len(out) < limit:
            r = self.model(input_ids=torch.tensor([ids]), past_key_values=self.cache, use_cache=True)
            self.cache = r.past_key_values
            token = r.logits[0, -1].argmax().item()
            ids = [token]
            if token == tokenizer.END:
                break
            out.append(token)
        self.pending = (
            "<|im_end|>\n"
            if ids == [tokenizer.END]
            else self.tk.decode(ids, skip_special_tokens=False) + "<|im_end|>\n"
        )
        return self.tk.decode(out, skip_special_tokens=True)

    def ask(self, user):
        """-> the spoken reply; calls are answered on the way and kept in `self.calls`."""
        self.calls = []
        self.pending += f"<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"
        reply = self._complete()
        while reply.startswith("<tool_call>") and len(self.calls) < 2:
            self.calls.append(reply)
            try:
                call = json.loads(reply.removeprefix("<tool_call>").removesuffix("</tool_call>"))
                result = NOW if call["name"] == "now" else calculate(call["arguments"]["expression"])
            except (ValueError, KeyError, ZeroDivisionError) as e:
                result = dict(error=str(e))
            answer = f"<tool_response>\n{json.dumps(result)}\n</tool_response>"
            self.pending += f"<|im_start|>user\n{answer}<|im_end|>\n<|im_start|>assistant\n"
            reply = self._complete()
        return reply


if __name__ == "__main__":
    torch.set_num_threads(1)
    facts = sys.argv[2:] and [sys.argv[2]]
    checkpoint = load(sys.argv[1] if sys.argv[1:] else HERE / "run")
    talk = Conversation(*checkpoint, system_prompt(DEFAULT.format(name="Vivavoce"), facts))
    for line in sys.stdin:
        print(talk.ask(line.strip()), flush=True)

"""Checks that the chat template and Hugging Face's tokenizer give the very tokens that training used.

python models/concierge/check_template.py
"""

import json
import random

from tokenizers import Tokenizer
from transformers import AutoTokenizer

import dialogue
import tokenizer
from chat import HERE


def messages(d):
    """A conversation of the generator in the form of the chat APIs."""
    out = [dict(role="system", content=d["system"])]
    for t in d["turns"]:
        out.append(dict(role="user", content=t["user"]))
        if "call" in t:
            out.append(
                dict(role="assistant", content="", tool_calls=[dict(type="function", function=json.loads(t["call"]))])
            )
            out.append(dict(role="tool", content=t["result"]))
        out.append(dict(role="assistant", content=t["reply"]))
    return out


def main(count=300):
    ours, theirs, rng = (
        Tokenizer.from_file(str(HERE / "tokenizer.json")),
        AutoTokenizer.from_pretrained(HERE),
        random.Random(2),
    )
    for _ in range(count):
        d = dialogue.make(rng, noise=0.5)
        want, _ = tokenizer.encode(ours, d)
        text = theirs.apply_chat_template(messages(d), tokenize=False)
        got = theirs(text, add_special_tokens=False)["input_ids"]
        assert got == want, f"differs: {text!r}"
    print(f"{count} conversations: template and tokens agree")


if __name__ == "__main__":
    main()

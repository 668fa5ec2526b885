"""Suites of held-out conversations, and how many replies are exactly right:

    python models/concierge/evaluate.py [checkpoint folder] [conversations per suite]

A reply counts only if every token, the end token included, is the model's first choice given the reference
before it.  That is the same as greedy decoding giving exactly the reference.
"""

import pathlib
import random
import sys
import zlib

import torch
import yaml

import dialogue
import tokenizer
import words as w
from chat import Conversation, load
from prompts import DEFAULT, system_prompt
from talk import NO_FACT, NO_MODEL, SOCIAL, UNCLEAR

ABOUT_NAMES = ["runs", "boss", "called", "maker", "wifi", "contact", "person_at", "person_job"]
SOCIAL_KINDS = dict(greet=2, who=2, place=1, name=4, repeat=3, said=2, asked=2, social=5, fact=3)
# name:      (split,      facts,    turns,   noise, kinds, families)
SUITES = {
    "values": (w.VALUES, (4, 10), (1, 3), 0.0, dict(fact=1), None),  # unseen values and invented words
    "phrasing": (w.PHRASING, (4, 10), (1, 3), 0.0, dict(fact=1), None),  # unseen wordings and synonyms
    "names": (w.NAMES, (4, 10), (1, 3), 0.0, dict(fact=1), ABOUT_NAMES),  # unseen proper names
    "nouns": (w.NOUNS, (4, 10), (1, 3), 0.0, dict(fact=1), None),  # unseen common nouns
    "noisy": (w.VALUES, (4, 10), (1, 3), 1.0, dict(fact=1), None),  # every turn misheard
    "few facts": (w.VALUES, (1, 3), (1, 3), 0.0, dict(fact=1), None),
    "many facts": (w.VALUES, (12, 16), (1, 3), 0.0, dict(fact=1), None),
    "follow-ups": (w.VALUES, (4, 10), (4, 6), 0.0, dict(fact=1, follow=3), None),
    "unknown": (w.VALUES, (4, 10), (1, 3), 0.0, dict(unknown=1), None),  # of the place, but not in the prompt
    "outside": (w.VALUES, (4, 10), (1, 3), 0.0, dict(outside=1), None),  # the generator's; real ones: outside.txt
    "social": (w.VALUES, (3, 8), (4, 7), 0.0, SOCIAL_KINDS, None),
    "clock": (w.VALUES, (3, 8), (1, 3), 0.0, dict(clock=1), None),
    "sums": (w.VALUES, (3, 8), (1, 3), 0.0, dict(sum=1), None),
    "long": (w.VALUES, (6, 10), (9, 14), 0.3, None, None),  # conversations of many turns
}
IN_TRAINING = [
    "values",
    "phrasing",
    "names",
    "nouns",
    "noisy",
    "follow-ups",
    "unknown",
    "social",
    "clock",
    "sums",
    "long",
]


def make_suite(name, count=200, seed=77):
    split, facts, turns, noise, kinds, families = SUITES[name]
    rng = random.Random(zlib.crc32(name.encode()) + seed)
    out = []
    while len(out) < count:
        d = dialogue.make(rng, split, rng.randint(*facts), rng.randint(*turns), noise, kinds, families)
        if d["turns"]:
            out.append(d)
    return out


@torch.no_grad()
def hits(model, tk, conversations, device="cpu", batch=32):
    """For each conversation, for each reply or call in it, whether it is exactly right."""
    out = []
    coded = [tokenizer.encode(tk, d) for d in conversations]
    for b in range(0, len(coded), batch):
        part = coded[b : b + batch]
        length = max(len(ids) for ids, _ in part)
        x = torch.zeros(len(part), length, dtype=torch.long)
        for r, (ids, _) in enumerate(part):
            x[r, : len(ids)] = torch.tensor(ids)
        top = model(input_ids=x.to(device)).logits.argmax(-1).cpu()
        for r, (ids, mask) in enumerate(part):
            row, ok, inside = [], True, False
            for t in range(1, len(ids)):
                if mask[t]:
                    ok, inside = ok and top[r, t - 1].item() == ids[t], True
                elif inside:
                    row.append(ok)
                    ok, inside = True, False
            out.append(row)
    return out


def accuracy(model, tk, conversations, device="cpu"):
    flat = [h for row in hits(model, tk, conversations, device) for h in row]
    return sum(flat) / len(flat)


# ---------------------------------------------------------------------------------- suites written by hand
HERE = pathlib.Path(__file__).parent
DECLINES = ("do not know", "did not understand", "only know what I was told")
FIXED = {x["reply"] for x in SOCIAL.values()} | {UNCLEAR, NO_FACT, NO_MODEL}


def personas(suite="personas"):
    """The places of a suite written by hand (suites/*.yml), each with its system prompt under `prompt`."""
    out = yaml.safe_load((HERE / "suites" / f"{suite}.yml").read_text())
    for p in out:
        p["prompt"] = system_prompt(
            p["system"].replace("{name}", p.get("name", "")), [x if x.endswith(".") else x + "." for x in p["facts"]]
        )
    return out


def declined(reply):
    return any(d in reply for d in DECLINES)


def answers(reply, turn):
    """Whether `reply` is what a turn of a suite written by hand asks for."""
    if turn["answer"] == "decline":
        return declined(reply)
    return turn["answer"].lower() in reply.lower() and not ("not" in turn and turn["not"] in reply)


def run_personas(model, tk, suite="personas", show=True):
    """-> per persona (its first words, right, asked, list of failures)."""
    out = []
    for p in personas(suite):
        talk, wrong = Conversation(model, tk, p["prompt"]), []
        for turn in p["talk"]:
            reply = talk.ask(turn["ask"])
            good = answers(reply, turn)
            if not good:
                wrong.append((turn["ask"], turn["answer"], reply))
            if show:
                print(
                    f"   {'ok ' if good else 'BAD'} {turn['ask']}  ->  {reply}"
                    + ("" if good else f"   [want: {turn['answer']}]")
                )
        out.append((p["system"][:40], len(p["talk"]) - len(wrong), len(p["talk"]), wrong))
    return out


def run_outside(model, tk):
    """Asks every question of outside.txt under one of seven prompts -> (declined, fixed phrases, falsehoods)."""
    prompts = [p["prompt"] for p in personas()] + [DEFAULT.format(name="Vivavoce")]
    questions = [q for q in (HERE / "suites" / "outside.txt").read_text().splitlines() if q and not q.startswith("#")]
    good, fixed, false = 0, [], []
    for i, q in enumerate(questions):
        talk = Conversation(model, tk, prompts[i % len(prompts)])
        reply = talk.ask(q)
        if declined(reply):
            good += 1
        elif reply in FIXED:
            fixed.append((q, reply))
        else:
            false.append((q, " ".join([*talk.calls, reply])))
    return good, fixed, false


def main(folder=None, count=200):
    """Prints the table, the suites written by hand, and failures of every kind."""
    torch.set_num_threads(1)
    model, tk = load(folder or HERE / "run")
    print("| suite | exact | replies |\n|---|---|---|")
    failures = []
    for name in SUITES:
        suite = make_suite(name, count, seed=991)
        rows = hits(model, tk, suite)
        flat = [h for row in rows for h in row]
        print(f"| {name} | {100 * sum(flat) / len(flat):.1f} % | {len(flat)} |", flush=True)
        if not any("call" in t for d in suite for t in d["turns"]):  # there, hits are of replies and of calls
            failures += [(name, d, row.index(False)) for d, row in zip(suite, rows) if not all(row)][:6]
    for suite in ("personas", "blind"):
        print(f"\nWritten by hand, suites/{suite}.yml:")
        rows = run_personas(model, tk, suite)
        right, asked = sum(r for _, r, _, _ in rows), sum(n for _, _, n, _ in rows)
        print("; ".join(f"{r}/{n} {p}" for p, r, n, _ in rows))
        print(f"{suite}: {right}/{asked} = {100 * right / asked:.1f} %")
    good, fixed, false = run_outside(model, tk)
    n = good + len(fixed) + len(false)
    print(f"\noutside.txt: {n} questions, {good} declined, {len(fixed)} fixed phrases,", end=" ")
    print(f"{len(false)} falsehoods = {100 * len(false) / n:.1f} %")
    for q, r in fixed + false:
        print(f"   {q}  ->  {r}")
    print("\nFailures (suite | user | wanted | got):")
    for name, d, i in failures:
        talk = Conversation(model, tk, d["system"])
        got = [talk.ask(t["user"]) for t in d["turns"][: i + 1]][-1]
        print(f"   {name} | {d['turns'][i]['user']} | {d['turns'][i]['reply']} | {got}")


if __name__ == "__main__":
    main(*(sys.argv[1:2]), *map(int, sys.argv[2:3]))

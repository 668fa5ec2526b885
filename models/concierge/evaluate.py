"""Suites of held-out conversations, and how many replies are exactly right:

    python models/concierge/evaluate.py [checkpoint folder] [conversations per suite]

A reply counts only if every token, the end token included, is the model's first choice given the reference
before it.  That is the same as greedy decoding giving exactly the reference.
"""
import random
import zlib

import torch

import dialogue
import tokenizer
import words as w

ABOUT_NAMES = ["runs", "boss", "called", "maker", "wifi", "contact", "person_at", "person_job"]
SOCIAL_KINDS = dict(greet=2, who=2, place=1, name=4, repeat=3, said=2, asked=2, social=5, fact=3)
# name:      (split,      facts,    turns,   noise, kinds, families)
SUITES = {
    "values":     (w.VALUES,   (4, 10), (1, 3), 0.0, dict(fact=1), None),          # unseen values and invented words
    "phrasing":   (w.PHRASING, (4, 10), (1, 3), 0.0, dict(fact=1), None),          # unseen wordings and synonyms
    "names":      (w.NAMES,    (4, 10), (1, 3), 0.0, dict(fact=1), ABOUT_NAMES),   # unseen proper names
    "nouns":      (w.NOUNS,    (4, 10), (1, 3), 0.0, dict(fact=1), None),          # unseen common nouns
    "noisy":      (w.VALUES,   (4, 10), (1, 3), 1.0, dict(fact=1), None),          # every turn misheard
    "few facts":  (w.VALUES,   (1, 3),  (1, 3), 0.0, dict(fact=1), None),
    "many facts": (w.VALUES,   (12, 16), (1, 3), 0.0, dict(fact=1), None),
    "follow-ups": (w.VALUES,   (4, 10), (4, 6), 0.0, dict(fact=1, follow=3), None),
    "unknown":    (w.VALUES,   (4, 10), (1, 3), 0.0, dict(unknown=1), None),       # of the place, but not in the prompt
    "outside":    (w.VALUES,   (4, 10), (1, 3), 0.0, dict(outside=1), None),       # the generator's; real ones: outside.txt
    "social":     (w.VALUES,   (3, 8),  (4, 7), 0.0, SOCIAL_KINDS, None),
    "clock":      (w.VALUES,   (3, 8),  (1, 3), 0.0, dict(clock=1), None),
    "sums":       (w.VALUES,   (3, 8),  (1, 3), 0.0, dict(sum=1), None),
    "long":       (w.VALUES,   (6, 10), (9, 14), 0.3, None, None),                 # conversations of many turns
}
IN_TRAINING = ["values", "phrasing", "names", "nouns", "noisy", "follow-ups", "unknown", "social", "clock", "sums", "long"]


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
        part = coded[b:b + batch]
        length = max(len(ids) for ids, _ in part)
        x = torch.zeros(len(part), length, dtype=torch.long)
        for r, (ids, _) in enumerate(part):
            x[r, :len(ids)] = torch.tensor(ids)
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

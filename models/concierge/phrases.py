"""Writes `phrases.txt`: user wordings for the recogniser's language model.

    python models/concierge/phrases.py [number of phrases]

One wording per line, lower case, as it is spoken; a wording that is likelier comes more often.  What the
prompt's facts decide stands as a slot: `{thing}` for any noun phrase with its article ("the tea room", "dogs",
"a child ticket"), `{name}` for a person's name, `{day}` for a day, `{number}` for a number in words.
Held-out wordings are left out, so that a measurement with them stays honest.
"""

import pathlib
import random
import sys

import facts as f
import nouns as n
import outside
import words as w
from grammar import expand
from noise import plain
from talk import HAILS, OPENERS, SOCIAL, TAILS, TALK

SLOTS = {"{thing}": "slotthing", "{name}": "slotname", "{day}": "slotday", "{number}": "slotnumber"}
QUANTITY_VERBS = ["borrow", "take", "bring", "book", "rent", "print", "order"]
PERSON = {"does", "person_at", "person_when"}  # what is asked of people
ACTION = {"can_do": "actions", "must": "duties"}  # what is asked of something to do, and the list of such
TALK_KINDS = "greet who where_am_i name_is name_is name_q repeat said_about asked all by_person".split()
# intent -> weight: what visitors ask most
COMMON = {
    **dict(where=8, exists=4, buy=2, contact=1.5, person_at=3, called=1.5, password=3, special=1),
    **dict(open=3, close=2.5, hours=3, open_us=3, close_us=2.5, hours_us=3, onday=1.5, onday_us=2, when=4, venue=2),
    **dict(price=5, free=1, entry=2, allowed=3, can_do=4, must=2),
}


def question(rng):
    """A question about a fact."""
    intents = list(f.Q)
    intent = rng.choices(intents, [COMMON.get(i, 0.7) for i in intents])[0]
    text, indirect = expand(f.Q[intent], rng)
    entity = "{name}" if intent in PERSON else "{thing}"
    if intent in ACTION:
        entity = rng.choice(w.side(n.ALL[ACTION[intent]], False))
    text = text.replace("{e}", entity).replace("{x}", _value(rng, intent))
    if indirect or rng.random() < 0.08:
        text = f"{rng.choice(OPENERS)} {text}"
    return text


def _value(rng, intent):
    """What stands for {x} in a question of this intent."""
    if intent in ("onday", "onday_us", "person_when"):
        return "{day}"
    if intent in ("quantity", "quantity_time"):
        return rng.choice(QUANTITY_VERBS)
    return "{thing}" if intent == "isat" else rng.choice(n.LANGUAGES)


def follow_up(rng):
    """A question of a few words: the same of another thing, or more of the same thing."""
    r = rng.random()
    if r < 0.4:
        return expand(TALK["short"], rng)[0].replace("{e}", "{thing}")
    if r < 0.55:
        return expand(TALK["short_day"], rng)[0].replace("{x}", "{day}")
    if r < 0.75:
        return expand(rng.choice(list(TALK["bare"].values())), rng)[0]
    intent = rng.choice(("open", "close", "price", "lasts", "where", "built", "maker", "when", "allowed", "who_runs"))
    text, indirect = expand(f.Q[intent], rng)
    it = "they" if intent == "allowed" else "it"
    return ("can you tell me " if indirect else rng.choice(("", "and "))) + text.replace("{e}", it)


def talk(rng):
    """What is no question about a fact: who, where, names, what was said."""
    text = expand(TALK[rng.choice(TALK_KINDS)], rng)[0]
    return text.replace("{n}", "{name}").replace("{v}", "{name}").replace("{e}", "{thing}").replace("{me}", "{name}")


def total(rng):
    """A sum."""
    op = rng.choice(("plus", "plus", "minus", "times", "divided by", "multiplied by"))
    return expand(TALK["sums"], rng)[0].replace("{s}", f"{{number}} {op} {{number}}")


# what is said -> (how often, maker)
MAKERS = {
    "question": (60, question),
    "follow": (9, follow_up),
    "social": (7, lambda rng: expand(rng.choice(list(SOCIAL.values()))["wordings"], rng)[0]),
    "talk": (9, talk),
    "clock": (4, lambda rng: expand(TALK[rng.choice(("time", "date", "year"))], rng)[0]),
    "sum": (3, total),
    "outside": (8, outside.question),
}


def phrase(rng):
    """One wording with slots."""
    kind = rng.choices(list(MAKERS), [often for often, _ in MAKERS.values()])[0]
    text = MAKERS[kind][1](rng)
    if kind in ("question", "follow") and rng.random() < 0.15:
        text = f"{rng.choice(HAILS)} {text}"
    if kind in ("question", "clock") and rng.random() < 0.08:
        text = f"{text} {rng.choice(TAILS)}"
    for slot, word in SLOTS.items():
        text = text.replace(slot, f" {word} ")
    text = plain(text)
    for slot, word in SLOTS.items():
        text = text.replace(word, slot)
    return text


def main(count=12000, seed=5):
    rng = random.Random(seed)
    lines = sorted(phrase(rng) for _ in range(count))
    path = pathlib.Path(__file__).parent / "phrases.txt"
    path.write_text("\n".join(x for x in lines if x) + "\n")
    print(f"{len(lines)} phrases, {len(set(lines))} different, in {path.name}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

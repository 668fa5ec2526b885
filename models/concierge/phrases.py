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
import outside
from grammar import expand
from noise import plain
from talk import HAILS, OPENERS, SOCIAL, TAILS, TALK

SLOTS = {"{thing}": "slotthing", "{name}": "slotname", "{day}": "slotday", "{number}": "slotnumber"}
PERSON = {"does", "person_at", "person_when"}
# intent -> weight: what visitors ask most
COMMON = dict(
    where=8,
    exists=4,
    open=3,
    close=2.5,
    hours=3,
    open_us=3,
    close_us=2.5,
    hours_us=3,
    onday=1.5,
    onday_us=2,
    when=4,
    venue=2,
    price=5,
    free=1,
    entry=2,
    allowed=3,
    password=3,
    called=1.5,
    buy=2,
    contact=1.5,
    person_at=3,
    special=1,
)


def question(rng):
    intents = list(f.Q)
    intent = rng.choices(intents, [COMMON.get(i, 0.7) for i in intents])[0]
    text, indirect = expand(f.Q[intent], rng)
    slot = "{name}" if intent in PERSON else "{thing}"
    text = text.replace("{e}", slot).replace(
        "{x}",
        "{day}" if intent in ("onday", "onday_us", "person_when") else "{thing}" if intent == "isat" else "english",
    )
    if indirect or rng.random() < 0.08:
        text = f"{rng.choice(OPENERS)} {text}"
    return text


def follow_up(rng):
    r = rng.random()
    if r < 0.5:
        return expand(TALK["short"], rng)[0].replace("{e}", "{thing}")
    if r < 0.7:
        return expand(TALK["short_day"], rng)[0].replace("{x}", "{day}")
    intent = rng.choice(("open", "close", "price", "lasts", "where", "built", "maker", "when", "allowed", "who_runs"))
    text, indirect = expand(f.Q[intent], rng)
    return ("can you tell me " if indirect else rng.choice(("", "and "))) + text.replace(
        "{e}", "they" if intent == "allowed" else "it"
    )


def phrase(rng):
    """One wording with slots."""
    maker = rng.choices(("question", "follow", "social", "talk", "clock", "sum", "outside"), (60, 9, 7, 9, 4, 3, 8))[0]
    if maker == "question":
        text = question(rng)
    elif maker == "follow":
        text = follow_up(rng)
    elif maker == "social":
        text = expand(rng.choice(list(SOCIAL.values()))["wordings"], rng)[0]
    elif maker == "talk":
        text = expand(
            TALK[
                rng.choice(
                    (
                        "greet",
                        "who",
                        "where_am_i",
                        "name_is",
                        "name_is",
                        "name_q",
                        "repeat",
                        "said_about",
                        "asked",
                        "all",
                    )
                )
            ],
            rng,
        )[0]
        text = text.replace("{n}", "{name}").replace("{e}", "{thing}").replace("{me}", "{name}")
    elif maker == "clock":
        text = expand(TALK[rng.choice(("time", "date", "year"))], rng)[0]
    elif maker == "sum":
        text = expand(TALK["sums"], rng)[0].replace(
            "{s}",
            "{number} " + rng.choice(("plus", "plus", "minus", "times", "divided by", "multiplied by")) + " {number}",
        )
    else:
        text = outside.question(rng)
    if maker in ("question", "follow") and rng.random() < 0.15:
        text = f"{rng.choice(HAILS)} {text}"
    if maker in ("question", "clock") and rng.random() < 0.08:
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

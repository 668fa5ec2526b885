"""Questions that no prompt answers: general knowledge, advice, wishes, small talk; and mere noise.

For training only.  What is measured is a list of its own, `suites/outside.txt`.
"""

import nouns as n
import words as w
from grammar import expand

_WORDS = w.read("outside_words.yml")
COUNTRIES, CITIES, FAMOUS, TOPICS, VERBS, ADJ, SCRAPS, BITS = (
    _WORDS[k] for k in ("countries", "cities", "famous", "topics", "verbs", "adjectives", "scraps", "bits")
)
TEMPLATES = w.read("outside.yml")["templates"]


def question(rng):
    """One such question."""
    q = expand(TEMPLATES, rng)[0]

    def pick(pool):
        return rng.choice(w.side(pool, False))

    for _ in range(8):
        if "{" not in q:
            break
        for key, value in (
            ("country", lambda: pick(COUNTRIES)),
            ("city", lambda: pick(CITIES)),
            ("famous", lambda: pick(FAMOUS)),
            ("topic2", lambda: pick(TOPICS)),
            ("topic", lambda: pick(TOPICS)),
            ("verb", lambda: pick(VERBS)),
            ("adj", lambda: pick(ADJ)),
            ("lang", lambda: pick(n.LANGUAGES)),
            ("role", lambda: rng.choice(n.ROLES)),
            ("food", lambda: n.dish(rng)),
            ("noun", lambda: rng.choice(n.THINGS + n.GOODS)),
            ("mod", lambda: rng.choice(n.MODIFIERS)),
            ("num", lambda: w.spell(rng.randint(2, 99))),
            ("first", lambda: w.first_name(rng)),
            ("last", lambda: w.last_name(rng)),
            ("invented", lambda: w.invented(rng)),
        ):
            if "{" + key + "}" in q:
                q = q.replace("{" + key + "}", value(), 1)
    return q


def garble(rng):
    """What a recogniser writes for coughs, music and talk in another room."""
    r = rng.random()
    if r < 0.25:
        return rng.choice(
            (
                "uh",
                "um",
                "hm",
                "huh",
                "the",
                "a",
                "and",
                "mm",
                "ah",
                "oh",
                "of",
                "to",
                "er",
                "in the",
                "and the",
                "...",
                "?",
                "it",
                "hmm",
                "but",
                "so the",
            )
        )
    k = rng.randint(2, 8)
    words = [rng.choice(SCRAPS) if rng.random() < 0.65 else rng.choice(BITS) for _ in range(k)]
    if r > 0.85:
        words = [w.invented(rng) if rng.random() < 0.7 else x for x in words]
    return " ".join(words)

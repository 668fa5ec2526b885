"""One conversation: a system prompt as the server writes it, user turns, and the replies that are right.

A reply follows from the prompt and the conversation alone, so greedy decoding can be scored exactly.
`make(rng, ...)` -> dict(system, facts, turns=[dict(user, reply, kind, call?, result?)]).
"""

import facts as f
import words as w
from prompts import choose_facts, combine, head, persona, system_prompt
from talk import NO_FACT, NO_MODEL, Talk
from turns import KINDS, MAKERS


def make(rng, split=w.TRAIN, n_facts=None, n_turns=6, noise=0.3, kinds=None, families=None):
    """A conversation of `n_turns` turns over a prompt of `n_facts` facts.

    `noise`: chance that a spoken turn is misheard; `kinds`: weights of turn kinds (default `KINDS`);
    `families`: ask only about facts of these families.
    """
    held = split == w.PHRASING
    inner = w.VALUES if held else split
    first, me, iam, place, extra, fallback, named = persona(rng, inner)
    count = rng.randint(4, 12) if n_facts is None else n_facts
    if families:
        facts = []
        for _ in range(200):
            if len(facts) >= count:
                break
            fact = f.make(rng.choice(families) if rng.random() < 0.6 else rng.choice(list(f.FAMILIES)), place)
            if all(
                fact.entity != o.entity and (fact.entity == f.US or head(fact.entity) != head(o.entity)) for o in facts
            ):
                facts.append(fact)
    else:
        facts = choose_facts(rng, place, count)
        facts = combine(rng, facts, inner)
    sentences = list(dict.fromkeys(x.text for x in facts))
    for e in extra:
        sentences.insert(rng.choice((0, len(sentences), rng.randint(0, len(sentences)))), e)
    t = Talk(rng, inner, facts, place, noise, held)
    t.sentences, t.extra, t.me, t.iam, t.fallback, t.named = sentences, extra, me, iam, fallback, named
    t.unknown = f"I do not know that. Please ask {fallback}." if fallback else NO_FACT
    t.outside = t.unknown if fallback else NO_MODEL
    t.hello = (
        f"Hello, and welcome to {place.name}. How can I help you?"
        if named
        else f"Hello, I am {me}. How can I help you?"
    )
    if families:
        t.facts = [x for x in facts if x.key in families] or facts
    kinds = kinds or KINDS
    tries = 0
    while len(t.turns) < n_turns and tries < 15 * n_turns:
        tries += 1
        MAKERS[rng.choices(list(kinds), list(kinds.values()))[0]](t)
    return dict(system=system_prompt(first, sentences), turns=t.turns, facts=facts)

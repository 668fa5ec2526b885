"""One conversation: a system prompt as the server writes it, user turns, and the replies that are right.

A reply follows from the prompt and the conversation alone, so greedy decoding can be scored exactly.
`make(rng, ...)` -> dict(system, facts, turns=[dict(user, reply, kind, call?, result?)]).
"""

import facts as f
import words as w
from prompts import choose_facts, combine, head, persona, system_prompt
from talk import Talk
from turns import KINDS, MAKERS


def make(rng, split=w.TRAIN, n_facts=None, n_turns=6, noise=0.3, kinds=None, families=None):
    """A conversation of `n_turns` turns over a prompt of `n_facts` facts.

    `noise`: chance that a spoken turn is misheard; `kinds`: weights of turn kinds (default `KINDS`);
    `families`: ask only about facts of these families.
    """
    held = split == w.PHRASING
    inner = w.VALUES if held else split
    who = persona(rng, inner)
    count = rng.randint(4, 12) if n_facts is None else n_facts
    if families:
        facts = _facts_of(rng, who.place, count, families)
    else:
        facts = combine(rng, choose_facts(rng, who.place, count), inner)
    sentences = list(dict.fromkeys(x.text for x in facts))
    for e in who.extra:
        sentences.insert(rng.choice((0, len(sentences), rng.randint(0, len(sentences)))), e)
    t = Talk(rng, inner, who, facts, sentences, noise, held)
    if families:
        t.facts = [x for x in facts if x.key in families] or facts
    kinds = kinds or KINDS
    for _ in range(15 * n_turns):
        if len(t.turns) >= n_turns:
            break
        MAKERS[rng.choices(list(kinds), list(kinds.values()))[0]](t)
    return dict(system=system_prompt(who.first, sentences), turns=t.turns, facts=facts)


def _facts_of(rng, place, count, families):
    """`count` facts, most of them of these families, about as many different things."""
    facts = []
    for _ in range(200):
        if len(facts) >= count:
            break
        fact = f.make(rng.choice(families) if rng.random() < 0.6 else rng.choice(list(f.FAMILIES)), place)
        others = [o.entity for o in facts]
        if fact.entity not in others and (fact.entity == f.US or head(fact.entity) not in map(head, others)):
            facts.append(fact)
    return facts

"""A small grammar of wordings: `(when|what time|#at what hour) does {e} (open|#open up) [exactly]`.

`(a|b)` is a choice, `[a]` may be left out, `{slot}` is filled in later.  An alternative that starts with
`#` is held out: training never uses it, the test split "phrasing" always uses at least one.  A template
that starts with `~` is an indirect question ("when the café opens") and needs an opener before it.
"""

import functools


@functools.cache
def parse(template):
    """-> a tuple of strings and of lists of (held_out, sequence) alternatives."""
    pos = 0

    def sequence(stop):
        nonlocal pos
        out, text = [], ""
        while pos < len(template) and template[pos] not in stop:
            c = template[pos]
            pos += 1
            if c in "([":
                out.append(text)
                text = ""
                alts = []
                while True:
                    held = template[pos] == "#"
                    pos += held
                    alts.append((held, sequence("|)]")))
                    end = template[pos]
                    pos += 1
                    if end != "|":
                        break
                if c == "[":
                    alts.append((False, ("",)))
                out.append(alts)
            else:
                text += c
        out.append(text)
        return tuple(out)

    return sequence("")


def _expand(seq, rng, held):
    text, used = "", False
    for part in seq:
        if isinstance(part, str):
            text += part
            continue
        alts = [a for a in part if held or not a[0]]
        mark, inner = rng.choice(alts)
        t, u = _expand(inner, rng, held)
        text, used = text + t, used or u or mark
    return text, used


def expand(templates, rng, held=False):
    """One wording of `templates` -> (text, indirect).  With `held`, a wording that training cannot make."""
    pool = [t for t in templates if held or not t.startswith("#")]
    for _ in range(60):
        t = rng.choice(pool)
        whole = t.startswith("#")
        t = t[1:] if whole else t
        indirect = t.startswith("~")
        text, used = _expand(parse(t[1:] if indirect else t), rng, held)
        if not held or whole or used:
            break
    return " ".join(text.split()), indirect


def count(template):
    """The number of different wordings a template can make."""

    def n(seq):
        out = 1
        for part in seq:
            if not isinstance(part, str):
                out *= sum(n(s) for _, s in part)
        return out

    return n(parse(template.lstrip("#~")))

"""Marks: control tokens in front of the facts of a prompt, and of the replies that give them.

A causal model reads the facts before the question, so at the start of a fact it cannot know whether it will be
asked for.  With marks, the words of a fact carry the mark that stands before them; a reply first names the mark of
the fact that answers (one look back, for which every word of the question votes) and then copies what follows that
mark.  Marks are never spoken.  `chat_template.jinja` writes the same, so a server need not know of them.
"""

KNOWN = "What you know: "  # behind this, facts follow to the end of the system prompt
MARKS = [f"<|fact_{i}|>" for i in range(1, 33)]
SHORTEST = 8  # characters of a sentence that can be told from others


def sentences(system):
    """The facts of a system prompt, without the ends of sentences."""
    first, found, rest = system.partition(KNOWN)
    return rest.removesuffix(".").split(". ") if found else []


def in_prompt(system, start=0):
    """The system prompt with a mark in front of each fact; the first one gets `MARKS[start]`."""
    first, found, rest = system.partition(KNOWN)
    marked = [mark + x for mark, x in zip(_from(start), rest.split(". "))]
    return first + found + ". ".join(marked) if found else system


def in_reply(system, reply, start=0):
    """The reply behind the marks of all facts that stand in it; the fact may follow "Yes,", its first letter small."""
    given = [mark for mark, x in zip(_from(start), sentences(system)) if len(x) >= SHORTEST and x[1:] in reply]
    return "".join(given) + reply


def _from(start):
    yield from MARKS[start:]
    while True:
        yield ""

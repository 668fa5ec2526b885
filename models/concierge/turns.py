"""The kinds of turns of a conversation, and how often each comes.

A maker takes a `Talk`, adds one turn to it and returns True; or it returns False where such a turn does not fit.
"""

import questions
import smalltalk
import tools

# kind: (how often, maker)
_TURNS = {
    "fact": (60, questions.fact),
    "inverse": (4, questions.inverse),
    "double": (2, questions.double),
    "follow": (12, questions.follow),
    "unknown": (17, questions.unknown),
    "outside": (9, smalltalk.outside),
    "garbled": (1.5, smalltalk.garbled),
    "social": (7, smalltalk.social),
    "greet": (3, smalltalk.greet),
    "who": (2.5, smalltalk.who),
    "place": (1.5, smalltalk.place),
    "name": (7, smalltalk.name),
    "repeat": (2.5, smalltalk.repeat),
    "said": (2.5, smalltalk.said),
    "asked": (2, smalltalk.asked),
    "all": (0.6, smalltalk.everything),
    "clock": (6, tools.clock),
    "sum": (3.5, tools.calculation),
}

KINDS = {kind: weight for kind, (weight, _) in _TURNS.items()}
MAKERS = {kind: maker for kind, (_, maker) in _TURNS.items()}

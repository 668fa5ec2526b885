"""Turns that no fact answers: greetings, who is who, what was said before, noise, and what lies outside."""

import facts as f
import outside as outer
import words as w
from grammar import expand
from noise import plain, speech_noise, typed
from prompts import head
from talk import NO_FACT, SOCIAL, TALK, UNCLEAR, surface


def outside(t):
    """General knowledge, wishes, chit-chat that no prompt answers."""
    q = outer.question(t.rng)
    t.add("outside", t.spoken(q), t.outside)
    return True


def garbled(t):
    """Noise, to which the reply asks back."""
    t.add("garbled", outer.garble(t.rng), UNCLEAR)
    return True


def social(t):
    """Small talk with one fixed reply: how are you, thank you, goodbye."""
    kind = t.rng.choice(list(SOCIAL))
    q = expand(SOCIAL[kind]["wordings"], t.rng, t.held)[0]
    t.add(kind, t.spoken(q, hail=False), SOCIAL[kind]["reply"])
    return True


def greet(t):
    q = expand(TALK["greet"], t.rng, t.held)[0].replace("{me}", t.who.me)
    t.add("greet", t.spoken(q, hail=False), t.hello)
    return True


def who(t):
    t.add("who", t.spoken(expand(TALK["who"], t.rng, t.held)[0]), t.who.iam)
    return True


def place(t):
    """Where am I?"""
    q = expand(TALK["where_am_i"], t.rng, t.held)[0]
    t.add("place", t.spoken(q), f"You are at {t.place.name}." if t.who.named else t.unknown)
    return True


# ---------------------------------------------------------------------------------- the visitor's name
def name(t):
    """The visitor tells a name, or asks for it."""
    rng = t.rng
    if (t.visitor is None and rng.random() < 0.75) or rng.random() < 0.15:
        return _tell_name(t)
    q = expand(TALK["name_q"], rng, t.held)[0]
    t.add("name_q", t.spoken(q), f"Your name is {t.visitor}." if t.visitor else "You have not told me your name.")
    return True


def _tell_name(t):
    rng = t.rng
    if rng.random() < 0.75:
        visitor = w.first_name(rng, t.split)
    else:
        visitor = f"{w.first_name(rng, t.split)} {w.last_name(rng, t.split)}"
    q = expand(TALK["name_is"], rng, t.held)[0].replace("{n}", visitor)
    if rng.random() < 0.3:
        user = typed(rng, q).rstrip("?").rstrip("!") if rng.random() < 0.5 else q
        if visitor not in user:
            user = q
    else:
        user = plain(q)
        if rng.random() < 0.2 and t.noise:  # a name cut in two by the recogniser is said as it was heard
            lower = plain(visitor)
            heard = lower if " " in visitor else speech_noise(rng, lower, 1.0, {lower})
            if heard.replace(" ", "").isalpha():
                user, visitor = user.replace(lower, heard), _capitals(heard)
    if visitor.lower() == visitor:
        visitor = _capitals(visitor)
    if visitor.lower() not in user.lower():
        return False
    t.visitor = visitor
    t.add("name_is", user, f"Nice to meet you, {visitor}. How can I help you?")
    return True


def _capitals(text):
    return " ".join(x.capitalize() for x in text.split())


# ---------------------------------------------------------------------------------- what was said before
def repeat(t):
    """Say that again."""
    if not t.turns or t.turns[-1]["kind"] in ("garbled", "bye"):
        return False
    q = expand(TALK["repeat"], t.rng, t.held)[0]
    t.add("repeat", t.spoken(q, hail=False), t.turns[-1]["reply"])
    return True


def said(t):
    """What did you say about the café?"""
    rng = t.rng
    if t.said and rng.random() < 0.8:
        entity, _ = rng.choice(t.said)
        if entity == f.US or any(k != entity and head(k) == head(entity) for k, _ in t.said):
            return False
        reply = [r for e, r in t.said if e == entity][-1]
        if reply.startswith("I said: "):
            return False
        reply = "I said: " + reply
    else:
        pool = _unmentioned(t)
        if not pool:
            return False
        entity, reply = rng.choice(pool), "I have not said anything about that yet."
    q = expand(TALK["said_about"], rng, t.held)[0]
    q = q.replace("{e}", surface(rng, entity, [o.entity for o in t.facts], t.split))
    t.add("said", t.spoken(q), reply)
    return True


def _unmentioned(t):
    """What the prompt knows and nobody has spoken of, nor of anything with the same noun."""
    spoken_of = {head(e) for e, _ in t.said}
    pool = [o.entity for o in t.facts if o.entity != f.US and head(o.entity) not in spoken_of]
    return [e for e in pool if not any(e.lower() in (x["user"] + "\n" + x["reply"]).lower() for x in t.turns)]


def asked(t):
    """What did I ask?"""
    q = t.spoken(expand(TALK["asked"], t.rng, t.held)[0])
    before = [x["user"] for x in t.turns if x["kind"] not in ("asked", "repeat")]
    if t.turns and t.turns[-1]["kind"] in ("asked", "repeat", "garbled"):
        return False
    t.add("asked", q, "You said: " + before[-1] if before else "You have not asked anything yet.")
    return True


def everything(t):
    """Tell me everything: the first three sentences."""
    q = t.spoken(expand(TALK["all"], t.rng, t.held)[0])
    t.add("all", q, " ".join(t.sentences[:3]) or (t.unknown if t.who.fallback else NO_FACT))
    return True

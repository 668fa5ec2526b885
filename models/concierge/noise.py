"""User turns as a speech recogniser or a hasty typist writes them.

Two sources: rules (dropped, doubled, split and joined words, sound-alikes, filler words), and, if it is
there, `confusions.json`, which `confusions.py` measures by passing synthesised speech through PocketSphinx.
"""

import json
import pathlib
import unicodedata

from words import ONES, TENS, read

_TABLE_PATH = pathlib.Path(__file__).parent / "confusions.json"
TABLE = json.loads(_TABLE_PATH.read_text())["heard"] if _TABLE_PATH.exists() else {}

_RULES = read("noise.yml")
SOUNDS_LIKE, SWAPS, FILLERS, SMALL = (_RULES[k] for k in ("sounds_like", "swaps", "fillers", "small"))
NUMBERS = {*ONES, *TENS, *"hundred thousand plus minus times divided by".split()}  # never touched: sums must stay right


def plain(text):
    """Lower case, without accents and punctuation: the form of a transcript."""
    text = unicodedata.normalize("NFKD", text.lower())
    text = "".join(c for c in text if not unicodedata.combining(c))
    return " ".join("".join(c if c.isalnum() or c in "' " else " " for c in text).split())


def mishear(rng, word):
    """A rare word as a recogniser without it writes it: sound-alike letters, cut in two, its end lost."""
    for _ in range(rng.choice((1, 1, 2))):
        a, b = rng.choice(SWAPS)
        if rng.random() < 0.5:
            a, b = b, a
        word = word.replace(a, b, 1)
    r = rng.random()
    if len(word) > 5 and r < 0.4:
        i = rng.randint(2, len(word) - 3)
        word = word[:i] + " " + word[i:]
    elif len(word) > 4 and r < 0.5:
        word = word[:-1]
    elif r < 0.56:
        word += rng.choice("s t d".split())
    return word


def speech_noise(rng, text, level, rare=()):
    """`text` (plain) as heard.  `level`: chance that a turn is touched; `rare`: words no recogniser knows."""
    ws = text.split()
    ws = [mishear(rng, x) if x in rare and rng.random() < 0.6 * min(1, 2 * level) else x for x in ws]
    if rng.random() > level:
        return " ".join(ws)
    if TABLE and rng.random() < 0.75:
        p = rng.choice((0.25, 0.5, 1.0))
        return " ".join(_from_table(rng, ws, p)) or text
    for _ in range(rng.choice((1, 1, 2))):
        i = rng.randrange(len(ws))
        r = rng.random()
        if ws[i] in NUMBERS:
            continue
        if r < 0.2 and len(ws) > 3:
            small = [k for k, x in enumerate(ws) if x in SMALL]
            if small:
                ws.pop(rng.choice(small))
        elif r < 0.5:
            ws = [rng.choice(SOUNDS_LIKE[x]) if x in SOUNDS_LIKE and rng.random() < 0.3 else x for x in ws]
        elif r < 0.58 and i + 1 < len(ws):
            ws[i : i + 2] = [ws[i] + ws[i + 1]]
        elif r < 0.75:
            ws.insert(i, rng.choice(FILLERS))
        elif r < 0.85:
            ws.insert(i, ws[i])
        elif len(ws[i]) > 3:
            c = rng.randrange(1, len(ws[i]))
            ws[i] = ws[i][:c] + rng.choice(("", rng.choice("aeioulnrst"))) + ws[i][c + 1 :]
    return " ".join(ws)


def _from_table(rng, ws, p):
    """Replaces phrases by what was really heard for them, longest first, each with `p` times its rate."""
    out, i = [], 0
    while i < len(ws):
        for n in (3, 2, 1):
            row = TABLE.get(" ".join(ws[i : i + n])) if i + n <= len(ws) else None
            if row and not any(x in NUMBERS for x in ws[i : i + n]) and rng.random() < p * row["rate"]:
                out += rng.choices(list(row["as"]), list(row["as"].values()))[0].split()
                i += n
                break
        else:
            out.append(ws[i])
            i += 1
    return out


def typed(rng, text):
    """`text` as typed: mostly with a capital and a mark, now and then with a slip of the finger."""
    if rng.random() < 0.12 and len(text) > 8:
        i = rng.randrange(1, len(text) - 2)
        r = rng.random()
        slip = text[i + 1] + text[i] + text[i + 2 :] if r < 0.4 else text[i + 1 :] if r < 0.8 else text[i] + text[i:]
        text = text[:i] + slip
    if rng.random() < 0.8:
        text = text[:1].upper() + text[1:]
    return text + rng.choice(("?", "?", "?", "", ".", "!" if rng.random() < 0.2 else "?"))

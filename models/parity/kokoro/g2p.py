"""Golden of Kokoro's English G2P: what misaki says to every line of g2p_table.txt and g2p_unseen.txt.

    python g2p.py OUT_FOLDER      (with misaki[en], see requirements.txt)

Writes g2p_us.tsv, g2p_gb.tsv, unseen_us.tsv and unseen_gb.tsv (text, phonemes) and the excerpts of misaki's lexicons that the lines
need (us_gold.json, …), so that the test runs without the whole lexicons. spaCy's trained tagger is no
package of PyPI: spaCy's rule-based tokeniser is used as it is, and the parts of speech come from the
table, by hand, wherever the lexicon asks for them. Words without one are tagged by their class.
"""
import json
import re
import sys
from pathlib import Path

import spacy
from misaki import en, espeak

HERE = Path(__file__).parent
TAGGED = re.compile(r"(\S+?)\{([A-Z$]+)\}")
CLOSED = {
    "DT": "a an the this these those every each some any no another all both",
    "PRP": "i you he she it we they me him us them",
    "PRP$": "my your his her its our their",
    "IN": "in on at by for of with from about over under after before through if since until like than around behind",
    "TO": "to",
    "MD": "can could will would should may might must shall 'll 'd",
    "CC": "and or but",
    "RB": "not n't",
    "VBP": "am are 're 'm have 've do",
    "VBZ": "is has 's",
    "CD": "one two three four five six seven eight nine ten million billion",
}
TAG_OF = {word: tag for tag, words in CLOSED.items() for word in words.split()}
SIGNS = {"(": "-LRB-", ")": "-RRB-", "[": "-LRB-", "]": "-RRB-", ",": ",", ".": ".", "!": ".", "?": ".",
         ":": ":", ";": ":", "...": ":", "…": ":", "—": ":", "–": ":", "--": ":", "-": "HYPH", "$": "$", "£": "$", "€": "$",
         "#": "#", "&": "CC", "@": "IN", "+": "SYM", "/": "SYM", "%": "NN", "“": "``", "”": "''"}


class Recorded(dict):
    """A lexicon that remembers which of its words were asked for."""
    def __init__(self, words): super().__init__(words); self.asked = set()
    def get(self, key, default=None): self.asked.add(key); return super().get(key, default)
    def __getitem__(self, key): self.asked.add(key); return super().__getitem__(key)
    def __contains__(self, key): self.asked.add(key); return super().__contains__(key)


class Token:
    def __init__(self, text, tag, whitespace): self.text, self.tag_, self.whitespace_ = text, tag, whitespace


class Tagger:
    """spaCy's tokens with tags by hand."""
    def __init__(self, lexicon): self.nlp, self.lexicon, self.tags = spacy.blank("en"), lexicon, []

    def __call__(self, text):
        doc, by_hand, quotes, result = self.nlp(text), list(self.tags), 0, []
        for i, token in enumerate(doc):
            word, lower = token.text, token.text.lower()
            if by_hand and by_hand[0][0] == word and by_hand[0][1] == sum(t.text == word for t in doc[:i]):
                tag = by_hand.pop(0)[2]
            else:
                entry = dict.get(self.lexicon, word)
                tags = set(entry) - {"DEFAULT", "None"} if isinstance(entry, dict) else set()
                # Of a contraction the whole is looked up.
                contracted = i + 1 < len(doc) and doc[i + 1].text.startswith(("'", "n't"))
                assert not tags or contracted, f"{text!r}: {word!r} needs a tag of {tags}"
                if word == '"':
                    tag = "''" if quotes % 2 else "``"; quotes += 1
                elif word in SIGNS: tag = SIGNS[word]
                elif re.match(r"[-.]?\d", word): tag = "CD"
                elif lower in TAG_OF and not (word == "A" and i > 0): tag = TAG_OF[lower]
                elif lower in ("a.m.", "p.m."): tag = "NN"
                elif word[:1].isupper() and (i > 0 or word.isupper() or len(doc) <= 2): tag = "NNP"
                else: tag = "NN"
            result.append(Token(word, tag, token.whitespace_))
        return result


TABLES = {"g2p": "g2p_table.txt", "unseen": "g2p_unseen.txt"}


def lines(table):
    for line in (HERE / table).read_text().splitlines():
        if line and not line.startswith("#"):
            yield line


def row(g2p, line):
    text, at, tags, seen = "", 0, [], {}
    for match in TAGGED.finditer(line):
        text += line[at:match.start()] + match[1]
        at = match.end()
        word = re.split(r"\W", match[1])[-1]
        tags.append((word, seen.get(word, 0), match[2]))
        seen[word] = seen.get(word, 0) + 1
    text += line[at:]
    g2p.nlp.tags = tags
    phonemes, _ = g2p(text, preprocess=False)
    return f"{text}\t{phonemes}"


def main(out):
    for british, name in ((False, "us"), (True, "gb")):
        spacy.util.is_package = lambda _: True
        spacy.load = lambda *_, **__: None
        g2p = en.G2P(british=british, fallback=espeak.EspeakFallback(british=british), unk="")
        whole = {kind: json.loads((Path(en.data.__file__).parent / f"{name}_{kind}.json").read_text())
                 for kind in ("gold", "silver")}
        g2p.lexicon.golds, g2p.lexicon.silvers = Recorded(g2p.lexicon.golds), Recorded(g2p.lexicon.silvers)
        g2p.nlp = Tagger(g2p.lexicon.golds)
        for table, file in TABLES.items():
            rows = [row(g2p, line) for line in lines(file)]
            (out / f"{table}_{name}.tsv").write_text("\n".join(rows) + "\n")
            print(table, name, len(rows), "lines")
        for kind, words in (("gold", g2p.lexicon.golds), ("silver", g2p.lexicon.silvers)):
            asked = words.asked | {w.lower() for w in words.asked} | {w.capitalize() for w in words.asked}
            letters = {c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"} if kind == "gold" else set()
            excerpt = {w: v for w, v in whole[kind].items() if w in asked | letters}
            (out / f"{name}_{kind}.json").write_text(json.dumps(excerpt, ensure_ascii=False, indent=0, sort_keys=True))
            print(name, kind, len(excerpt))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The texts that tokenizers are compared on: written by hand, and put together by a seeded generator.

Every entry is a string, or {"repeat": s, "times": n} for long ones.
"""
import random

WORDS = """the of and to in a is that it was for on are as with his they at be this from have or by one had not
but what all were when we there can an your which their said if do will each about how up out them then she many
some so these would other into has more her two like him see time could no make than first been its who now people
Hello world reception kiosk Wednesday half past seven Fräulein naïve coöperate jalapeño Zürich""".split()

HAND = [
    "", " ", "  ", "   ", "\n", "\n\n", "\n\n\n", "\t", "\t\t", " \n", "\n ", " \n ", "\r\n", "\r\n\r\n", "a\r\nb", "a\rb",
    "a", "Z", "0", "é", "ß", "ø", "İ", "ı", "ǆ", "ﬁ", "Å", "Å", "A\u030a", "e\u0301", "o\u0308\u0323", "q\u0307\u0323",
    "Hello", " Hello", "Hello ", " Hello ", "Hello world", "hello  world", "hello   world", "Hello,world", "Hello, world!",
    "don't", "Don't", "DON'T", "I'm", "you'RE", "we'll've", "it's 'quoted' text", "’s", "rock'n'roll", "'s't're've'm'll'd",
    "1", "12", "123", "1234", "12345678901234567890", "3.14159", "1,000,000", "-42", "1e-5", "0x1F", "½", "²", "Ⅷ", "١٢٣", "〇一二",
    "2026-11-20T16:05:33Z", "+49 (0)30 123456-78", "$1,299.99", "€5", "50%", "#1", "a1b2c3", "v1.2.3-rc.15", "10:30am",
    "!", "!!", "!!!", "?!", "...", "…", "—", "--", "---", "----", "==", "===", "=>", "->", "::", "//", "/* */", "&&", "||", "(((", ")))",
    "a.b.c", "a-b-c", "a_b_c", "CamelCaseWords", "snake_case_words", "kebab-case-words", "SCREAMING_CASE", "e.g.", "i.e.,", "U.S.A.",
    "if (x) {\n    return y;\n}\n", "def f(x):\n\treturn x ** 2\n", "fn main() {\n    println!(\"{}\", 1);\n}\n",
    "<html>\n  <body class=\"a\">&nbsp;</body>\n</html>", "SELECT * FROM t WHERE a = 'b';", "https://example.org/a/b?c=d&e=%20#f",
    "user@example.org", "C:\\Users\\x\\file.txt", "/usr/local/bin", "{\"a\": [1, 2.0, null, true], \"b\": \"c\\n\"}", "$HOME/${x}`y`",
    "x = [i for i in range(10) if i % 2 == 0]", "λx.x", "∀x∈ℝ: x²≥0", "∑∫√∞≠≈", "H₂O", "x²", "←↑→↓", "─│┌┐", "■□▪▫", "★☆",
    "こんにちは", "こんにちは、世界！", "日本語のテキスト", "カタカナ", "ｶﾀｶﾅ", "你好", "你好，世界！", "中文没有空格的句子。", "繁體字", "안녕하세요", "안녕하세요 세계",
    "\u1112\u1161\u11ab", "Привет", "Привет, мир!", "ПРИВЕТ", "Ελληνικά", "ελληνικά;", "שלום", "שלום עולם", "مرحبا", "مرحبا بالعالم", "السَّلَامُ عَلَيْكُمْ",
    "हिन्दी", "नमस्ते दुनिया", "বাংলা", "தமிழ்", "ไทย", "ภาษาไทยไม่มีช่องว่าง", "မြန်မာ", "ខ្មែร", "አማርኛ", "ქართული", "հայերեն", "ᏣᎳᎩ", "𐍈𐌰", "𝒳𝓎𝓏", "𝟘𝟙𝟚",
    "🙂", "🙂🙂", "🙂 🙂", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "🇩🇪🇫🇷", "☺️", "☺", "❤️‍🔥", "1️⃣", "a🙂b", "text 🙂 text", "🙂!", "🧑🏿‍💻 codes",
    "\u200b", "a\u200bb", "a\u200db", "a\u00adb", "\ufeff", "\ufeffa", "\u2028", "a\u2029b", "\u00a0", "a\u00a0b", "\u3000", "a\u3000b", "\u2003", "a\u2003b",
    "\u202eabc\u202c", "\u200fאב\u200e", "\u0000", "a\u0000b", "\u0001\u0002", "\u001b[31mred\u001b[0m", "\u007f", "\u0085", "\ufffd", "\ufffe", "\U000e0001", "\U0010ffff", "\ue000",
    "\u0300", "a" + "\u0301" * 20, "Z\u0351\u036b\u0343a\u0369\u036bl\u0302g\u0307o\u0321", "\u0640\u0640\u0640", "fi\ufb01nal", "ﷺ", "①②③", "㎏㏒", "ⅷ",
    "▁", "▁a", "a▁b", "▁▁", "Ġ", "Ċ", "Ġthe", "<0x0A>", "<0xE2><0x96>", "##ing", "@@", "</w>",
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>user\nhi<|im_end|>\n", "a<|im_end|>b", "a <|im_end|> b", "<|im_end|><|im_end|>", "<|im_end|>\n\n<|im_start|>",
    "<|im_start", "im_end|>", "<|im_end|", "<|IM_END|>", "< |im_end|>", "<|im_end |>", "<||im_end||>", "<|<|im_end|>|>", "＜|im_end|＞", "<|im_e\u0301nd|>", "<|im_end\u0301|>",
    "<think>", "</think>", "<think>\n\n</think>\n\n", "<think>a</think>b", "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>", "<tool_response>\n5\n</tool_response>",
    "<tool_call><tool_call>", "</tool_call>x", "<tool_call", "<s>", "</s>", "<s>a</s>", "<unk>", "[INST] a [/INST]", "<|begin_of_text|>", "<|eot_id|>", "<|python_tag|>", "<|fim_prefix|>",
    "<|vision_start|><|image_pad|><|vision_end|>", "<|object_ref_start|>x<|object_ref_end|>", "<|repo_name|>r<|file_sep|>f",
]

LONG = [
    {"repeat": "a", "times": 3000}, {"repeat": " ", "times": 3000}, {"repeat": "\n", "times": 2000}, {"repeat": " \n", "times": 1000},
    {"repeat": "=", "times": 2500}, {"repeat": "1", "times": 2000}, {"repeat": "ab ", "times": 2000}, {"repeat": "The quick brown fox. ", "times": 600},
    {"repeat": "日本語", "times": 1000}, {"repeat": "🙂", "times": 800}, {"repeat": "e\u0301", "times": 900}, {"repeat": "<|im_end|>", "times": 300},
    {"repeat": "שלום ", "times": 500}, {"repeat": "\t", "times": 1500}, {"repeat": "don't ", "times": 700}, {"repeat": "x<tool_call>", "times": 200},
]


def put_together(choose):
    pieces = []
    for _ in range(choose.randint(1, 14)):
        kind = choose.randrange(11)
        if kind < 5:
            pieces.append(choose.choice(WORDS))
        elif kind < 7:
            pieces.append(choose.choice(HAND))
        elif kind == 7:
            pieces.append(str(choose.randrange(10 ** choose.randint(1, 9))))
        elif kind == 8:
            pieces.append(choose.choice([" ", "  ", "\n", "\t", "   \n", "\n\n  "]) * choose.randint(1, 3))
        elif kind == 9:
            blocks = [(0x21, 0x7E), (0xA1, 0x17F), (0x300, 0x36F), (0x400, 0x45F), (0x5D0, 0x5EA), (0x4E00, 0x4E80), (0x1F600, 0x1F64F), (0xAC00, 0xAC80)]
            low, high = choose.choice(blocks)
            pieces.append("".join(chr(choose.randint(low, high)) for _ in range(choose.randint(1, 6))))
        else:
            pieces.append(choose.choice(["<|im_", "end|>", "<think", "<tool_call>", "'s", "'LL", ".", ", ", "!?", " (", ")"]))
    return choose.choice(["", " "]).join(pieces)


def strings():
    choose = random.Random(20261120)
    return HAND + [put_together(choose) for _ in range(260)] + LONG


def text(entry):
    return entry if isinstance(entry, str) else entry["repeat"] * entry["times"]

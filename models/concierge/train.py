"""Trains concierge from nothing, or goes on where a run stopped:

    python models/concierge/train.py --minutes 105              # writes models/concierge/run/
    python models/concierge/train.py --minutes 200 --resume     # goes on; the learning rate follows the new end
    python models/concierge/train.py --tokens 60                # the same length on every machine

A run ends after `--minutes` or after `--tokens`, whichever comes first, and the rate falls over its last share
(`--decay`) by that same clock.  A checkpoint (`state.pt` with the optimisers, and a plain Hugging Face folder) is
written every few minutes; `stable.pt` is the state in which the rate began to fall, from which a longer run goes on.
The generator is read anew at each start, so a run can be stopped, given better data and resumed.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import time

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import Qwen3Config, Qwen3ForCausalLM

import dialogue
import tokenizer
from evaluate import IN_TRAINING, accuracy, make_suite
from turns import KINDS
from wiring import wire_induction

HERE = pathlib.Path(__file__).parent
p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("--out", type=pathlib.Path, default=HERE / "run")
p.add_argument("--resume", action="store_true", help="go on with the state in --out")
p.add_argument("--init", type=pathlib.Path, help="start from this checkpoint's weights, with a fresh optimiser")
p.add_argument("--minutes", type=float, default=105, help="length of the whole run, all resumed parts together")
p.add_argument(
    "--tokens",
    type=float,
    default=float("inf"),
    help="the same in millions of tokens; what is reached first ends the run",
)
p.add_argument("--threads", type=int, default=1)
p.add_argument("--device", default="cpu")
p.add_argument("--bf16", type=int, default=1, help="matrix products in bfloat16")
p.add_argument("--compile", type=int, default=1)
p.add_argument("--vocab", type=int, default=1024)
p.add_argument("--hidden", type=int, default=256)
p.add_argument("--layers", type=int, default=4)
p.add_argument("--ffn", type=int, default=704)
p.add_argument("--lr", type=float, default=3e-3, help="Muon, for the matrices")
p.add_argument("--emb-lr", type=float, default=1e-3, help="AdamW, for embeddings and norms")
p.add_argument("--batch-tokens", type=int, default=3072)
p.add_argument("--decay", type=float, default=0.4, help="last share of the run, in which the rate falls to 2 %%")
p.add_argument("--noise", type=float, default=0.3, help="share of spoken turns that are misheard")
p.add_argument("--eval-every", type=float, default=10, help="minutes")
p.add_argument("--save-every", type=float, default=3, help="minutes")
p.add_argument("--seed", type=int, default=0)
a = p.parse_args()

torch.set_num_threads(a.threads)
torch.set_flush_denormal(True)
a.out.mkdir(parents=True, exist_ok=True)
OTHER_WEIGHT, OTHER_SHARE = 0.1, 0.25  # loss of prompt and user tokens, and the share of them that is scored
GROW_AT = 0.35  # reply loss below which prompts grow by a fact
LEVELS = 12

# ---------------------------------------------------------------------------------- tokenizer, model, optimisers
source = a.init or a.out
tok_path = HERE / "tokenizer.json" if not a.init else a.init / "tokenizer.json"
tk = Tokenizer.from_file(str(tok_path)) if tok_path.exists() else tokenizer.train(tok_path, a.vocab)
tk.save(str(a.out / "tokenizer.json"))
torch.manual_seed(a.seed)
if a.init:
    model = Qwen3ForCausalLM.from_pretrained(a.init, dtype=torch.float32)
else:
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=tk.get_vocab_size(),
            hidden_size=a.hidden,
            num_hidden_layers=a.layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=64,
            intermediate_size=a.ffn,
            tie_word_embeddings=True,
            max_position_embeddings=2048,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
            bos_token_id=None,
            eos_token_id=tokenizer.END,
            pad_token_id=0,
        )
    )
    wire_induction(model)
model.config._attn_implementation = "sdpa"
model.config.use_cache = False
model.to(a.device).train()
body = torch.compile(model.model, dynamic=True) if a.compile else model.model
matrices = [x for n, x in model.named_parameters() if x.ndim == 2 and "embed" not in n]
others = [x for n, x in model.named_parameters() if x.ndim != 2 or "embed" in n]
optimisers = [
    torch.optim.Muon(matrices, lr=a.lr, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
    torch.optim.AdamW(others, lr=a.emb_lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
]

at = dict(step=0, tokens=0, minutes=0.0, level=LEVELS if a.init else 2, level_steps=0, loss=None)
if a.resume:
    state = torch.load(a.out / "state.pt", map_location=a.device)
    model.load_state_dict(state["model"])
    for o, s in zip(optimisers, state["optimisers"]):
        o.load_state_dict(s)
    at = state["at"]
rng = random.Random(a.seed * 1_000_003 + at["step"])


def save_state(name):
    torch.save(
        dict(model=model.state_dict(), optimisers=[o.state_dict() for o in optimisers], at=at), a.out / "state.tmp"
    )
    os.replace(a.out / "state.tmp", a.out / name)


def save():
    save_state("state.pt")
    model.save_pretrained(a.out)


# ---------------------------------------------------------------------------------- data
READ_ALL = {2: 25, 3: 15, 4: 8, 5: 4}  # "tell me everything" at each level: long copies make copying form early


def sample():
    level = at["level"]
    count = (
        rng.randint(max(1, level // 3), level) if rng.random() < 0.95 else rng.choice((0, 0, 1, level + 4, level + 8))
    )
    kinds = dict(KINDS, all=READ_ALL.get(level, KINDS["all"]))
    d = dialogue.make(rng, n_facts=count, n_turns=rng.randint(6, 14), noise=a.noise * min(1.0, level / 8), kinds=kinds)
    return tokenizer.encode(tk, d)


def batches():
    """Conversations sorted by length and cut into batches of about `batch_tokens`, padded at the end."""
    while True:
        pool = sorted((sample() for _ in range(128)), key=lambda s: len(s[0]))
        cut, i = [], 0
        while i < len(pool):
            j = i + 1
            while j < len(pool) and len(pool[j][0]) * (j + 1 - i) <= a.batch_tokens:
                j += 1
            cut.append(pool[i:j])
            i = j
        if len(cut) > 1:
            cut.pop(rng.choice((0, -1)))  # the last may be small; the first, now and then, for balance
        rng.shuffle(cut)
        for part in cut:
            length = (max(len(ids) for ids, _ in part) + 15) // 16 * 16
            x = torch.zeros(len(part), length, dtype=torch.long)
            m = torch.full((len(part), length), -1, dtype=torch.long)
            for r, (ids, mask) in enumerate(part):
                x[r, : len(ids)] = torch.tensor(ids)
                m[r, : len(ids)] = torch.tensor(mask)
            yield x.to(a.device), m.to(a.device)


# ---------------------------------------------------------------------------------- the run
suites = {s: make_suite(s, 40) for s in IN_TRAINING}
log = open(a.out / "log.jsonl", "a")
print(
    f"{sum(x.numel() for x in model.parameters()) / 1e6:.2f} M parameters, vocabulary {tk.get_vocab_size()}", flush=True
)


def evaluate_now():
    model.eval()
    row = dict(
        minutes=round(at["minutes"], 1),
        step=at["step"],
        tokens=at["tokens"],
        loss=round(at["loss"], 4),
        level=at["level"],
        **{s: round(accuracy(model, tk, d, a.device), 3) for s, d in suites.items()},
    )
    model.train()
    print(json.dumps(row), flush=True)
    log.write(json.dumps(row) + "\n")
    log.flush()


stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))  # saves, then ends
last_eval = last_save = at["minutes"]
began, before, shown = time.time(), at["minutes"], (time.time(), at["tokens"])
for x, m in batches():
    at["minutes"] = before + (time.time() - began) / 60
    done = max(at["minutes"] / a.minutes, at["tokens"] / 1e6 / a.tokens)
    if done >= 1 or stop:
        break
    falling = done >= 1 - a.decay
    if falling and not at.get("falling"):
        save_state("stable.pt")
    at["falling"] = falling
    rate = min(1.0, (at["step"] + 1) / 40) * (0.02 + 0.98 * (1 - done) / a.decay if falling else 1.0)
    for o, base in zip(optimisers, (a.lr, a.emb_lr)):
        for g in o.param_groups:
            g["lr"] = base * rate
    y, mask = x[:, 1:].reshape(-1), m[:, 1:].reshape(-1)
    keep = (mask == 1) | ((mask == 0) & (torch.rand(mask.shape, device=mask.device) < OTHER_SHARE))
    with torch.autocast(a.device, torch.bfloat16, enabled=bool(a.bf16)):
        h = body(input_ids=x).last_hidden_state[:, :-1].reshape(-1, model.config.hidden_size)[keep]
        logits = model.lm_head(h)
    ce = F.cross_entropy(logits.float(), y[keep], reduction="none")
    own = mask[keep] == 1
    main = ce[own].mean()
    (main + OTHER_WEIGHT * ce[~own].mean()).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for o in optimisers:
        o.step()
        o.zero_grad(set_to_none=True)
    at["step"] += 1
    at["tokens"] += x.numel()
    at["level_steps"] += 1
    at["loss"] = main.item() if at["loss"] is None else 0.97 * at["loss"] + 0.03 * main.item()
    if at["level"] < LEVELS and at["level_steps"] >= 25 and (at["loss"] < GROW_AT or at["level_steps"] > 100):
        at["level"], at["level_steps"] = at["level"] + 1, 0
    if at["step"] % 25 == 0:
        now = (time.time(), at["tokens"])
        print(
            f"{at['minutes']:.1f} min step {at['step']} level {at['level']} loss {at['loss']:.4f} rate {rate:.2f} tokens/s {(now[1] - shown[1]) / (now[0] - shown[0]):.0f}",
            flush=True,
        )
        shown = now
    if at["minutes"] - last_save > a.save_every:
        save()
        last_save = at["minutes"]
    if at["minutes"] - last_eval > a.eval_every:
        evaluate_now()
        last_eval = at["minutes"]
save()
if not stop:
    evaluate_now()

#!/usr/bin/env python3
"""Writes tests/golden/whisper/: tiny random Whisper checkpoints, and what transformers makes of them.

    python3 -m venv /tmp/whisper && /tmp/whisper/bin/pip install -r models/parity/whisper/requirements.txt
    /tmp/whisper/bin/python models/parity/whisper/generate.py [../shared/data/tokenizers/whisper]

Each checkpoint is a folder NAME/ as `save_pretrained` writes it; beside it is NAME.golden.safetensors:

    samples              [n] i16     a made-up recording, 16 kHz
    full.*, short.*                  with the encoder's whole window, and with its beginning only
      .mel               [frames, bins]
      .encoded           [frames / 2, d_model]
      .logits            [t, vocab]  after each of `tokens`
      .language          [languages] logits of the languages, in the order of `languages`
      .plain, .timed     [n]         greedy tokens without and with time stamps, the end left out
      .plain.scores, …   [2]         mean ln(probability) of them, probability of no speech
    tokens               [t]
    rules.logits         [vocab]
    rules.N.written      [n]         tokens after the prompt (a first -1 stands for none)
    rules.N.timed        [vocab] u8  whether the token may follow, with time stamps
    rules.N.plain        [vocab] u8  and without

`multilingual` has 80 bins, 32-bit weights and lists of suppressed tokens; `distilled` has 128 bins, one
decoder layer, 16-bit weights under names without `model.`, null where those lists may be, and says
`scale_embedding`, which the reference's network does not look at.

`tokens.json` holds prompts as WhisperTokenizer assembles them, for `multilingual` and, if its folder is
given, for the published vocabulary (which is not part of the repository). `sizes.json` holds names and
shapes of the tensors of the published models, by transformers' own model class.

Weights are N(0, 1/fan_in), norms 1 ± 0.1, biases ± 0.1, so that a swapped axis or another GELU shows far
above the tolerances. A greedy text is refused if its best two tokens are ever closer than MARGIN, or if it
has few different ones: take another seed.
"""
import json
import pathlib
import re
import shutil
import sys

import numpy
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer,
)
from transformers.generation.logits_process import (
    SuppressTokensAtBeginLogitsProcessor, SuppressTokensLogitsProcessor, WhisperTimeStampLogitsProcessor,
)

torch.set_num_threads(1)
OUT = pathlib.Path(__file__).parents[3] / "tests/golden/whisper"
POSITIONS = 200  # 4 s
SHORT_FRAMES = 250
SAMPLES = 21_000
GREEDY = 24
MARGIN = 2e-3
DISTINCT = 8
LANGUAGES = ["en", "zh", "de", "es", "ru", "ko", "fr"]
TEXT = """The receptionist of the hotel asks what the guest would like to know. Breakfast is from seven to ten,
the museum opens at nine, and the last train leaves at half past eleven. Please ask again if you did not
understand. Thank you very much, and have a good evening."""

# By the names of models/manifest.yml.
SIZES = {
    "whisper-tiny": dict(d_model=384, layers=(4, 4), heads=6),
    "whisper-base": dict(d_model=512, layers=(6, 6), heads=8),
    "whisper-small": dict(d_model=768, layers=(12, 12), heads=12),
    "whisper-medium": dict(d_model=1024, layers=(24, 24), heads=16),
    "whisper-large-v3": dict(d_model=1280, layers=(32, 32), heads=20, bins=128, vocab=51866),
    "whisper-large-v3-turbo": dict(d_model=1280, layers=(32, 4), heads=20, bins=128, vocab=51866),
    "distil-whisper-large-v3": dict(d_model=1280, layers=(32, 2), heads=20, bins=128, vocab=51866),
    "whisper-tiny.en": dict(d_model=384, layers=(4, 4), heads=6, vocab=51864),
    "whisper-base.en": dict(d_model=512, layers=(6, 6), heads=8, vocab=51864),
    "whisper-small.en": dict(d_model=768, layers=(12, 12), heads=12, vocab=51864),
    "distil-whisper-small.en": dict(d_model=768, layers=(12, 4), heads=12, vocab=51864),
}


def randomised(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                is_gain = "layer_norm" in name and name.endswith("weight")
                parameter.copy_(noise * 0.1 + (1.0 if is_gain else 0.0))
            elif "decoder.embed_positions" in name:
                parameter.copy_(noise)
            elif "encoder.embed_positions" not in name:
                fan_in = parameter[0].numel()
                parameter.copy_(noise / fan_in**0.5 * (0.7 if "embed_tokens" in name else 1.0))
    return model.eval()


def tokenizer():
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=[], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    bpe.train_from_iterator([TEXT] * 2, trainer)
    state = json.loads(bpe.to_str())["model"]
    return whisper_tokenizer(state["vocab"], [tuple(merge) for merge in state["merges"]], POSITIONS)


def whisper_tokenizer(vocab, merges, positions, languages=LANGUAGES):
    """A tokenizer with Whisper's added tokens in Whisper's order."""
    ours = WhisperTokenizer(vocab=vocab, merges=merges)
    steering = ["<|startoftranscript|>", *(f"<|{language}|>" for language in languages)]
    steering += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    ours.add_tokens([*steering, "<|notimestamps|>"], special_tokens=True)
    ours.add_tokens([f"<|{step * 0.02:.2f}|>" for step in range(positions + 1)])
    ours.set_prefix_tokens()
    return ours


def recording(seed):
    random = numpy.random.default_rng(seed)
    seconds = numpy.arange(SAMPLES) / 16_000
    tone = numpy.sin(2 * numpy.pi * (150 + 900 * seconds) * seconds) * (numpy.sin(9 * seconds) > 0)
    return (5_000 * tone + 800 * random.standard_normal(SAMPLES)).round().astype(numpy.int16)


def ids_of(tokens):
    """Ids of the tokens that steer."""
    id_of = tokens.convert_tokens_to_ids
    return dict(
        start=id_of("<|startoftranscript|>"), end=id_of("<|endoftext|>"), transcribe=id_of("<|transcribe|>"),
        no_timestamps=id_of("<|notimestamps|>"), no_speech=id_of("<|nospeech|>"),
        languages=[id_of(f"<|{language}|>") for language in LANGUAGES],
    )


def processors(ids, generation, vocab, begin, timed):
    """What may follow. The steering tokens, and without time stamps those too, are never written."""
    never = set(range(ids["end"] + 1, ids["no_timestamps"] + 1)) | set(generation["suppress_tokens"] or [])
    if not timed:
        never |= set(range(ids["no_timestamps"] + 1, vocab))
    chain = [SuppressTokensLogitsProcessor(sorted(never))]
    if generation["begin_suppress_tokens"]:
        chain.append(SuppressTokensAtBeginLogitsProcessor(generation["begin_suppress_tokens"], begin))
    if timed:
        config = GenerationConfig(eos_token_id=ids["end"], bos_token_id=ids["end"])
        config.no_timestamps_token_id = ids["no_timestamps"]
        config.max_initial_timestamp_index = generation["max_initial_timestamp_index"]
        chain.append(WhisperTimeStampLogitsProcessor(config, begin_index=begin))
    return chain


def ruled(chain, sequence, logits):
    ids, logits = torch.tensor([sequence]), logits[None].clone()
    for processor in chain:
        logits = processor(ids, logits)
    return logits[0]


@torch.no_grad()
def greedy(model, encoded, prompt, ids, generation, timed):
    sequence, total, margin, no_speech = list(prompt), 0.0, float("inf"), None
    vocab = model.config.vocab_size
    chain = processors(ids, generation, vocab, len(prompt), timed)
    while len(sequence) < len(prompt) + GREEDY:
        logits = model(encoder_outputs=(encoded,), decoder_input_ids=torch.tensor([sequence])).logits[0]
        if no_speech is None:
            no_speech = logits[prompt.index(ids["start"])].softmax(-1)[ids["no_speech"]].item()
        logits = ruled(chain, sequence, logits[-1])
        best = logits.topk(2).values
        margin = min(margin, (best[0] - best[1]).item())
        token = int(logits.argmax())
        total += logits.log_softmax(-1)[token].item()
        if token == ids["end"]:
            break
        sequence.append(token)
    written = sequence[len(prompt):]
    chosen = len(written) + (1 if len(written) < GREEDY else 0)
    return written, [total / chosen, no_speech], margin


def has_loop(written):
    """Whether it repeats itself for so long that our engine would stop it."""
    return any(
        written[at : at + 15 - period] == written[at + period : at + 15]
        for period in range(1, 5) for at in range(len(written) - 15)
    )


@torch.no_grad()
def golden(model, tokens, generation, seed):
    ids, config = ids_of(tokens), model.config
    samples = recording(seed)
    extractor = WhisperFeatureExtractor(feature_size=config.num_mel_bins)
    out = {"samples": torch.from_numpy(samples)}
    given = [ids["start"], ids["languages"][0], ids["transcribe"], ids["no_timestamps"], 40, 7, 300]
    out["tokens"] = torch.tensor(given, dtype=torch.int32)
    encoder = model.model.encoder
    positions = encoder.embed_positions.weight.data.clone()
    for window, frames in [("full", 2 * POSITIONS), ("short", SHORT_FRAMES)]:
        padded = numpy.zeros(frames * 160, dtype=numpy.float32)
        padded[:SAMPLES] = samples.astype(numpy.float32) / 32_768
        mel = torch.from_numpy(extractor._np_extract_fbank_features(padded[None], "cpu")[0].astype(numpy.float32))
        encoder.embed_positions = torch.nn.Embedding.from_pretrained(positions[: frames // 2])
        encoder.config.max_source_positions = frames // 2
        encoded = encoder(mel[None]).last_hidden_state
        out[f"{window}.mel"], out[f"{window}.encoded"] = mel.T.contiguous(), encoded[0]
        decode = lambda sequence: model(encoder_outputs=(encoded,), decoder_input_ids=torch.tensor([sequence])).logits[0]
        out[f"{window}.logits"] = decode(given)
        out[f"{window}.language"] = decode([ids["start"]])[0, ids["languages"]].contiguous()
        prompt = [ids["start"], ids["languages"][2], ids["transcribe"]]
        for name, timed in [("plain", False), ("timed", True)]:
            whole = prompt if timed else [*prompt, ids["no_timestamps"]]
            written, scores, margin = greedy(model, encoded, whole, ids, generation, timed)
            if margin < MARGIN or len(set(written)) < DISTINCT or has_loop(written):
                encoder.config.max_source_positions = POSITIONS
                return None
            out[f"{window}.{name}"] = torch.tensor(written, dtype=torch.int32)
            out[f"{window}.{name}.scores"] = torch.tensor(scores)
    encoder.config.max_source_positions = POSITIONS
    encoder.embed_positions = torch.nn.Embedding.from_pretrained(positions)
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(config.vocab_size, generator=random) * 2
    out["rules.logits"] = logits
    first = ids["no_timestamps"] + 1
    cases = [[], [first], [first + 3, 40], [first + 3, 40, first + 9], [first + 3, 40, first + 9, first + 9],
             [first + 3, 40, first + 9, first + 9, 41], [40, 41], [first + 200], [first, 40, first + 200]]
    for number, written in enumerate(cases):
        out[f"rules.{number}.written"] = torch.tensor(written or [-1], dtype=torch.int32)
        for name, timed in [("timed", True), ("plain", False)]:
            chain = processors(ids, generation, config.vocab_size, len(prompt), timed)
            allowed = ruled(chain, prompt + written, logits) > float("-inf")
            out[f"rules.{number}.{name}"] = allowed.to(torch.uint8)
    return out


def checkpoint(name, tokens, generation, shape, convert):
    ids = ids_of(tokens)
    config = WhisperConfig(
        vocab_size=len(tokens), max_source_positions=POSITIONS, max_target_positions=64, d_model=32,
        encoder_attention_heads=4, decoder_attention_heads=2, decoder_start_token_id=ids["start"],
        pad_token_id=ids["end"], bos_token_id=ids["end"], eos_token_id=ids["end"], suppress_tokens=None,
        begin_suppress_tokens=None, **shape,
    )
    for seed in range(100):
        model = randomised(WhisperForConditionalGeneration(config), seed)
        if convert is not None:
            model = model.to(convert).to(torch.float32)  # the reference computes with what is in the file
        made = golden(model, tokens, generation, seed)
        if made is not None:
            break
    folder = OUT / name
    model.generation_config = GenerationConfig(
        eos_token_id=ids["end"], bos_token_id=ids["end"], decoder_start_token_id=ids["start"]
    )
    for key, value in generation.items():
        setattr(model.generation_config, key, value)
    if convert is None:
        model.save_pretrained(folder)
    else:
        model.to(convert).model.save_pretrained(folder)
        (folder / "generation_config.json").write_text(json.dumps(generation) + "\n")
    tokens.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    print(name, "seed", seed, sorted({str(weight.dtype) for weight in weights.values()}), sorted(weights)[0])
    save_file(made, OUT / f"{name}.golden.safetensors", {"made by": "models/parity/whisper/generate.py"})


def prompts(tokens):
    """Prompts as the tokenizer assembles them."""
    cases = []
    for language, timed in [("en", False), ("de", False), ("fr", True)]:
        tokens.set_prefix_tokens(language=language, task="transcribe", predict_timestamps=timed)
        cases.append(dict(language=language, timestamps=timed, ids=tokens.prefix_tokens))
    texts = ["Vera, Grand Hotel, Marta Kowalska.", "  Zürich kostet 12,50 € – naïve 東京 🙂", "don't  you'll\nwe'd 1234567"]
    # What a person says steers nothing; of text that looks as if, get_prompt_ids makes an error.
    previous = [dict(text=text, ids=[int(id) for id in tokens.get_prompt_ids(text)]) for text in texts]
    words = [dict(ids=entry["ids"][1:], text=tokens.decode(entry["ids"][1:])) for entry in previous]
    return dict(prompts=cases, previous=previous, decoded=words)


def sizes():
    made = {}
    for name, size in SIZES.items():
        width, (encoder, decoder) = size["d_model"], size["layers"]
        config = WhisperConfig(
            vocab_size=size.get("vocab", 51865), num_mel_bins=size.get("bins", 80), d_model=width,
            encoder_layers=encoder, decoder_layers=decoder, encoder_attention_heads=size["heads"],
            decoder_attention_heads=size["heads"], encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width,
        )
        with torch.device("meta"):
            model = WhisperForConditionalGeneration(config)
        layers, tensors, parameters = {}, {}, 0
        for key, tensor in model.state_dict().items():
            if key == "proj_out.weight":
                continue  # the token embeddings; save_pretrained leaves it out
            parameters += tensor.numel()
            pattern = re.sub(r"\.layers\.(\d+)\.", ".layers.*.", key)
            layers[pattern] = layers.get(pattern, 0) + 1
            tensors[pattern] = list(tensor.shape)
        config = {key: value for key, value in config.to_dict().items() if key in KEYS}
        made[name] = dict(config=config, parameters=parameters, tensors={
            pattern: [layers[pattern], shape] for pattern, shape in tensors.items()
        })
    return made


KEYS = ["vocab_size", "num_mel_bins", "d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim",
        "decoder_layers", "decoder_attention_heads", "decoder_ffn_dim", "max_source_positions",
        "max_target_positions", "tie_word_embeddings", "activation_function"]


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    tokens = tokenizer()
    end = ids_of(tokens)["end"]
    multilingual = dict(
        is_multilingual=True, suppress_tokens=[1, 2, 7, 11, end + 1], begin_suppress_tokens=[220, end],
        max_initial_timestamp_index=50,
    )
    distilled = dict(
        is_multilingual=True, suppress_tokens=None, begin_suppress_tokens=None, max_initial_timestamp_index=None,
    )
    checkpoint("multilingual", tokens, multilingual, dict(
        num_mel_bins=80, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=64, decoder_ffn_dim=96,
    ), None)
    checkpoint("distilled", tokens, distilled, dict(
        num_mel_bins=128, encoder_layers=3, decoder_layers=1, encoder_ffn_dim=96, decoder_ffn_dim=64,
        scale_embedding=True,
    ), torch.float16)
    texts = {"multilingual": prompts(tokens)}
    if len(sys.argv) > 1:
        folder = pathlib.Path(sys.argv[1])
        vocab = json.loads((folder / "vocab.json").read_text())
        lines = (folder / "merges.txt").read_text().splitlines()
        merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
        from transformers.models.whisper.tokenization_whisper import LANGUAGES as ALL
        # Whisper's first models know 99 languages; the hundredth came with large-v3.
        known = [language for language in ALL if language != "yue"]
        published = whisper_tokenizer(vocab, merges, 1500, known)
        texts["published"] = prompts(published)
    (OUT / "tokens.json").write_text(json.dumps(texts, ensure_ascii=False, indent=1) + "\n")
    (OUT / "sizes.json").write_text(json.dumps(sizes(), indent=1) + "\n")
    for path in sorted(OUT.rglob("*")):
        if path.is_file():
            print(path.relative_to(OUT), path.stat().st_size)


if __name__ == "__main__":
    main()

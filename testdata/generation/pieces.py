"""Cases for the pieces of generation, with what transformers 4.34.0 makes of them; make_pieces_golden.py and
random_pieces.py write them. README.md describes the files."""
import random
import types

import torch
from transformers import GenerationConfig, GenerationMixin
from transformers.generation import beam_search, logits_process

DEVICE = torch.device("cpu")
# Thresholds on these: a rounding that goes the other way changes a whole row.
FILTERS = ("TopPLogitsWarper", "TypicalLogitsWarper", "EpsilonLogitsWarper", "EtaLogitsWarper")
WARPERS = FILTERS + ("TopKLogitsWarper",)


def tensor_seed(rng):
    return torch.Generator().manual_seed(rng.randrange(2**31))


def random_ids(rng, rows, tokens, vocabulary):
    # Few different ones, so that they repeat.
    return torch.randint(0, min(vocabulary, rng.choice([3, 6, 1000])), (rows, tokens), generator=tensor_seed(rng))


def random_scores(rng, rows, vocabulary, name):
    generator = tensor_seed(rng)
    scores = torch.randn(rows, vocabulary, generator=generator) * rng.choice([0.5, 2, 5])
    if name == "TopKLogitsWarper" and rng.random() < 0.4:
        scores = (scores * 2).round() / 2  # Ties.
    if rng.random() < 0.3:
        gone = torch.rand(rows, vocabulary, generator=generator) < 0.3
        gone[:, 0] = False
        scores[gone] = -float("inf")
    if name == "InfNanRemoveLogitsProcessor":
        for value in (float("inf"), -float("inf"), float("nan")):
            scores[torch.rand(rows, vocabulary, generator=generator) < 0.2] = value
    return scores


def some_ids(rng, vocabulary, least=1, most=4):
    return [rng.randrange(vocabulary) for _ in range(rng.randint(least, most))]


def sequences(rng, vocabulary, ids):
    """Sequences of tokens, of which some continue a row."""
    found = set()
    for _ in range(rng.randint(1, 6)):
        length = rng.randint(1, 4)
        row = ids[rng.randrange(ids.shape[0])].tolist()
        prefix = row[len(row) - length + 1:] if rng.random() < 0.6 and length <= len(row) else some_ids(
            rng, vocabulary, length - 1, length - 1)
        found.add(tuple(prefix[:length - 1]) + (rng.randrange(vocabulary),))
    return sorted(found)


def allowed_tokens(table):
    """What a callback allows: a list for each row, by its batch row and its last token."""
    return lambda batch_id, sentence: table[(batch_id + int(sentence[-1])) % len(table)]


def arguments(rng, name, rows, tokens, vocabulary, ids):
    """Constructor arguments as JSON has them, and tensors."""
    eos = some_ids(rng, vocabulary, 1, 2)
    near = lambda: max(0, tokens + rng.randint(-2, 2))
    if name in WARPERS:
        args = {
            "TopPLogitsWarper": lambda: {"top_p": rng.choice([0.0, 1.0, rng.random()])},
            "TopKLogitsWarper": lambda: {"top_k": rng.randint(1, vocabulary + 3)},
            "TypicalLogitsWarper": lambda: {"mass": rng.uniform(0.05, 0.95)},
            "EpsilonLogitsWarper": lambda: {"epsilon": rng.choice([3e-4, 0.01, 0.2, 0.9])},
            "EtaLogitsWarper": lambda: {"epsilon": rng.choice([3e-4, 0.01, 0.2, 0.9])},
        }[name]()
        if rng.random() < 0.5:
            args["filter_value"] = rng.choice([-1e4, -50.0])
            args["min_tokens_to_keep"] = rng.randint(1, 4)
        return args, {}
    if name == "TemperatureLogitsWarper":
        return {"temperature": rng.choice([0.1, 0.7, 1.0, 3.5])}, {}
    if name == "RepetitionPenaltyLogitsProcessor":
        return {"penalty": rng.choice([0.5, 1.2, 3.0])}, {}
    if name == "EncoderRepetitionPenaltyLogitsProcessor":
        source = random_ids(rng, rng.randint(1, rows), rng.randint(1, 9), vocabulary)
        return {"penalty": rng.choice([0.5, 1.2, 3.0])}, {"source": source}
    if name == "NoRepeatNGramLogitsProcessor":
        return {"ngram_size": rng.randint(1, 4)}, {}
    if name == "EncoderNoRepeatNGramLogitsProcessor":
        batch = rng.choice([n for n in range(1, rows + 1) if rows % n == 0])
        return {"encoder_ngram_size": rng.randint(1, 3)}, {"source": random_ids(rng, batch, rng.randint(1, 20),
                                                                               vocabulary)}
    if name == "SequenceBiasLogitsProcessor":
        return {"sequence_bias": [[list(s), rng.choice([-2.5, 1.0, 7.0, -float(rng.randint(1, 9))])]
                                  for s in sequences(rng, vocabulary, ids)]}, {}
    if name == "NoBadWordsLogitsProcessor":
        words = [list(s) for s in sequences(rng, vocabulary, ids)]
        return {"bad_words_ids": words, "eos_token_id": [i for i in eos if rng.random() < 0.5 or words != [[i]]]}, {}
    if name == "MinLengthLogitsProcessor":
        return {"min_length": near(), "eos_token_id": eos}, {}
    if name == "MinNewTokensLengthLogitsProcessor":
        return {"prompt_length_to_skip": rng.randint(0, tokens), "min_new_tokens": rng.randint(0, 5),
                "eos_token_id": eos}, {}
    if name == "ForcedBOSTokenLogitsProcessor":
        return {"bos_token_id": eos[0]}, {}
    if name == "ForcedEOSTokenLogitsProcessor":
        return {"max_length": near() + 1, "eos_token_id": eos}, {}
    if name == "ExponentialDecayLengthPenalty":
        prompt = rng.randint(0, tokens)
        return {"exponential_decay_length_penalty": [rng.randint(0, 3), rng.choice([1.05, 1.5, 2.0])],
                "eos_token_id": eos, "input_ids_seq_length": prompt}, {}
    if name == "SuppressTokensLogitsProcessor":
        return {"suppress_tokens": some_ids(rng, vocabulary)}, {}
    if name == "SuppressTokensAtBeginLogitsProcessor":
        return {"begin_suppress_tokens": some_ids(rng, vocabulary), "begin_index": near()}, {}
    if name == "ForceTokensLogitsProcessor":
        return {"force_token_map": [[near(), rng.randrange(vocabulary)] for _ in range(3)]}, {}
    if name == "PrefixConstrainedLogitsProcessor":
        return {"num_beams": rng.choice([n for n in range(1, rows + 1) if rows % n == 0]),
                "allowed": [some_ids(rng, vocabulary, 0, 4) for _ in range(5)]}, {}
    assert name in ("InfNanRemoveLogitsProcessor", "LogitNormalization"), name
    return {}, {}


NAMES = WARPERS + (
    "TemperatureLogitsWarper", "RepetitionPenaltyLogitsProcessor", "EncoderRepetitionPenaltyLogitsProcessor",
    "NoRepeatNGramLogitsProcessor", "EncoderNoRepeatNGramLogitsProcessor", "SequenceBiasLogitsProcessor",
    "NoBadWordsLogitsProcessor", "MinLengthLogitsProcessor", "MinNewTokensLengthLogitsProcessor",
    "ForcedBOSTokenLogitsProcessor", "ForcedEOSTokenLogitsProcessor", "ExponentialDecayLengthPenalty",
    "InfNanRemoveLogitsProcessor", "SuppressTokensLogitsProcessor", "SuppressTokensAtBeginLogitsProcessor",
    "ForceTokensLogitsProcessor", "LogitNormalization", "PrefixConstrainedLogitsProcessor",
    "HammingDiversityLogitsProcessor")


def peer_processor(name, args, tensors):
    args = dict(args)
    if name == "SequenceBiasLogitsProcessor":
        args["sequence_bias"] = {tuple(ids): bias for ids, bias in args["sequence_bias"]}
    if name == "PrefixConstrainedLogitsProcessor":
        args["prefix_allowed_tokens_fn"] = allowed_tokens(args.pop("allowed"))
    if "source" in tensors:
        args["encoder_input_ids"] = tensors["source"]
    return getattr(logits_process, name)(**args)


def agree(single, double):
    """Whether rounding to float32 changed nothing that shows."""
    return bool(torch.allclose(single.double(), double, rtol=5e-6, atol=5e-6, equal_nan=True))


def hamming_case(rng):
    groups = rng.randint(2, 4)
    beams, batch, vocabulary = groups * rng.randint(1, 3), rng.randint(1, 3), rng.randint(2, 12)
    index, size = rng.randrange(groups), beams // groups
    args = {"diversity_penalty": rng.choice([0.5, 1.3, 10.0]), "num_beams": beams, "num_beam_groups": groups}
    tensors = {"tokens": random_ids(rng, batch * beams, 1, vocabulary).view(-1)}
    tensors["ids"] = random_ids(rng, batch * size, 3, vocabulary)
    tensors["scores"] = random_scores(rng, batch * size, vocabulary, "HammingDiversityLogitsProcessor")
    processor = logits_process.HammingDiversityLogitsProcessor(**args)
    tensors["out"] = processor(tensors["ids"], tensors["scores"].clone(), tensors["tokens"], index)
    return {"class": "HammingDiversityLogitsProcessor", "args": args, "group": index}, tensors


def processor_case(rng, name):
    """What a case says of itself, and its tensors."""
    if name == "HammingDiversityLogitsProcessor":
        return hamming_case(rng)
    while True:
        rows, vocabulary = rng.randint(1, 6), rng.randint(2, 30)
        tokens = rng.choice([1, 1, 2, 3, rng.randint(1, 24)])
        ids = random_ids(rng, rows, tokens, vocabulary)
        scores = random_scores(rng, rows, vocabulary, name)
        args, tensors = arguments(rng, name, rows, tokens, vocabulary, ids)
        if args.get("min_tokens_to_keep", 1) > vocabulary:
            continue
        try:
            out = peer_processor(name, args, tensors)(ids, scores.clone())
            double = peer_processor(name, args, tensors)(ids, scores.double())
        except ValueError:
            if name != "NoBadWordsLogitsProcessor":
                raise
            continue  # All words are ends of sequence.
        except RuntimeError:
            if name != "TypicalLogitsWarper":
                raise
            continue
        if name != "InfNanRemoveLogitsProcessor" and not agree(out, double):
            continue
        tensors.update(ids=ids, scores=scores, out=out)
        return {"class": name, "args": args}, tensors


def floats(tensor):
    return [float(x) for x in tensor.reshape(-1)]


def beam_options(rng):
    groups = rng.choice([1, 1, 2, 3])
    size = rng.randint(1, 3) if groups > 1 else rng.randint(2, 4)
    beams = groups * size
    prompt, most = rng.randint(1, 4), rng.randint(3, 9)
    vocabulary = rng.randint(2 * size + 4, 24)
    return {
        "batch_size": rng.randint(1, 3), "num_beams": beams, "num_beam_groups": groups,
        "length_penalty": rng.choice([1.0, 0.0, 2.0, -1.0, 0.6]),
        "do_early_stopping": rng.choice([True, False, "never"]),
        "num_beam_hyps_to_keep": rng.randint(1, beams), "max_length": prompt + most,
    }, prompt, vocabulary, some_ids(rng, vocabulary, 0, 2), rng.choice([None, 0, 0, 1])


def beam_case(rng):
    """A search over random scores: every call of the scorer, and what came back."""
    options, prompt, vocabulary, eos, pad = beam_options(rng)
    generator = tensor_seed(rng)
    batch, beams, groups = options["batch_size"], options["num_beams"], options["num_beam_groups"]
    size, limit = beams // groups, options["max_length"]
    with_indices = rng.random() < 0.5 and groups == 1
    scorer = beam_search.BeamSearchScorer(device=DEVICE, **options)
    case = {"options": options, "eos": eos, "pad": pad, "prompt": prompt, "vocabulary": vocabulary, "steps": []}
    ids = torch.randint(0, vocabulary, (batch, prompt), generator=generator).repeat_interleave(beams, 0)
    case["ids"] = ids.tolist()
    scores = torch.full((batch, groups, size), -1e9)
    scores[:, :, 0] = 0
    scores = scores.view(-1)
    indices = tuple(() for _ in range(batch * beams)) if with_indices else None
    case["with_beam_indices"] = with_indices
    likely = rng.choice([0.0, 2.0, 4.0])
    try:
        while True:
            tokens = torch.zeros(batch * beams, dtype=torch.long)
            order = torch.zeros(batch * beams, dtype=torch.long)
            for group in range(groups):
                rows = torch.tensor([b * beams + group * size + i for b in range(batch) for i in range(size)])
                logits = torch.randn(len(rows), vocabulary, generator=generator) * 2
                for i in eos:
                    logits[:, i] += likely
                total = logits.log_softmax(-1) + scores[rows].unsqueeze(-1)
                best, where = total.view(batch, -1).topk(2 * size, dim=1)
                step = {"group": group, "scores": floats(best), "tokens": (where % vocabulary).tolist(),
                        "indices": (where // vocabulary).tolist()}
                case["steps"].append(step)
                out = scorer.process(ids[rows], best, where % vocabulary, where // vocabulary, pad_token_id=pad,
                                     eos_token_id=eos or None, beam_indices=indices, group_index=group)
                step["out"] = {"scores": floats(out["next_beam_scores"]), "tokens": out["next_beam_tokens"].tolist(),
                               "indices": out["next_beam_indices"].tolist(), "is_done": bool(scorer.is_done)}
                scores[rows], tokens[rows] = out["next_beam_scores"], out["next_beam_tokens"]
                order[rows] = rows[out["next_beam_indices"]]
            if indices is not None:
                indices = tuple(indices[int(i)] + (int(i),) for i in order)
            ids = torch.cat([ids[order], tokens.unsqueeze(-1)], -1)
            if scorer.is_done or ids.shape[1] >= limit:
                break
        found = scorer.finalize(ids, scores, tokens, order, max_length=limit, pad_token_id=pad,
                                eos_token_id=eos or None, beam_indices=indices)
    except (ValueError, TypeError):
        case["raises"] = True
        return case
    case["sequences"], case["sequence_scores"] = found["sequences"].tolist(), floats(found["sequence_scores"])
    if with_indices:
        case["beam_indices"] = found["beam_indices"].tolist()
    return case


def random_config(rng):
    """Attributes of a generation config; each changes something with a chance of its own."""
    eos = rng.choice([None, 2, [2, 3]])
    config = {"eos_token_id": eos, "max_length": rng.randint(3, 12)}
    maybe = lambda name, *values, chance=0.3: config.update({name: rng.choice(values)}) if rng.random() < chance else None
    if rng.random() < 0.3:
        config.update(num_beams=4, num_beam_groups=2, diversity_penalty=rng.choice([0.5, 0.0001]))
    else:
        maybe("num_beams", 3)
    maybe("temperature", 0.5, 1.0, None)
    maybe("top_k", 0, 5, None, chance=0.6)
    maybe("top_p", 0.8, 1.0, None)
    maybe("typical_p", 0.9, 1.0)
    maybe("epsilon_cutoff", 0.02, 0.0, 1.0)
    maybe("eta_cutoff", 0.02, 0.0, 1.0)
    maybe("repetition_penalty", 1.5, 1.0)
    maybe("encoder_repetition_penalty", 1.5, 1.0)
    maybe("no_repeat_ngram_size", 2, 0)
    maybe("encoder_no_repeat_ngram_size", 2, 0)
    maybe("bad_words_ids", [[4], [5, 6]])
    maybe("min_length", 6, 0)
    maybe("min_new_tokens", 3, 0)
    maybe("forced_bos_token_id", 1)
    maybe("forced_eos_token_id", 2, [2, 3])
    maybe("remove_invalid_values", True, False)
    if eos is not None:
        maybe("exponential_decay_length_penalty", [1, 1.2])
    maybe("suppress_tokens", [7, 8])
    maybe("begin_suppress_tokens", [9])
    maybe("forced_decoder_ids", [[2, 5], [3, 6]])
    maybe("renormalize_logits", True, False)
    maybe("sequence_bias", [[[1], 2.0], [[2, 3], -4.0]])
    return config


class Peer(GenerationMixin):
    def __init__(self, is_encoder_decoder):
        self.config = types.SimpleNamespace(is_encoder_decoder=is_encoder_decoder, max_position_embeddings=99)


def config_case(rng):
    """Which objects a config makes, and what they make of scores."""
    attributes = random_config(rng)
    given = dict(attributes)
    if given.get("sequence_bias"):
        given["sequence_bias"] = {tuple(ids): bias for ids, bias in given["sequence_bias"]}
    config = GenerationConfig(**given)
    tokens, encoder = rng.randint(1, 6), rng.random() < 0.5
    rows, vocabulary = config.num_beams, 12
    ids = random_ids(rng, rows, tokens, vocabulary)
    scores = random_scores(rng, rows, vocabulary, "")
    source = random_ids(rng, 1, 6, vocabulary)
    prompt = rng.randint(1, tokens)
    case = {"config": attributes, "prompt": prompt, "is_encoder_decoder": encoder}
    tensors = {"ids": ids, "scores": scores, "source": source}
    peer = Peer(encoder)
    try:
        processors = peer._get_logits_processor(config, prompt, source, None, logits_process.LogitsProcessorList())
    except ValueError:
        case["raises"] = True
        return case, tensors
    warpers = peer._get_logits_warper(config)
    case["processors"] = [type(p).__name__ for p in processors]
    case["warpers"] = [type(p).__name__ for p in warpers]
    criteria = peer._get_stopping_criteria(config, [])
    case["stops"] = bool(criteria(ids, None))
    more = {}
    if config.num_beam_groups > 1:
        # As the second group: two beams of four.
        ids, scores = ids[2:], scores[2:]
        tensors.update(ids=ids, scores=scores, tokens=random_ids(rng, 1, rows, vocabulary).view(-1))
        more = {"current_tokens": tensors["tokens"], "beam_group_idx": 1}
    out = []
    try:
        for start in (scores.clone(), scores.double()):
            start = processors(ids, start, **more)
            out.append((start.clone(), warpers(ids, start)))
    except ValueError:
        return None  # EtaLogitsWarper refuses NaN, which ExponentialDecayLengthPenalty can make.
    if not all(agree(single, double) for single, double in zip(*out)):
        return None
    tensors.update(processed=out[0][0], warped=out[0][1])
    return case, tensors


def write_cases(folder, seed, processors, searches, configs):
    """Writes cases: `processors` of each class, and as many searches and configs."""
    import json
    import safetensors.torch
    rng = random.Random(seed)
    listed, tensors = {"processors": [], "configs": []}, {}

    def put(kind, case, its_tensors):
        name = f"{kind}.{len(listed[kind])}"
        listed[kind].append(case)
        tensors.update({f"{name}.{key}": value.clone().contiguous() for key, value in its_tensors.items()})

    for name in NAMES:
        for _ in range(processors):
            put("processors", *processor_case(rng, name))
    while len(listed["configs"]) < configs:
        case = config_case(rng)
        if case is not None:
            put("configs", *case)
    folder.mkdir(parents=True, exist_ok=True)
    lines = lambda cases: "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"
    (folder / "processors.json").write_text(lines(listed["processors"]))
    (folder / "processor_configs.json").write_text(lines(listed["configs"]))
    (folder / "beam_searches.json").write_text(lines([beam_case(rng) for _ in range(searches)]))
    safetensors.torch.save_file(tensors, str(folder / "processors.safetensors"))

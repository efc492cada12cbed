"""Language models: counts against a slow version from the paper, the network against transformers' Llama, decoding."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.support.training import train_texts
from tolerate.errors import DataError, OptionError, RunError
from tolerate.models.base import generator, torch_seed
from tolerate.models.storage import load
from tolerate.models.texts.blend import Blend
from tolerate.models.texts.contexts import contexts_after, script_of
from tolerate.models.texts.decoding import Decoding, decode, restrict_choices
from tolerate.models.texts.kneser_ney import (
    KneserNey,
    bits_per_character,
    blocks_of,
    fit_kneser_ney,
    fit_order,
)
from tolerate.models.texts.language import END, PAD, LanguageModel, log_likelihoods
from tolerate.models.texts.lstm import LSTM
from tolerate.models.texts.tokenizers import load_vocabulary
from tolerate.models.texts.tokens import Tokens, characters, learn_tokens
from tolerate.models.texts.transformer import Transformer
from tolerate.models.training.muon import Muon, orthogonalize
from tolerate.models.training.plan import TrainingOptions
from tolerate.models.writers.writing import load_writer, perplexity, teach_writer, write

TEXT = np.array(["abcdr".index(sign) for sign in "abracadabraabracadabracabbadabraabacadabra"])


def slow(
    text: np.ndarray,
    model: KneserNey,
    context: tuple[int, ...],
    token: int,
    excluded: range = range(0),
) -> float:
    """Chen and Goodman's equation 27 straight from the counts; without what ends at the places `gone`."""
    n, vocabulary = model.order, model.vocabulary
    grams = [tuple(text[end - n + 1 : end + 1]) for end in range(n - 1, len(text)) if end not in excluded]
    counts: dict[int, dict[tuple[int, ...], int]] = {n: {}}
    for gram in grams:
        counts[n][gram] = counts[n].get(gram, 0) + 1
    for size in range(n - 1, 0, -1):
        counts[size] = {}
        for gram in counts[size + 1]:
            counts[size][gram[1:]] = counts[size].get(gram[1:], 0) + 1

    def answer(past: tuple[int, ...]) -> float:
        if not past:
            smoothed = [counts[1].get((other,), 0) + 0.5 for other in range(vocabulary)]
            return float(smoothed[token] / sum(smoothed))
        order, size = model.orders[len(past) - 1], len(past) + 1
        counts_after = {gram[-1]: count for gram, count in counts[size].items() if gram[:-1] == past}
        if not counts_after:
            return answer(past[1:])
        discounts = {
            other: float(order.discounts[min(count, 3) - 1]) for other, count in counts_after.items()
        }
        discounted = counts_after.get(token, 0) - discounts.get(token, 0.0)
        return (discounted + sum(discounts.values()) * answer(past[1:])) / sum(counts_after.values())

    assert vocabulary > token
    return answer(context)


def test_counts_answer_as_the_paper_says() -> None:
    model = fit_kneser_ney(TEXT, 5, 4)
    probabilities = model(TEXT)
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)
    for position in range(3, 30):
        for token in range(5):
            expected = slow(TEXT, model, tuple(TEXT[position - 3 : position]), token)
            assert probabilities[position, token] == pytest.approx(expected, abs=1e-5)


def test_answers_without_a_block_are_those_of_counts_without_it() -> None:
    model = fit_kneser_ney(TEXT, 5, 4, blocks=3)
    pieces = blocks_of(len(TEXT), 3)
    contexts = model.contexts(TEXT)
    answers = [answer for answer, _ in model.predictions(contexts, pieces)]
    naive = model.predictions(contexts)[-1][0]
    assert np.allclose(naive, fit_kneser_ney(TEXT, 5, 4)(TEXT), atol=1e-6)
    assert np.allclose([answer.sum(1) for answer in answers], 1, atol=1e-5)
    differences = 0
    for position in range(3, len(TEXT)):
        excluded = range(*np.flatnonzero(pieces == pieces[position])[[0, -1]] + [0, 1])
        for token in range(5):
            expected = slow(TEXT, model, tuple(TEXT[position - 3 : position]), token, excluded)
            assert answers[-1][position, token] == pytest.approx(expected, abs=1e-5)
            differences += abs(naive[position, token] - expected) > 1e-3
    assert differences > 60  # answers that still know the block would be caught


def test_known_is_what_a_recount_knows() -> None:
    contexts, tokens = np.arange(400) * 7 % 11, np.arange(400) * 5 % 8 // 2
    order, pieces = fit_order(contexts, tokens, 4, blocks=5), blocks_of(400, 5)
    probabilities = np.full((400, 4), 0.25, np.float32)
    features = order.interpolate(probabilities, contexts + (contexts == 3) * 50, pieces)
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)
    for index in range(0, 400, 7):
        others = tokens[(contexts == contexts[index]) & (pieces != pieces[index])]
        unseen = contexts[index] == 3
        assert features[index, 0] == (0 if unseen else len(others))
        assert features[index, 1] == (0 if unseen else len(set(others)))
        assert features[index, 2] == (
            1 if unseen else pytest.approx(1 - sum(probabilities[index] - features[index, 2] / 4), abs=1e-5)
        )


def test_contexts_are_equal_where_what_stands_before_is() -> None:
    text = "To be, or not to be:\nthat is the question: to be\nOr not. To be, or not to\nbe. " * 2
    signs = {sign: number_of_sign for number_of_sign, sign in enumerate(sorted(set(text)), 3)}
    script = script_of(signs, len(signs) + 3)
    tokens = np.array([signs[sign] for sign in text])
    all_numbers = contexts_after(tokens, script)
    for position in range(60, len(text) - 1, 9):  # what a window says does not depend on what it cannot reach
        for kind, numbers in contexts_after(tokens[position - 50 : position + 1], script).items():
            assert numbers[0, -1] == all_numbers[kind][0, position], kind
    read = {
        kind: [_read(text[: position + 1])[kind] for position in range(len(text))] for kind in all_numbers
    }
    for kind, meant in read.items():
        pairs = {(number, sense) for number, sense in zip(all_numbers[kind][0].tolist(), meant, strict=True)}
        assert len(pairs) == len({number for number, _ in pairs}) == len({sense for _, sense in pairs}), kind


def _read(text: str) -> dict[str, tuple[str, ...]]:
    """The contexts at the end of a text, found letter by letter."""
    words = re.split(r"[^A-Za-z'-]+", text.lower())
    now, previous, earlier = [*reversed(words), "", "", ""][:3]
    line = str(len(text) - 1 - text.rfind("\n")) if "\n" in text else ""
    last = [*reversed(text), "", "", "", ""]
    outside = text[: len(text) - len(now)]
    return {
        "two words": (now, previous),
        "three words": (now, previous, earlier),
        "word, one between": (now, earlier),
        "word and sign": (now, outside[-1:].lower(), outside[-2:-1].lower()),
        "column and two": (line, *last[:2]),
        "one left out": tuple(last[1:4]),
    }


def test_counts_refuse_what_they_cannot_count() -> None:
    with pytest.raises(DataError, match="needs 8"):
        fit_kneser_ney([0, 1], 2, 7)
    with pytest.raises(OptionError, match="does not fit"):
        fit_kneser_ney([0] * 99, 2**20, 7)
    with pytest.raises(DataError, match="expected 0 to 1"):
        fit_kneser_ney([0, 5] * 9, 2, 3)
    assert bits_per_character(["abab"] * 20, ["abab"]) < bits_per_character(["abab"] * 20, ["bbaa"])


def test_counts_on_shakespeare(shared: Path) -> None:
    text = (shared / "raw" / "tiny_shakespeare" / "input.txt").read_text("utf-8")
    signs = {sign: number for number, sign in enumerate(sorted(set(text)))}
    numbers = np.array([signs[sign] for sign in text])
    cut = int(0.9 * len(numbers))
    model = fit_kneser_ney(numbers[:cut], len(signs), 7)
    assert -model.log_likelihoods(numbers[cut:]).mean() == pytest.approx(1.5164, abs=0.001)


def test_the_transformer_is_transformers_llama() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=23,
        hidden_size=16,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=40,
        rms_norm_eps=1e-6,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    theirs = transformers.LlamaForCausalLM(config).eval()
    ours = Transformer(39, 23, width=16, layers=2, heads=2, inner=48).eval()
    state = theirs.state_dict()
    names = {
        "query": "self_attn.q_proj",
        "key": "self_attn.k_proj",
        "value": "self_attn.v_proj",
        "out": "self_attn.o_proj",
    }
    names |= {"gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}
    names |= {"before": "input_layernorm", "between": "post_attention_layernorm"}
    weights = {"table.weight": state["model.embed_tokens.weight"], "head.weight": state["lm_head.weight"]}
    weights["norm.weight"] = state["model.norm.weight"]
    for layer in range(2):
        for name, llama_name in names.items():
            weights[f"blocks.{layer}.{name}.weight"] = state[f"model.layers.{layer}.{llama_name}.weight"]
    ours.load_state_dict(weights)
    tokens = torch.randint(1, 23, (3, 30))
    with torch.no_grad():
        assert torch.allclose(ours(tokens), theirs(tokens).logits, atol=1e-4)


SMALL = {
    "transformer": lambda: Transformer(40, 12, width=16, layers=2, heads=2),
    "hashed": lambda: Transformer(40, 12, width=16, layers=2, heads=2, hashed=64),
    "pointer": lambda: Transformer(40, 12, width=16, layers=2, heads=2, hashed=64, pointer=True),
    "lstm": lambda: LSTM(40, 12, width=16, layers=2),
}


def small(name: str) -> LanguageModel:
    """A small model whose weights are all alive."""
    with torch_seed(1):
        model: LanguageModel = SMALL[name]()
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


@pytest.mark.parametrize("name", SMALL)
def test_token_by_token_is_as_the_whole(name: str) -> None:
    """Prompts of different lengths together, continued a token at a time, give the logits of each alone."""
    model = small(name)
    rng = torch.Generator().manual_seed(3)
    texts = [torch.randint(3, 12, (length,), generator=rng) for length in (9, 5, 12)]
    with torch.no_grad():
        state, logits = model.begin([text[:-3] for text in texts])
        for step in range(3):
            for row, text in enumerate(texts):
                expected = model(text[None, : len(text) - 3 + step])[0, -1]
                assert torch.allclose(logits[row].log_softmax(-1), expected.log_softmax(-1), atol=1e-4)
            state, logits = model.advance(state, torch.stack([text[len(text) - 3 + step] for text in texts]))
        two_rows, _ = model.advance(model.keep(state, torch.tensor([2, 0])), torch.tensor([4, 4]))
        assert two_rows is not state


@pytest.mark.parametrize("name", SMALL)
def test_what_comes_later_never_matters(name: str) -> None:
    model = small(name)
    tokens = torch.randint(3, 12, (2, 20), generator=torch.Generator().manual_seed(0))
    other = tokens.clone()
    other[:, 12:] = 5
    with torch.no_grad():
        assert torch.allclose(model(tokens)[:, :12], model(other)[:, :12], atol=1e-5)


def test_the_pointer_gives_a_distribution_and_filling_gets_nothing() -> None:
    model = small("pointer")
    tokens = F.pad(torch.randint(3, 12, (2, 15)), (0, 5), value=PAD)
    with torch.no_grad():
        assert torch.allclose(model(tokens).exp().sum(-1)[:, :15], torch.ones(2, 15), atol=1e-4)


def test_answers_alone_are_learned_and_filling_never() -> None:
    model = small("transformer")
    rows = torch.tensor([[5, 6, 2, 7, 8, END, PAD, PAD], [5, 2, 7, 8, 9, 9, 9, END]])
    with torch.no_grad():
        loss = model.loss(rows, torch.tensor([3, 2]))
        logprobs = log_likelihoods(model, rows)
    expected = torch.cat([logprobs[0, 2:5], logprobs[1, 1:7]])
    assert float(loss) == pytest.approx(-float(expected.mean()), abs=1e-5)


def test_rows_that_do_not_fit_are_refused() -> None:
    model = SMALL["transformer"]()
    for rows, message in ((torch.zeros(3, 60), "whole numbers"), (torch.full((3, 60), 4), "too long")):
        with pytest.raises(DataError, match=message):
            train_texts(model, rows, torch.zeros(3), steps=1)
    with pytest.raises(DataError, match="another tokenizer"):
        train_texts(model, torch.full((3, 9), 30), torch.zeros(3), steps=1)


@pytest.mark.parametrize("name", ["pointer", "blend"])
def test_a_training_that_was_killed_ends_with_the_same_weights(tmp_path: Path, name: str) -> None:
    class Killed(Exception):
        pass

    def kill(progress: object) -> None:
        if progress.step == 6:
            raise Killed

    def taught(folder: Path, on_progress: object = None) -> dict[str, torch.Tensor]:
        with torch_seed(5):
            model = SMALL["pointer"]() if name == "pointer" else Blend(20, 12, width=16, layers=1, heads=2)
        tokens = torch.randint(3, 12, (800,), generator=torch.Generator().manual_seed(1)).int()
        lessons = tokens.view(40, 20), torch.zeros(40, dtype=torch.long)
        if isinstance(model, Blend):
            model.count(tokens)
            lessons = model.lessons()
        options = {"steps": 12, "batch": 8, "checkpoint_seconds": 0, "seed": 2, "every": 2}
        return train_texts(
            model, *lessons, folder=folder, on_progress=on_progress, **options
        ).model.state_dict()

    uninterrupted = taught(tmp_path / "a")
    with pytest.raises(Killed):
        taught(tmp_path / "b", kill)
    continued = taught(tmp_path / "b")
    assert all(torch.equal(uninterrupted[key], continued[key]) for key in uninterrupted)


# Decoding


def test_greedy_takes_the_likeliest_and_beams_are_never_less_likely() -> None:
    model = small("transformer")
    prompts = [torch.tensor([2, 5, 6]), torch.tensor([2, 9])]
    greedy = decode(model, prompts, Decoding(limit=12, temperature=0), generator(0))
    repeated = decode(model, prompts, Decoding(limit=12, temperature=0), generator(9))
    beams = decode(model, prompts, Decoding(limit=12, beams=6), generator(0))
    assert greedy == repeated
    assert all(beam.mean >= plain.mean - 1e-6 for beam, plain in zip(beams, greedy, strict=True))
    state = torch.cat([prompts[0], torch.tensor(greedy[0].tokens)])
    with torch.no_grad():
        logprobs = log_likelihoods(model, state[None])[0, 2:]
    assert np.allclose(
        logprobs[: len(greedy[0].tokens)], greedy[0].logprobs[: len(greedy[0].tokens)], atol=1e-4
    )


def test_beam_search_finds_the_best_of_all_short_texts() -> None:
    """With a beam as wide as there are texts it must find the best by mean log probability, as enumeration does."""
    with torch_seed(1):
        model = Transformer(12, 5, width=8, layers=1, heads=1)
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.7)
    model.eval()
    prompt = torch.tensor([2, 3])
    best = -math.inf
    for size in (1, 2, 3):
        for number in range(5**size):
            text = [number // 5**position % 5 for position in range(size)]
            if END in text[:-1] or (size < 3 and text[-1] != END):
                continue
            with torch.no_grad():
                logprobs = log_likelihoods(model, torch.cat([prompt, torch.tensor(text)])[None])[0, 1:]
            best = max(best, float(logprobs.mean()))
    beam = decode(model, [prompt], Decoding(limit=3, beams=125), generator(0))[0]
    assert beam.mean == pytest.approx(best, abs=1e-4)


def test_sampling_follows_the_probabilities() -> None:
    model = small("lstm")
    prompt = torch.tensor([2, 7])
    with torch.no_grad():
        expected = model.begin([prompt])[1][0].softmax(-1).numpy()
    texts = decode(model, [prompt] * 4000, Decoding(limit=1), generator(4), batch=4000)
    tokens = [END if text.ended else text.tokens[0] for text in texts]
    shares = np.bincount(tokens, minlength=12) / 4000
    assert np.abs(shares - expected).max() < 4.5 * 0.5 / 4000**0.5  # no false alarm in thousands of runs


def test_narrowing_keeps_what_it_should() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()

    def allowed(**options: float) -> list[int]:
        return torch.nonzero(restrict_choices(logits, Decoding(**options))[0] > -torch.inf)[:, 0].tolist()

    assert allowed(top_k=2) == [0, 1] and allowed(top_p=0.5) == [0] and allowed(top_p=0.6) == [0, 1]
    assert allowed(min_p=0.25) == [0, 1, 2] and allowed() == [0, 1, 2, 3] and allowed(top_p=1e-9) == [0]


def test_contrastive_search_repeats_less_than_greedy() -> None:
    model = small("transformer")
    prompts = [torch.tensor([2, token]) for token in range(3, 11)]

    def variety(how: Decoding) -> int:
        return sum(len(set(text.tokens)) for text in decode(model, prompts, how, generator(0)))

    assert variety(Decoding(limit=25, contrast=0.6, top_k=4)) > variety(Decoding(limit=25, temperature=0))


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"temperature": -1}, {"top_p": 0}, {"min_p": 1}, {"beams": 0}]
)
def test_a_decoding_that_means_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        Decoding(**wrong)


# Muon, the blend, tokens, writers


def test_orthogonal_keeps_the_directions() -> None:
    matrix = torch.randn(1, 6, 9, generator=torch.manual_seed(0))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    orthogonal = orthogonalize(matrix, steps=8)
    along = (left.mT @ orthogonal @ right.mT)[0]
    assert float((along - along.diag().diag()).abs().max()) < 1e-3
    assert float((along.diag() - 1).abs().max()) < 0.35


def test_muon_steps_alike_alone_or_with_others() -> None:
    weights = [torch.nn.Parameter(torch.randn(4, 6, generator=torch.manual_seed(seed))) for seed in range(3)]
    single = torch.nn.Parameter(weights[1].detach().clone())
    for weight in (*weights, single):
        weight.grad = torch.ones(4, 6).tril() * 0.1
    Muon(weights).step()
    Muon([single]).step()
    assert torch.allclose(single, weights[1], atol=1e-6)


def test_a_blend_begins_as_counts_and_learns_beyond_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    text = torch.tensor(np.repeat(rng.integers(3, 9, 300), 3))
    with torch_seed(0):
        blend = Blend(20, 9, order=4, parts=3, width=16, layers=1, heads=2)
    with pytest.raises(RunError, match="counted nothing"):
        blend(text[None, :10])
    blend.count(text)
    blend.eval()
    with torch.no_grad():
        probabilities = blend(text[None, :20]).log_softmax(-1)[0, 5:].exp()
    counted = fit_kneser_ney(text.numpy(), 9, 4)
    expected = counted(torch.cat([text[:20], text[:1]]).numpy(), 1)[5:]
    assert np.allclose(probabilities.numpy(), expected, atol=1e-4)
    rows, positions = blend.lessons(1)
    with pytest.raises(DataError, match="not from the text"):
        train_texts(blend, rows, positions * 0, steps=1)
    trained = train_texts(blend, rows, positions, steps=60, batch=16, seed=0, folder=tmp_path / "b")
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]
    loaded = load(tmp_path / "b", Blend)
    with torch.no_grad():
        assert torch.allclose(loaded(text[None, :20]), blend.eval()(text[None, :20]), atol=1e-5)


def test_a_blend_of_words_and_lines_reads_on_and_comes_back_from_a_folder(tmp_path: Path) -> None:
    text = "To be, or not to be:\nthat is the question: to be\nOr not. To be, or not to\nbe. " * 20
    signs = {sign: number for number, sign in enumerate(sorted(set(text)), 3)}
    tokens, size = torch.tensor([signs[sign] for sign in text]), len(signs) + 3
    with torch_seed(0):
        blend = Blend(16, size, script=script_of(signs, size), order=5, parts=4, width=16, layers=1, heads=2)
    blend.count(tokens)
    train_texts(blend, *blend.lessons(1), steps=30, batch=16, seed=0, folder=tmp_path / "b")
    loaded = load(tmp_path / "b", Blend)
    rows = tokens.unfold(0, 16, 7)[:9]
    with torch.no_grad():
        assert torch.equal(loaded(rows), blend(rows))
        state, logits = loaded.begin([row[:8] for row in rows])
        for number in range(8, 16):
            state, logits = loaded.advance(state, rows[:, number])
        assert torch.allclose(logits, loaded(rows)[:, -1], atol=1e-4)


def test_tokens_lose_nothing(tmp_path: Path) -> None:
    texts = ["The area is 572.01, normal.", "床前明月光，疑是地上霜。", "a  b\n\tc £20-25 it's", ""]
    for tokens in (learn_tokens(texts, min_count=1), learn_tokens(texts, max_size=1), characters(texts)):
        assert [tokens.decode(tokens.encode(text)) for text in texts] == texts
    assert tokens.decode(tokens.encode("a€")) == "a\N{REPLACEMENT CHARACTER}"
    tokens.save(tmp_path / "t.json")
    assert load_vocabulary(tmp_path / "t.json") == tokens
    with pytest.raises(DataError, match="empty"):
        learn_tokens([""])


def test_a_writer_learns_to_copy_and_a_foreign_tokenizer_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = [" ".join(rng.choice(list("abcdefgh"), 3)) for _ in range(400)]
    pairs = [(word, word) for word in words]
    options = {"width": 16, "layers": 1, "heads": 1, "hashed": 64, "pointer": True, "table_rate": 0.03}
    teach_writer(
        "tolerate.models.texts.transformer:Transformer",
        pairs,
        tmp_path,
        TrainingOptions(steps=250, batch=32),
        model=options,
    )
    texts = write(tmp_path, words[:20], 2, 0, Decoding(temperature=0.3, limit=50))
    assert np.mean([text.text == word for row, word in zip(texts, words, strict=False) for text in row]) > 0.7
    assert texts == write(tmp_path, words[:20], 2, 0, Decoding(temperature=0.3, limit=50))
    assert perplexity(tmp_path, pairs[:20])[0] < 2
    with pytest.raises(DataError, match="shorten the prompt"):
        write(tmp_path, ["a b c d e f g h a b c d e f g h a b c d e f g h a b c d e f g h"], 1, 0)
    Tokens(("<fill>", "<end>", "<start>", "\N{REPLACEMENT CHARACTER}", "a")).save(tmp_path / "tokens.json")
    load_writer.cache_clear()
    with pytest.raises(DataError, match="do not fit"):
        load_writer(tmp_path)
    with pytest.raises(DataError, match="no texts"):
        teach_writer("tolerate.models.texts.lstm:LSTM", [], tmp_path)

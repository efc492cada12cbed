"""Architectures trained from nothing: BPE, the encoder-decoder, the pretrained encoder, Llama there and back."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.intents import topic_texts, write_desk_data
from tests.support.tiny_pretrained import save_encoder
from tests.support.training import train_texts
from tolerate.errors import DataError, OptionError
from tolerate.jobs import job
from tolerate.models.base import generator, torch_seed
from tolerate.models.pretrained.llama import from_llama, to_llama
from tolerate.models.storage import load
from tolerate.models.texts.bert import (
    Bert,
    exchange_second_parts,
    learn_pieces,
    mask_pieces,
    pretrain,
    rows_of,
    split_in_two,
)
from tolerate.models.texts.bpe import BPE, learn_bpe
from tolerate.models.texts.corpus import read_lines
from tolerate.models.texts.decoding import Decoding, decode
from tolerate.models.texts.language import END, PAD, START, LanguageModel, log_likelihoods
from tolerate.models.texts.lstm import LSTM
from tolerate.models.texts.t5 import T5
from tolerate.models.texts.tokenizers import learn_vocabulary, load_vocabulary
from tolerate.models.texts.tokens import UNKNOWN
from tolerate.models.texts.transformer import Transformer
from tolerate.models.training.plan import TrainingOptions
from tolerate.models.writers.registry import parse_settings, writer
from tolerate.models.writers.text_classifier import ClassifierNetwork, load_text_reader, teach_encoder
from tolerate.models.writers.writing import load_writer, perplexity, teach_writer, write
from tolerate.runs.options import RunOptions
from tolerate.runs.pipeline import run

SPAN = "tolerate.models.texts.t5:T5"
SMALL = {"width": 16, "layers": 1, "heads": 2}
NASTY = [
    "",
    " ",
    "a\x00b\r\n\tc  d",
    "12.50 £ and 0.1",
    "<end> <start> <fill> <unknown>",
    "床前明月光，疑是地上霜。",
    "e\u0301 é \u200d \U0001f469\u200d\U0001f680 \U0010ffff",
]


@pytest.fixture(scope="module")
def pieces() -> BPE:
    return learn_bpe(["the cat sat on the mat", "that is the hat", "床前明月光"] * 3, size=290)


# BPE


def test_bpe_loses_nothing_and_specials_in_a_text_are_text(pieces: BPE, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    signs = [sign for sign in rng.integers(0, 0x110000, 600) if not 0xD800 <= sign < 0xE000]
    for text in (*NASTY, "".join(map(chr, signs))):
        numbers = pieces.encode(text)
        assert pieces.decode(numbers) == text
        assert all(number > UNKNOWN for number in numbers)
    assert len(pieces.encode("the the the")) <= 6 < len("the the the")
    pieces.save(tmp_path / "tokens.json")
    loaded = load_vocabulary(tmp_path / "tokens.json")
    assert loaded == pieces and len(loaded) == len(pieces) == 290
    assert [loaded.encode(text) for text in NASTY] == [pieces.encode(text) for text in NASTY]
    assert pieces.decode([START, *pieces.encode("hat"), END, PAD]) == "hat"


def test_bpe_is_the_same_for_the_same_texts_and_bounded() -> None:
    texts = ["abc abd abe", "xyz"] * 5
    assert learn_bpe(iter(texts), size=270) == learn_bpe(texts, size=270)
    assert len(learn_bpe(["a"], size=1000)) == 260  # no pair to join
    assert learn_vocabulary("bpe:270", texts) == learn_bpe(texts, size=270)
    assert learn_vocabulary("bpe", texts).encode("abc")
    for invalid in (lambda: learn_bpe(texts, size=100), lambda: learn_vocabulary("bpe:12", texts)):
        with pytest.raises(OptionError, match="too small"):
            invalid()
    with pytest.raises(OptionError, match="no tokens are called"):
        learn_vocabulary("wordpiece", texts)


@pytest.mark.parametrize("kind", ["words", "characters", "bpe:300"])
def test_empty_corpora_are_refused(kind: str) -> None:
    for texts in ([], ["", ""]):
        with pytest.raises(DataError, match="empty"):
            learn_vocabulary(kind, texts)


def test_half_a_surrogate_is_no_text(pieces: BPE) -> None:
    with pytest.raises(DataError, match="another encoding"):
        pieces.encode("ab\ud800")
    with pytest.raises(DataError, match="another encoding"):
        learn_bpe(["ab\udcff"])


def test_a_vocabulary_from_elsewhere_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    path = tmp_path / "tokens.json"
    path.write_text(Tokenizer(models.BPE({"a": 0, "b": 1}, [])).to_str())
    with pytest.raises(DataError, match="begins with"):
        load_vocabulary(path)
    path.write_text('{"model": {"type": "BPE"}}')
    with pytest.raises(DataError, match="no vocabulary of the tokenizers library"):
        load_vocabulary(path)
    path.write_text('["a"]')
    with pytest.raises(DataError, match="train the model again"):
        load_vocabulary(path)


PAIRS = [(word, word[::-1]) for word in ("cab", "bad", "dab", "ace", "bead", "fade", "face", "deaf") * 4]


def test_a_writer_with_bpe_and_a_tokenizer_that_does_not_fit(tmp_path: Path) -> None:
    path = "tolerate.models.texts.transformer:Transformer"
    teach_writer(
        path, PAIRS, tmp_path, tokens="bpe:265", model=SMALL, options=TrainingOptions(steps=60, batch=16)
    )
    ppl, bits = perplexity(tmp_path, PAIRS[:8])
    assert ppl > 1 and bits > 0
    texts = write(tmp_path, ["cab", "猫 never seen"], 1, 0, Decoding(limit=8))
    assert [len(row) for row in texts] == [1, 1]
    learn_bpe(["other words"] * 9, size=262).save(tmp_path / "tokens.json")
    load_writer.cache_clear()
    with pytest.raises(DataError, match="do not fit"):
        load_writer(tmp_path)


@pytest.mark.parametrize("name", ["transformer", "t5", "lstm"])
def test_one_line_is_a_corpus_too(name: str, tmp_path: Path) -> None:
    plan = writer(name)
    options = {"width": 8} if name == "lstm" else {**plan.options, **SMALL}
    teach_writer(
        plan.entry.path,
        [("a", "the only line")],
        tmp_path,
        tokens="bpe:300",
        model=options,
        options=TrainingOptions(steps=2),
    )
    assert np.isfinite(perplexity(tmp_path, [("什么", "never seen 床")])).all()
    assert write(tmp_path, ["什么"], 1, 0, Decoding(limit=3))


def test_bits_count_what_a_vocabulary_lacks(tmp_path: Path) -> None:
    """A sign that is unknown costs what it takes to name it, so that knowing little never looks good."""
    teach_writer(
        "tolerate.models.texts.lstm:LSTM",
        PAIRS,
        tmp_path,
        tokens="characters",
        model={"width": 8},
        options=TrainingOptions(steps=5),
    )
    known_bits, unknown_bits = (perplexity(tmp_path, [("cab", answer)])[1] for answer in ("bac", "床床床"))
    assert unknown_bits > known_bits + 15


# Names with settings


def test_a_writers_name_holds_its_settings() -> None:
    plan = writer("transformer#tokens=bpe:500+hashed=0+pointer=false+steps=7+table_rate=0.01")
    assert plan.tokens == "bpe:500" and plan.steps == 7
    assert plan.options["hashed"] == 0 and plan.options["pointer"] is False
    assert plan.options["table_rate"] == 0.01 and "tokens" not in plan.options
    assert "tokens bpe:500" in plan.entry.title
    assert writer("transformer").tokens == "words" and writer("t5").entry.family == "encoder-decoder"
    for invalid in ("a", "a=", "=3", "a=1+", "1=2"):
        with pytest.raises(OptionError, match="no setting"):
            parse_settings(invalid)
    with pytest.raises(OptionError, match="no writer is called"):
        writer("t6#width=3")


# The encoder-decoder


def t5(pointer: bool = True) -> T5:
    """A small one whose weights are all alive."""
    with torch_seed(1):
        model = T5(40, 12, width=16, layers=2, heads=2, pointer=pointer)
        for name, weight in model.named_parameters():
            if "norm" not in name:
                torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


def prompts_with_answers(lengths: tuple[int, ...], answer: int, seed: int = 3) -> list[torch.Tensor]:
    """Prompts of these lengths, a start, and some of an answer."""
    rng = torch.Generator().manual_seed(seed)
    start = torch.tensor([START])
    return [
        torch.cat(
            [
                torch.randint(3, 12, (length,), generator=rng),
                start,
                torch.randint(3, 12, (answer,), generator=rng),
            ]
        )
        for length in lengths
    ]


@pytest.mark.parametrize("pointer", [False, True])
def test_token_by_token_is_as_the_whole(pointer: bool) -> None:
    model = t5(pointer)
    texts = prompts_with_answers((9, 0, 5), 5)
    answer_lengths = [0, 2, 1]  # how much of the answer each prompt holds already
    with torch.no_grad():
        state, logits = model.begin(
            [
                text[: len(text) - 5 + answer_length]
                for text, answer_length in zip(texts, answer_lengths, strict=True)
            ]
        )
        for step in range(3):
            for row, (text, answer_length) in enumerate(zip(texts, answer_lengths, strict=True)):
                expected = model(text[None, : len(text) - 5 + answer_length + step])[0, -1]
                assert torch.allclose(logits[row].log_softmax(-1), expected.log_softmax(-1), atol=1e-4)
            following = [
                text[len(text) - 5 + answer_length + step]
                for text, answer_length in zip(texts, answer_lengths, strict=True)
            ]
            before = state
            state, logits = model.advance(before, torch.stack(following))
        repeated, _ = model.advance(before, torch.stack(following))  # a state may be read on from twice
        assert torch.equal(repeated.last, state.last)
        two_rows, two_logits = model.advance(model.keep(state, torch.tensor([2, 0])), torch.tensor([4, 4]))
        all_rows, all_logits = model.advance(state, torch.tensor([4, 4, 4]))
        assert torch.allclose(two_logits, all_logits[[2, 0]], atol=1e-5)
        assert two_rows.answer_tokens.shape[0] == 2 and all_rows.answer_tokens.shape[0] == 3


def test_it_is_the_librarys_t5() -> None:
    """Encoder, decoder and last layer give what T5Model does when it is called as a whole."""
    model = t5(pointer=False)
    (text,) = prompts_with_answers((7,), 6)
    prompt, answer = text[:7], text[7:]
    with torch.no_grad():
        theirs = model.core(
            input_ids=torch.cat([prompt, torch.tensor([END])])[None], decoder_input_ids=answer[None]
        )
        assert torch.allclose(model(text[None])[0, 7:], model.head(theirs.last_hidden_state)[0], atol=1e-5)


def test_the_answer_sees_all_of_the_prompt_and_nothing_that_comes_later() -> None:
    model = t5()
    (text,) = prompts_with_answers((8,), 8)
    later, other = text.clone(), text.clone()
    later[13:] = 5
    other[7] = 3 if text[7] != 3 else 4
    with torch.no_grad():
        logits, of_later, of_other = (model(tokens[None])[0] for tokens in (text, later, other))
    assert torch.allclose(logits[:13], of_later[:13], atol=1e-5)
    assert float((logits[9] - of_other[9]).abs().max()) > 1e-3
    assert torch.equal(logits[:8], torch.zeros(8, 12))  # of the prompt's tokens nothing is said


def test_rows_of_different_lengths_learn_as_each_alone() -> None:
    model = t5()
    texts = [
        torch.cat([text, torch.tensor([END])])
        for text in (*prompts_with_answers((9,), 3), *prompts_with_answers((2,), 6, 4))
    ]
    rows = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=PAD)
    starts = torch.tensor([10, 3])
    with torch.no_grad():
        together = float(model.loss(rows, starts))
        single = [
            log_likelihoods(model, text[None])[0, start - 1 :]
            for text, start in zip(texts, starts.tolist(), strict=True)
        ]
    assert together == pytest.approx(-float(torch.cat(single).mean()), abs=1e-5)


def test_decoding_as_every_other_writer() -> None:
    model = t5()
    prompts = [text[:-2] for text in prompts_with_answers((6, 3), 2)]
    greedy = decode(model, prompts, Decoding(limit=9, temperature=0), generator(0))
    beams = decode(model, prompts, Decoding(limit=9, beams=5), generator(0))
    assert all(beam.mean >= plain.mean - 1e-6 for beam, plain in zip(beams, greedy, strict=True))
    assert decode(model, prompts, Decoding(limit=9, contrast=0.5), generator(0))
    text = torch.cat([prompts[0], torch.tensor(greedy[0].tokens)])
    with torch.no_grad():
        logprobs = log_likelihoods(model, text[None])[0, len(prompts[0]) - 1 :]
    count = len(greedy[0].tokens)
    assert np.allclose(logprobs[:count], greedy[0].logprobs[:count], atol=1e-4)
    assert decode(model, prompts, Decoding(limit=9), generator(2)) == decode(
        model, prompts, Decoding(limit=9), generator(2)
    )


def test_running_text_without_a_start_is_refused() -> None:
    with pytest.raises(DataError, match="no start of an answer"):
        train_texts(T5(20, 9, **SMALL), torch.full((4, 9), 5), torch.zeros(4), steps=1)
    with pytest.raises(OptionError, match="does not divide"):
        T5(20, 9, width=15, heads=2)


def test_it_learns_to_answer(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = [" ".join(rng.choice(list("abcdefgh"), 3)) for _ in range(300)]
    pairs = [(word, word) for word in words]
    options = {"width": 16, "layers": 1, "heads": 1, "pointer": True, "table_rate": 0.03}
    teach_writer(SPAN, pairs, tmp_path, model=options, options=TrainingOptions(steps=200, batch=32))
    texts = write(tmp_path, words[:20], 2, 0, Decoding(temperature=0.3, limit=20))
    assert np.mean([text.text == word for row, word in zip(texts, words, strict=False) for text in row]) > 0.7
    assert perplexity(tmp_path, pairs[:20])[0] < 2


# The encoder: pretraining


TEXTS = ["my card is lost. what now?", "the transfer is pending", "where is my card", "hello"] * 8


def test_texts_are_cut_in_two() -> None:
    assert split_in_two("One. Two! Three?") == ("One. Two!", "Three?")
    assert split_in_two("hello") == ("hello", "") and split_in_two("") == ("", "")
    assert split_in_two("价格 3.5 元") == ("价格 3.5", "元")


def test_pieces_are_hidden_as_published() -> None:
    rows = torch.randint(4, 50, (400, 50), generator=torch.Generator().manual_seed(0))
    rows[:, 0], rows[:, 40:] = START, PAD
    hidden, guessed = mask_pieces(rows, 0.15, 50, generator(1))
    assert not bool(guessed[:, 0].any()) and not bool(guessed[:, 40:].any())
    assert float(guessed[:, 1:40].float().mean()) == pytest.approx(0.15, abs=0.012)  # 4 standard errors
    assert torch.equal(hidden[~guessed], rows[~guessed])
    masked = hidden[guessed]
    assert float((masked == UNKNOWN).float().mean()) == pytest.approx(0.8, abs=0.03)
    assert float((masked == rows[guessed]).float().mean()) == pytest.approx(0.1 + 0.1 / 46, abs=0.03)
    only = torch.tensor([[START, 9, END]])
    assert mask_pieces(only, 1e-9, 50, generator(0))[1].tolist() == [[False, True, False]]  # one at least


def test_second_parts_are_exchanged_whole() -> None:
    tokens = learn_pieces(TEXTS, 280)
    rows, starts = rows_of(tokens, TEXTS[:3], 64)
    mixed, begins, belongs = exchange_second_parts(rows, starts, generator(4))
    assert torch.equal(begins, starts) and 0 < int(belongs.sum()) < 3
    for row in range(3):
        giver = row if belongs[row] else (row + 1) % 3
        first = rows[row, : starts[row]]
        second = rows[giver, starts[giver] :]
        expected = torch.cat([first, second[second != PAD]])
        shown = mixed[row, : len(expected)]
        assert torch.equal(shown, expected[: mixed.shape[1]])
        assert bool((mixed[row, len(expected) :] == PAD).all())


def test_pretraining_is_the_librarys_and_learns(tmp_path: Path) -> None:
    tokens = learn_pieces(TEXTS, 280)
    rows, starts = rows_of(tokens, TEXTS, 64)
    rows = rows.long()  # as the loop gives them
    with torch_seed(0):
        model = Bert(64, len(tokens), **SMALL).eval()
    hidden, guessed = mask_pieces(rows, 0.15, len(tokens), generator(0))
    belongs = torch.arange(len(rows)) % 2 == 0
    with torch.no_grad():
        words, parts = model.losses(hidden, rows, starts, belongs, guessed)
        second = ((torch.arange(rows.shape[1]) >= starts[:, None]) & (rows != PAD)).long()
        theirs = model.core(
            input_ids=hidden,
            attention_mask=rows != PAD,
            token_type_ids=second,
            labels=rows.masked_fill(~guessed, -100),
            next_sentence_label=(~belongs).long(),
        )
    assert float(words + parts) == pytest.approx(float(theirs.loss), abs=1e-4)
    trained = pretrain(
        TEXTS, tmp_path, tokens=tokens, model=SMALL, options=TrainingOptions(steps=60, batch=16)
    )
    assert trained.history[-1]["words"] < 0.8 * trained.history[0]["words"]
    with pytest.raises(DataError, match="two words"):
        pretrain(["one", ""], tmp_path / "x", tokens=tokens, options=TrainingOptions(steps=1))


# The encoder: as a classifier


def test_an_encoder_learns_classes_and_is_kept(tmp_path: Path) -> None:
    texts, names = topic_texts(300, 0)
    shares: list[float] = []
    reader = teach_encoder(
        texts,
        names,
        tmp_path,
        TrainingOptions(steps=150),
        name="bert#width=16+layers=1+rate=0.02",
        on_progress=shares.append,
    )
    unseen, truth = topic_texts(100, 1)
    logs = reader(unseen)
    assert np.allclose(np.exp(logs).sum(1), 1, atol=1e-4)
    assert (np.array(reader.classes)[logs.argmax(1)] == truth).mean() > 0.85
    assert shares == sorted(shares) and 0.6 < shares[-1] <= 1
    loaded = load_text_reader(tmp_path)
    assert np.allclose(loaded(unseen), logs, atol=1e-5)
    assert np.allclose(loaded(unseen[:7]), logs[:7], atol=1e-4)  # whatever they are read with
    assert loaded(["", "猫", "x " * 5000, "[SEP] <end>"]).shape == (4, 3) and loaded([]).shape == (0, 3)
    assert loaded.size > 1000 and loaded.cost(unseen[:9]) > 0
    learn_pieces(["another language entirely"] * 3, 4000).save(tmp_path / "tokenizer.json")
    assert load(tmp_path, ClassifierNetwork).vocabulary == reader.model.vocabulary


def test_a_tokenizer_that_knows_more_than_its_reader_is_refused(tmp_path: Path) -> None:
    texts, names = topic_texts(40, 0)
    teach_encoder(
        texts, names, tmp_path, TrainingOptions(steps=2), name="bert#width=8+layers=1+pretraining=0"
    )
    rng = np.random.default_rng(0)
    learn_bpe(["".join(rng.choice(list("abcdefghij"), 8)) for _ in range(999)], size=3000).save(
        tmp_path / "tokenizer.json"
    )
    with pytest.raises(DataError, match="do not fit"):
        load_text_reader(tmp_path)


def test_an_encoder_from_elsewhere_is_fine_tuned(tmp_path: Path) -> None:
    folder = save_encoder(tmp_path / "tiny")
    texts, names = topic_texts(300, 0)
    reader = teach_encoder(
        texts, names, tmp_path / "r", TrainingOptions(steps=200), name=f"hf:{folder}#full+rate=0.01"
    )
    unseen, truth = topic_texts(100, 1)
    assert (np.array(reader.classes)[reader(unseen).argmax(1)] == truth).mean() > 0.85
    assert np.allclose(load_text_reader(tmp_path / "r")(unseen), reader(unseen), atol=1e-5)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="no config.json"):
        teach_encoder(texts, names, tmp_path / "s", name=f"hf:{tmp_path}")
    for file in folder.glob("*token*"):
        file.unlink()
    with pytest.raises(DataError, match="tokenizer"):
        teach_encoder(texts, names, tmp_path / "s", name=f"hf:{folder}")


def test_an_encoder_whose_tokenizer_knows_more_is_refused(tmp_path: Path) -> None:
    texts, names = topic_texts(20, 0)
    with pytest.raises(DataError, match="do not fit"):
        teach_encoder(
            texts, names, tmp_path / "s", name=f"hf:{save_encoder(tmp_path / 'tiny', vocabulary=9)}"
        )


# There and back again


@pytest.mark.parametrize("kind", ["characters", "bpe:265"])
def test_a_transformer_is_a_llama_of_the_library(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, out = tmp_path / "own", tmp_path / "llama"
    teach_writer(
        "tolerate.models.texts.transformer:Transformer",
        PAIRS,
        folder,
        tokens=kind,
        model={"width": 16, "layers": 2, "heads": 2, "base": 5000.0},
        options=TrainingOptions(steps=40, batch=16),
    )
    to_llama(folder, out)
    theirs, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    ours, tokens = load_writer(folder)
    rows = torch.randint(1, ours.vocabulary, (3, 20), generator=generator(0))
    with torch.no_grad():
        assert torch.allclose(theirs(rows).logits, ours(rows), atol=1e-5)
    assert tokenizer("cab")["input_ids"] == [*tokens.encode("cab"), START]
    encoded = tokenizer(["cab", "bead"], return_tensors="pt", padding=True)
    generated = theirs.generate(
        encoded["input_ids"], attention_mask=encoded["attention_mask"], max_new_tokens=8, do_sample=False
    )
    answers = tokenizer.batch_decode(generated[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True)
    texts = write(folder, ["cab", "bead"], 1, 0, Decoding(temperature=0, limit=8))
    assert answers == [row[0].text for row in texts]
    converted = from_llama(out, tmp_path / "back").eval()
    with torch.no_grad():
        assert torch.equal(converted(rows), ours(rows))
    rewritten = write(tmp_path / "back", ["cab", "bead"], 1, 0, Decoding(temperature=0, limit=8))
    assert rewritten == texts


def test_what_a_llama_has_no_place_for_is_named(tmp_path: Path) -> None:
    path = "tolerate.models.texts.transformer:Transformer"
    extras = {**SMALL, "hashed": 32, "pointer": True}
    teach_writer(
        path, PAIRS, tmp_path / "a", tokens="characters", model=extras, options=TrainingOptions(steps=1)
    )
    with pytest.raises(OptionError, match="hashed tables and a pointer"):
        to_llama(tmp_path / "a", tmp_path / "out")
    teach_writer(
        path, [("a cat", "the hat the hat")] * 9, tmp_path / "b", TrainingOptions(steps=1), model=SMALL
    )
    with pytest.raises(OptionError, match="no counterpart"):
        to_llama(tmp_path / "b", tmp_path / "out")
    teach_writer(
        "tolerate.models.texts.lstm:LSTM", PAIRS, tmp_path / "c", TrainingOptions(steps=1), model={"width": 8}
    )
    with pytest.raises(OptionError, match="holds a LSTM"):
        to_llama(tmp_path / "c", tmp_path / "out")
    about = {"model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 16}
    (tmp_path / "config.json").write_text(json.dumps({**about, "rms_norm_eps": 1e-5}))
    with pytest.raises(DataError, match="fewer heads for keys than for queries, norms with eps 1e-05"):
        from_llama(tmp_path, tmp_path / "out")


def test_the_command_exports_what_was_trained(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from tolerate.cli import app

    path = "tolerate.models.texts.transformer:Transformer"
    teach_writer(
        path, PAIRS, tmp_path / "own", tokens="bpe:265", model=SMALL, options=TrainingOptions(steps=2)
    )
    result = CliRunner().invoke(app, ["export", str(tmp_path / "own"), "--out", str(tmp_path / "llama")])
    assert result.exit_code == 0 and "tolerate generate hf:" in result.output
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        file.name for file in (tmp_path / "llama").iterdir()
    }


# In their jobs


def test_casenotes_by_an_encoder_decoder_with_bpe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, small in (
        ("workshop.VERIFIER_REQUESTS", 20),
        ("workshop.SEEDED_TEXTS", 20),
        ("drafts.training_texts.MAX_PAIRS", 300),
        ("casenotes.CaseNotes.limit", 15),
    ):
        monkeypatch.setattr(f"tolerate.jobs.texts.{name}", small)
    options = RunOptions(
        models=("t5#width=16+layers=1+tokens=bpe:300",),
        refine=("plain", "vote-of-2+repair+rules"),
        labels=60,
        proof=40,
        steps=25,
        workers=0,
    )
    summary = run(job("casenotes"), tmp_path / "run", options).to_json()
    (model,) = summary["models"]
    assert model["family"] == "encoder-decoder" and model["steps"] == 25 and model["metrics"]["bits"] > 0
    assert (tmp_path / "run" / "DONE").exists()
    assert run(job("casenotes"), tmp_path / "run", options).to_json() == summary


def test_support_by_an_encoder_pretrained_here(tmp_path: Path) -> None:
    data = write_desk_data(tmp_path / "data")
    options = RunOptions(
        data=data,
        models=("bert#width=16+layers=1", "ngrams"),
        labels=200,
        proof=100,
        steps=90,
        workers=0,
    )
    summary = run(job("support"), tmp_path / "run", options).to_json()
    bert = next(model for model in summary["models"] if model["name"].startswith("bert"))
    assert bert["metrics"]["accuracy"] > 0.5 and bert["parameters"] > 1000


def test_support_by_an_encoder_from_elsewhere(tmp_path: Path) -> None:
    name = f"hf:{save_encoder(tmp_path / 'tiny')}"
    options = RunOptions(
        data=write_desk_data(tmp_path / "data"), models=(name,), labels=100, proof=50, steps=5, workers=0
    )
    summary = run(job("support"), tmp_path / "run", options).to_json()
    assert summary["models"][0]["title"] == "encoder pretrained elsewhere, fine-tuned"
    with pytest.raises(OptionError, match="no classifier of intents"):
        run(job("support"), tmp_path / "r", RunOptions(data=tmp_path, models=("bart#width=3",)))


# Killed and continued


def _fresh(name: str) -> LanguageModel:
    with torch_seed(5):
        kinds = {"t5": T5, "lstm": LSTM, "transformer": Transformer}
        options = {"width": 16} if name == "lstm" else {**SMALL, "pointer": True}
        return kinds[name](40, 12, **options)  # type: ignore[return-value]


class Killed(Exception):
    pass


def _kill(progress: object) -> None:
    if progress.step == 6:  # type: ignore[attr-defined]
        raise Killed


@pytest.mark.parametrize("name", ["t5", "lstm", "transformer"])
def test_a_killed_training_ends_with_the_same_weights(name: str, tmp_path: Path) -> None:
    rows = torch.stack(prompts_with_answers((9,) * 40, 8)).int()
    plan = {"steps": 12, "batch": 8, "checkpoint_seconds": 0, "seed": 2, "every": 2}
    starts = torch.full((40,), 10)
    uninterrupted = train_texts(_fresh(name), rows, starts, folder=tmp_path / "a", **plan).model.state_dict()
    with pytest.raises(Killed):
        train_texts(_fresh(name), rows, starts, folder=tmp_path / "b", on_progress=_kill, **plan)
    continued = train_texts(_fresh(name), rows, starts, folder=tmp_path / "b", **plan).model.state_dict()
    assert all(torch.equal(uninterrupted[key], continued[key]) for key in uninterrupted)


CHILD = """
import sys
from pathlib import Path
from tests.support.intents import topic_texts
from tolerate.models.training.plan import TrainingOptions
from tolerate.models.writers.text_classifier import teach_encoder
texts, names = topic_texts(120, 0)
options = TrainingOptions(steps=120, checkpoint_seconds=0, every=5)
teach_encoder(texts, names, Path(sys.argv[1]), options, name="bert#width=16+layers=1")
"""


def test_an_encoder_killed_in_either_stage_is_the_same_in_the_end(tmp_path: Path) -> None:
    """kill -9 while it is pretrained, and an interruption while it is fine-tuned."""
    root = Path(__file__).resolve().parents[3]
    path = os.pathsep.join([str(root), str(root / "src")])
    log = tmp_path / "b" / "pretraining" / "metrics.jsonl"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "b")], env={**os.environ, "PYTHONPATH": path}
    )
    while child.poll() is None and not (log.exists() and log.read_text().count("\n") >= 2):
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not (tmp_path / "b" / "pretraining" / "model.json").exists()
    texts, names = topic_texts(120, 0)

    def stop(share: float) -> None:
        if share > 0.6:
            raise Killed

    name, options = "bert#width=16+layers=1", TrainingOptions(steps=120, checkpoint_seconds=0, every=5)
    with pytest.raises(Killed):
        teach_encoder(texts, names, tmp_path / "b", options, name=name, on_progress=stop)
    assert not (tmp_path / "b" / "model.json").exists()
    continued = teach_encoder(texts, names, tmp_path / "b", options, name=name)
    uninterrupted = teach_encoder(texts, names, tmp_path / "a", options, name=name)
    first, second = continued.model.state_dict(), uninterrupted.model.state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert np.array_equal(continued(texts), uninterrupted(texts))


# Files


def test_lines_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\n\n 床前 \nlast".encode())
    assert list(read_lines(path)) == ["one", "床前", "last"]
    (tmp_path / "b.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert list(read_lines(tmp_path / "b.gz")) == ["one", "床前", "last"]
    for data, message in (
        (b"", "holds no text"),
        (b"\n \n", "holds no text"),
        ("good\nna\xefve\n".encode("latin1"), r"line 2 .* is no UTF-8 \(byte 2 is 0xef\)"),
        (b"short\n" + b"x" * 200, "line 2 .* more than 100 bytes"),
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match=message):
            list(read_lines(path, max_bytes=100))
    with pytest.raises(DataError, match="cannot read"):
        list(read_lines(tmp_path / "none"))


def test_a_gigabyte_line_is_refused_at_once_and_in_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "long.txt"
    with path.open("wb") as file:
        file.truncate(2**30)  # no bytes on the disk, but as many to read
    tracemalloc.start()
    with pytest.raises(DataError, match="more than 1,000,000 bytes"):
        learn_bpe(read_lines(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


def test_raw_texts_of_ones_own_are_pretrained_on(tmp_path: Path) -> None:
    texts, names = topic_texts(40, 0)
    (tmp_path / "raw.txt").write_text("a zebra crossed the street\n" * 50)
    name = f"bert#width=8+layers=1+raw={tmp_path / 'raw.txt'}"
    reader = teach_encoder(texts, names, tmp_path / "r", TrainingOptions(steps=3), name=name)
    assert len(reader.tokenizer.encode("zebra", add_special_tokens=False).ids) == 1

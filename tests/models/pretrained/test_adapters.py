"""Adapters: few weights learn, ranks are dealt out anew, a killed training continues, several processes are as one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.tiny_pretrained import save_model
from tolerate.errors import DataError, OptionError, RunError
from tolerate.llm.model_names import parse_pretrained
from tolerate.models.base import torch_seed
from tolerate.models.pretrained.adapted import Adapted
from tolerate.models.pretrained.pretrained import Pretrained
from tolerate.models.pretrained.tuned import TunedModel
from tolerate.models.storage import load, read_tensors
from tolerate.models.texts.decoding import Decoding
from tolerate.models.training.plan import TrainingOptions
from tolerate.models.writers.pretrained import (
    export_merged,
    load_model,
    perplexity_of,
    rows_of,
    tune,
    write_with,
)
from tolerate.models.writers.writing import load_writer, perplexity, teach_writer, write

pytest.importorskip("peft")
ROOT = Path(__file__).resolve().parents[3]
COLOURS = ("red", "blue", "green", "black")
PAIRS = [
    (f"a {colour} {thing}", f"the {thing} is {colour}")
    for colour in COLOURS
    for thing in ("cat", "dog", "house")
]


def load_pretrained(folder: Path, how: str, seed: int = 0) -> Pretrained:
    with torch_seed(seed):
        return Pretrained.of(parse_pretrained(f"hf:{folder}{how}"))


def losses(trained: Any) -> list[float]:
    return [line["loss"] for line in trained.history]


@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5"])
def test_few_weights_learn_and_the_rest_stays(kind: str, tmp_path: Path) -> None:
    base = save_model(tmp_path / "base", kind, scale=4.0)
    before = load_pretrained(base, "").net.state_dict()
    trained = tune(
        parse_pretrained(f"hf:{base}#lora+rank=4+rate=0.02"),
        PAIRS,
        tmp_path / "run",
        TrainingOptions(steps=60, batch=12),
    )
    assert losses(trained)[-1] < 0.6 * losses(trained)[0]
    assert (
        0.02 < trained.model.trainable_share < 0.3
    )  # tiny layers; of a large model it is a hundredth or less
    after = {name: weight for name, weight in trained.model.net.state_dict().items() if "lora" not in name}
    assert all(torch.equal(weight, before[name.replace(".base_layer", "")]) for name, weight in after.items())
    base_size = (base / "model.safetensors").stat().st_size
    assert (tmp_path / "run" / "model.safetensors").stat().st_size < 0.4 * base_size
    rows, starts, _ = rows_of(trained.model, PAIRS)
    unmerged = trained.model.answer_logits(rows.long(), starts)[0]
    merged = load_model(tmp_path / "run")
    export_merged(tmp_path / "run", tmp_path / "whole")  # a model of transformers like any other
    exported = load_pretrained(tmp_path / "whole", "")
    torch.testing.assert_close(
        exported.net(**_inputs(exported)).logits, merged.net(**_inputs(exported)).logits, rtol=1e-4, atol=1e-5
    )
    assert not any("lora" in name for name, _ in merged.named_parameters())
    torch.testing.assert_close(merged.answer_logits(rows.long(), starts)[0], unmerged, rtol=1e-3, atol=1e-4)
    assert perplexity(tmp_path / "run", PAIRS)[0] < 0.5 * perplexity_of(load_pretrained(base, ""), PAIRS)[0]
    assert write(tmp_path / "run", ["a red cat"], 2, 0, Decoding(limit=8)) == write_with(
        merged, ["a red cat"], 2, 0, Decoding(limit=8)
    )


def _inputs(model: Pretrained) -> dict[str, torch.Tensor]:
    ids = torch.tensor([model.prompt_format.encode_prompt("Input: a red cat")])
    return {"input_ids": ids, **({"decoder_input_ids": ids} if model.is_seq2seq else {})}


def test_all_of_it_learns_on_request(tmp_path: Path) -> None:
    base = save_model(tmp_path / "base")
    trained = tune(
        parse_pretrained(f"hf:{base}#full+rate=0.01"),
        PAIRS,
        tmp_path / "run",
        TrainingOptions(steps=150, batch=12),
    )
    assert trained.model.trainable_share == 1 and losses(trained)[-1] < 0.1
    texts = write(tmp_path / "run", ["a blue dog", "a red house"], 1, 0, Decoding(temperature=0))
    assert [row[0].text for row in texts] == ["the dog is blue", "the house is red"]
    assert texts[0][0].ended and texts[0][0].mean_logprob > -0.2


def test_ranks_are_dealt_out_anew(tmp_path: Path) -> None:
    base = save_model(tmp_path / "base", scale=4.0)
    spec = parse_pretrained(f"hf:{base}#adalora+rank=4+rate=0.03")
    trained = tune(spec, PAIRS, tmp_path / "run", TrainingOptions(steps=80, batch=12))
    assert isinstance(trained.model, TunedModel)
    ranks = trained.model.ranks
    assert set(load_pretrained(base, "#adalora+rank=4").ranks.values()) == {0}  # the diagonals begin at 0
    assert (
        sum(ranks.values()) == 4 * len(ranks) and len(set(ranks.values())) > 1
    )  # 6 each at first, 4 on average
    assert max(ranks.values()) <= 6
    early, late = trained.history[0]["loss"], trained.history[-1]["loss"]
    assert late < 0.7 * early
    unmerged = trained.model.answer_logits(*_rows(trained.model))[0]
    torch.testing.assert_close(
        load_model(tmp_path / "run").answer_logits(*_rows(trained.model))[0], unmerged, rtol=1e-3, atol=1e-4
    )


def test_ranks_that_nobody_deals_out_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: without the allocation the same training ends with all ranks, which the test above would see."""
    monkeypatch.setattr(
        "tolerate.models.pretrained.adapters.RankAllocation.update", lambda self, progress: None
    )
    base = save_model(tmp_path / "base")
    trained = tune(
        parse_pretrained(f"hf:{base}#adalora+rank=4+rate=0.03"),
        PAIRS,
        tmp_path / "run",
        TrainingOptions(steps=30, batch=12),
    )
    assert set(trained.model.ranks.values()) == {6}


def _rows(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    rows, starts, _ = rows_of(model, PAIRS)
    return rows.long(), starts


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(
    ("how", "last_step"),
    [("#lora+dropout=0.1", 3), ("#adalora+rank=3", 3), ("#adalora+rank=3", 26), ("#full", 3)],
    ids=["lora", "adalora", "adalora after ranks are fixed", "full"],
)
def test_a_killed_tuning_ends_as_an_unbroken_one_bit_for_bit(
    how: str, last_step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = save_model(tmp_path / "base")
    options = TrainingOptions(steps=30, batch=4, every=1, checkpoint_seconds=0.0)
    unbroken = tune(parse_pretrained(f"hf:{base}{how}"), PAIRS, tmp_path / "a", options)
    original_step = TunedModel.step
    calls = {"n": 0}

    def dies(self: TunedModel, *args: Any) -> Any:
        calls["n"] += 1
        if calls["n"] > last_step:
            raise Killed
        return original_step(self, *args)

    monkeypatch.setattr(TunedModel, "step", dies)
    with pytest.raises(Killed):
        tune(parse_pretrained(f"hf:{base}{how}"), PAIRS, tmp_path / "b", options)
    monkeypatch.setattr(TunedModel, "step", original_step)
    continued = tune(parse_pretrained(f"hf:{base}{how}"), PAIRS, tmp_path / "b", options)
    first, second = (read_tensors(tmp_path / name / "model.safetensors")[0] for name in "ab")
    assert first.keys() == second.keys() and all(first[key].equal(second[key]) for key in first)
    assert losses(unbroken) == losses(continued)
    base_size = (base / "model.safetensors").stat().st_size
    if how != "#full":
        assert (tmp_path / "b/checkpoints/last.safetensors").stat().st_size < base_size


def test_a_tuning_has_a_budget_in_cpu_seconds(tmp_path: Path) -> None:
    base = save_model(tmp_path / "base")
    trained = tune(
        parse_pretrained(f"hf:{base}#adalora"),
        PAIRS,
        tmp_path / "run",
        TrainingOptions(budget=1.0, clock="cpu", batch=4, every=1),
    )
    assert 1.0 <= trained.elapsed < 4 and sum(trained.model.ranks.values()) == 8 * len(trained.model.ranks)


def test_adapters_of_another_base_are_refused(tmp_path: Path) -> None:
    base = save_model(tmp_path / "base")
    tune(parse_pretrained(f"hf:{base}#lora"), PAIRS, tmp_path / "run", TrainingOptions(steps=2, batch=4))
    save_model(base, scale=1.5)
    with pytest.raises(DataError, match="other weights"):
        load(tmp_path / "run", Pretrained)
    with pytest.raises(RunError, match="options"):  # a continued training would be of another model
        tune(parse_pretrained(f"hf:{base}#lora"), PAIRS, tmp_path / "run", TrainingOptions(steps=2, batch=4))


def test_what_learns_nothing_is_not_trained(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="add #lora"):
        tune(
            parse_pretrained(f"hf:{save_model(tmp_path / 'base')}"),
            PAIRS,
            tmp_path / "run",
            TrainingOptions(steps=2),
        )


# Writers of our own


@pytest.fixture(scope="module", params=["transformer", "lstm", "t5"])
def trained_writer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    path = {
        "transformer": "tolerate.models.texts.transformer:Transformer",
        "lstm": "tolerate.models.texts.lstm:LSTM",
        "t5": "tolerate.models.texts.t5:T5",
    }
    options = {"width": 16} if request.param == "lstm" else {"width": 16, "layers": 1, "heads": 2}
    teach_writer(path[request.param], PAIRS * 4, folder, TrainingOptions(steps=150, batch=12), model=options)
    return folder


@pytest.mark.parametrize("how", ["#lora+rate=0.02", "#adalora+rank=2+rate=0.02", "#full+rate=0.005"])
def test_a_writer_of_our_own_learns_on(trained_writer: Path, how: str, tmp_path: Path) -> None:
    """To say it the other way round; its tokens stay."""
    new = [(prompt, answer.replace("the ", "").replace(" is ", " the ")) for prompt, answer in PAIRS]
    trained = teach_writer(f"own:{trained_writer}{how}", new, tmp_path, TrainingOptions(steps=80, batch=12))
    assert isinstance(trained.model, Adapted) and losses(trained)[-1] < losses(trained)[0] - 0.2
    assert perplexity(tmp_path, new)[0] < perplexity(trained_writer, new)[0]
    assert load_writer(tmp_path)[1] == load_writer(trained_writer)[1]
    share = trained.model.trainable_share
    assert share == 1 if how.startswith("#full") else share < 0.5
    assert len(write(tmp_path, ["a red cat"], 3, 0, Decoding(limit=5))[0]) == 3


def test_two_processes_tune_as_one(tmp_path: Path) -> None:
    """Answers differ in length, so a plain average of the halves' losses would weigh their tokens differently."""
    base = save_model(tmp_path / "base")
    pairs = [*PAIRS[:4], ("a", "the red cat sat on the mat the dog ran to the house " * 2)] * 3
    (tmp_path / "pairs.json").write_text(json.dumps(pairs))
    script = tmp_path / "two.py"
    script.write_text(
        "import json, sys\n"
        "from pathlib import Path\n"
        "import accelerate, torch\n"
        "from tolerate.models.writers.pretrained import tune\n"
        "from tolerate.llm.model_names import parse_pretrained\n"
        "from tolerate.models.writers.writing import teach_writer\n"
        "from tolerate.models.training.plan import TrainingOptions\n"
        "options = TrainingOptions(steps=10, batch=5)\n"
        "def work():\n"
        f"    here = Path({str(tmp_path)!r})\n"
        "    pairs = [tuple(one) for one in json.loads((here / 'pairs.json').read_text())]\n"
        f"    for how in ('lora', 'adalora'):\n"
        f"        tune(parse_pretrained('hf:{base}#' + how + '+rank=3+rate=0.01'), pairs, here / how, options)\n"
        "    teach_writer('tolerate.models.texts.lstm:LSTM', pairs, here / 'lstm', options, model={'width': 16})\n"
        "    assert torch.distributed.get_world_size() == 2\n"
        "accelerate.debug_launcher(work, num_processes=2)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    single = {
        how: tune(
            parse_pretrained(f"hf:{base}#{how}+rank=3+rate=0.01"),
            pairs,
            tmp_path / f"{how}-1",
            TrainingOptions(steps=10, batch=5),
        )
        for how in ("lora", "adalora")
    }
    path = "tolerate.models.texts.lstm:LSTM"
    single["lstm"] = teach_writer(
        path, pairs, tmp_path / "lstm-1", TrainingOptions(steps=10, batch=5), model={"width": 16}
    )
    for how, trained in single.items():
        together = read_tensors(tmp_path / how / "model.safetensors")[0]
        for name, weight in trained.model.state_dict().items():
            torch.testing.assert_close(together[name], weight.cpu(), rtol=2e-3, atol=2e-4)


def test_other_processes_than_the_first_write_no_files_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, options = "tolerate.models.texts.lstm:LSTM", {"width": 8}
    monkeypatch.setenv("RANK", "1")
    teach_writer(path, PAIRS, tmp_path / "b", TrainingOptions(steps=2), model=options)
    monkeypatch.setenv("RANK", "0")
    teach_writer(path, PAIRS, tmp_path / "a", TrainingOptions(steps=2), model=options)
    assert not (tmp_path / "b/tokens.json").exists() and (tmp_path / "a/tokens.json").exists()


def test_halves_that_are_averaged_plainly_would_be_seen(tmp_path: Path) -> None:
    """The twin: the mean of two halves' mean losses is another number than the mean over all their tokens."""
    model = load_pretrained(save_model(tmp_path), "")
    pairs = [("a", "cat"), ("a", "the red cat sat on the mat the dog ran to the house " * 2)]
    rows, starts, _ = rows_of(model, pairs)
    loss = float(model.loss(rows.long(), starts))
    halves = [(rows[row : row + 1].long(), starts[row : row + 1]) for row in (0, 1)]
    plain = sum(float(model.loss(*half)) for half in halves) / 2
    counts = [len(model.answer_logits(*half)[1]) for half in halves]
    model.mean_over_processes = lambda count: sum(counts) / 2
    assert sum(float(model.loss(*half)) for half in halves) / 2 == pytest.approx(loss, rel=1e-5)
    assert abs(plain - loss) > 0.01

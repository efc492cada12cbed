"""Pretrained models: ours against transformers' own generate, what is wrong with a model, and the hub's path."""

import json
import math
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tests.support.tiny_pretrained import config, network, save_model, tokenizer, transformers
from tolerate.errors import DataError, OptionError, RunError
from tolerate.jobs.generate import WriterRequest, generate_texts, is_writer, read_prompts, write_texts
from tolerate.llm.model_names import is_pretrained_name, parse_pretrained
from tolerate.models.base import generator
from tolerate.models.pretrained import hub
from tolerate.models.pretrained.pretrained import Pretrained
from tolerate.models.texts.decoding import Decoding, decode
from tolerate.models.writers.local import LocalWriter
from tolerate.models.writers.pretrained import likelihoods_of, perplexity_of, save_source, write_with
from tolerate.models.writers.writing import write, writing_cost
from tolerate.runs.progress import SilentReporter

PROMPTS = ["the cat", "on the mat sat the red cat.", "a"]
QUICK = ("gpt2", "llama", "mistral", "bloom", "mamba", "t5", "bart")


def load_pretrained(folder: Path, settings: str = "") -> Pretrained:
    return Pretrained.of(parse_pretrained(f"hf:{folder}{settings}"))


def generate_tokens(net: Any, head: list[int], limit: int, pairs: bool) -> list[int]:
    """transformers' own greedy search, one prompt at a time."""
    ids = torch.tensor([head])
    generated = net.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, num_beams=1, max_new_tokens=limit
    )[0].tolist()
    answer = generated[1:] if pairs else generated[len(head) :]
    return answer[: answer.index(1)] if 1 in answer else answer


@pytest.mark.parametrize("kind", QUICK)
def test_a_batch_of_prompts_reads_as_generate_does_one_by_one(kind: str, tmp_path: Path) -> None:
    model = load_pretrained(save_model(tmp_path, kind, scale=1.0 if kind in ("mamba", "bart") else 3.0))
    heads = [model.prompt_format.encode_prompt(prompt) for prompt in PROMPTS]
    texts = decode(
        model, list(map(torch.tensor, heads)), Decoding(limit=20, temperature=0, end=1), generator(0)
    )
    expected = [generate_tokens(model.net, head, 20, model.is_seq2seq) for head in heads]
    assert [list(text.tokens) for text in texts] == expected
    assert (
        len({tuple(text) for text in expected}) == 3
    )  # prompts matter: a model that ignored them would not show


def test_prompts_that_are_not_filled_up_rightly_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: filled up on the left without saying so, the same comparison fails."""
    model = load_pretrained(save_model(tmp_path, "gpt2", scale=3.0))
    original_read = Pretrained._read
    monkeypatch.setattr(
        Pretrained, "_read", lambda self, s, t, r: original_read(self, s, t, torch.ones_like(r))
    )
    heads = [model.prompt_format.encode_prompt(prompt) for prompt in PROMPTS]
    texts = decode(
        model, list(map(torch.tensor, heads)), Decoding(limit=20, temperature=0, end=1), generator(0)
    )
    assert [list(text.tokens) for text in texts] != [
        generate_tokens(model.net, head, 20, False) for head in heads
    ]


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_log_probabilities_are_those_of_the_whole_text(kind: str, tmp_path: Path) -> None:
    model = load_pretrained(save_model(tmp_path, kind, scale=3.0))
    head = model.prompt_format.encode_prompt("the cat")
    (text,) = decode(model, [torch.tensor(head)], Decoding(limit=12, end=1), generator(3))
    answer = [*text.tokens, *([1] if text.ended else [])]
    if model.is_seq2seq:
        logits = model.net(
            input_ids=torch.tensor([head]), decoder_input_ids=torch.tensor([[0, *answer[:-1]]])
        ).logits[0]
    else:
        logits = model.net(input_ids=torch.tensor([[*head, *answer[:-1]]])).logits[0, len(head) - 1 :]
    expected = logits[:, : len(tokenizer())].log_softmax(-1)[range(len(answer)), answer]
    assert list(text.logprobs) == pytest.approx(expected.tolist(), abs=1e-4)
    (row,) = write_with(model, ["the cat"], 1, 3, Decoding(limit=12))
    assert (row[0].mean_logprob, row[0].min_logprob) == pytest.approx((text.mean, text.least))
    assert row[0].total_logprob == pytest.approx(sum(text.logprobs)) and row[0].token_count == len(answer)


@pytest.mark.parametrize(
    "how", ["beams=3", "contrast=0.6+top_k=4", "top_k=5", "top_p=0.8", "min_p=0.2", "temperature=0.5"]
)
def test_decoding_is_seeded_and_as_the_name_says(how: str, tmp_path: Path) -> None:
    model = load_pretrained(save_model(tmp_path, scale=3.0), f"#{how}+tokens=8")
    first, repeated = (write_with(model, PROMPTS, 2, 5) for _ in range(2))
    assert first == repeated and max(text.token_count for row in first for text in row) <= 8
    other = write_with(model, PROMPTS, 2, 6)
    assert (first == other) == how.startswith(("beams", "contrast"))


def test_beams_find_what_exhaustive_search_finds(tmp_path: Path) -> None:
    """With as many beams as tokens a text of two tokens is searched whole."""
    model = load_pretrained(save_model(tmp_path, scale=3.0))
    head = torch.tensor(model.prompt_format.encode_prompt("a"))
    vocabulary = len(tokenizer())
    (text,) = decode(model, [head], Decoding(limit=2, beams=vocabulary, end=1), generator(0))
    first = model.net(head[None]).logits[0, -1].log_softmax(-1)
    rows = torch.cat([head.expand(vocabulary, -1), torch.arange(vocabulary)[:, None]], 1)
    second = model.net(rows).logits[:, -1].log_softmax(-1)
    totals = (first[:, None] + second) / 2
    totals[1] = -torch.inf
    best = max(float(totals.max()), float(first[1]))
    assert text.mean == pytest.approx(best, abs=1e-4)


def test_several_ends_are_one(tmp_path: Path) -> None:
    """Chat models end with more than one token: the chance that a text ends is their sum, none is ever shown."""
    folder = save_model(tmp_path, scale=2.0)
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": [1, 40, 41]}))
    model = load_pretrained(folder)
    assert set(model.ends) == {1, 40, 41}
    head = torch.tensor(model.prompt_format.encode_prompt("the cat"))
    _, logits = model.begin([head])
    plain = model.net(head[None]).logits[0, -1].softmax(-1)
    assert logits[0].softmax(-1)[1] == pytest.approx(float(plain[[1, 40, 41]].sum()), abs=1e-5)
    assert logits[0, 40] == -math.inf


def test_prompts_take_the_form_that_the_model_knows(tmp_path: Path) -> None:
    words = tokenizer()
    plain = load_pretrained(save_model(tmp_path / "plain"))
    assert words.decode(plain.prompt_format.encode_prompt("the cat")) == "the cat"
    assert (
        words.decode(plain.prompt_format.encode_prompt("a dog", "Be short."))
        == "Be short.\n\nInput: a dog\nOutput:"
    )
    chat = load_pretrained(save_model(tmp_path / "chat", chat=True))
    assert (
        words.decode(chat.prompt_format.encode_prompt("a dog", "Be short."))
        == "<system>Be short.\n<user>a dog\n<assistant>"
    )
    assert load_pretrained(tmp_path / "chat", "#chat=no").prompt_format.uses_chat_template is False
    pairs = load_pretrained(save_model(tmp_path / "pairs", "t5"))
    assert words.decode(pairs.prompt_format.encode_prompt("a dog", "Be short.")) == "Be short.\n\na dog"
    assert plain.prompt_format.encode_prompt("") != []  # something is always read


def test_what_goes_on_with_examples_of_its_own_is_cut(tmp_path: Path) -> None:
    model = load_pretrained(save_model(tmp_path))
    numbers = tokenizer()(" the cat\nInput: a dog")["input_ids"]
    kept_tokens = model.prompt_format.answer_length(numbers, "Be short.")
    assert model.prompt_format.decode(numbers[:kept_tokens]).startswith("the cat")
    assert "Input" not in model.prompt_format.decode(numbers[:kept_tokens])
    assert model.prompt_format.begins_new_example(
        numbers[: kept_tokens + 4]
    ) and model.prompt_format.answer_length(numbers, "") == len(numbers)


def test_perplexity_is_by_hand(tmp_path: Path) -> None:
    model = load_pretrained(save_model(tmp_path))
    head, row = model.prompt_format.encode_prompt("a"), model.prompt_format.encode_pairs([("a", "cat")])[0][0]
    logits = model.net(torch.tensor([row])).logits[0, len(head) - 1 : -1]
    nats = F.cross_entropy(logits, torch.tensor(row[len(head) :]))
    assert perplexity_of(model, [("a", "cat"), ("a", "cat")])[0] == pytest.approx(
        math.exp(float(nats)), rel=1e-4
    )


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_how_likely_each_answer_is(kind: str, tmp_path: Path) -> None:
    model = load_pretrained(save_model(tmp_path, kind, scale=3.0))
    pairs = [("a", "cat"), ("the mat", "a red dog ran"), ("a", "cat " * 1200), ("a", "house")]
    logprobs = likelihoods_of(model, pairs)
    assert logprobs[2] == -30  # it does not fit
    for index in (0, 1, 3):
        assert math.exp(-logprobs[index]) == pytest.approx(perplexity_of(model, [pairs[index]])[0], rel=1e-4)


def test_a_folder_keeps_the_name_and_writes(tmp_path: Path) -> None:
    base = save_model(tmp_path / "base", scale=3.0)
    model = save_source(parse_pretrained(f"hf:{base}#temperature=0+tokens=6"), tmp_path / "kept", 0)
    assert write(tmp_path / "kept", ["a"], 1, 0)[0][0] == write_with(model, ["a"], 1, 0)[0][0]
    assert (tmp_path / "kept" / "model.safetensors").stat().st_size < 100
    assert writing_cost(tmp_path / "kept", ["a"], Decoding()) > 0
    network("llama", len(tokenizer()), scale=1.1).save_pretrained(base)
    with pytest.raises(DataError, match="other weights"):
        write(tmp_path / "kept" / ".." / "kept", ["a"], 1, 0)


# What is wrong with a name or a model


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf:", "expected hf:NAME"),
        ("hf:a b", "expected hf:NAME"),
        ("hf:ow ner/x", "expected"),
        ("hf:owner/na$me", "neither a folder nor a name"),
        ("hf:gpt2#rank=8", r"write #lora\+rank=8"),
        ("hf:gpt2#steps=8", "belongs to a tuning"),
        ("hf:gpt2#lora+adalora", "one of them"),
        ("hf:gpt2#lora+rank=0", "at least 1"),
        ("hf:gpt2#lora+rnak=4", 'Did you mean "rank"'),
        ("hf:gpt2#temperature=-1", "at least 0"),
        ("hf:gpt2#top_p=2", "at most 1"),
        ("hf:gpt2#code=maybe", "yes or no"),
        ("hf:gpt2#lora+dropout=1", "at most 1"),
        ("hf:gpt2#end=", "empty"),
    ],
)
def test_names_that_mean_nothing(name: str, message: str) -> None:
    assert is_pretrained_name(name)
    with pytest.raises(OptionError, match=message):
        parse_pretrained(name)


def test_folders_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        load_pretrained(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"no config\.json.*notes\.txt"):
        load_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DataError, match="no weights"):
        load_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"config\.json"):
        load_pretrained(tmp_path)
    shutil.rmtree(tmp_path)
    save_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="weights of .* cannot be used"):
        load_pretrained(tmp_path)


def test_pickles_are_never_read(tmp_path: Path) -> None:
    folder = save_model(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(DataError, match="safetensors"):
        load_pretrained(folder)


def test_encoders_write_no_texts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="BertForMaskedLM, which writes no texts"):
        load_pretrained(save_model(tmp_path / "masked", "bert"))
    net = transformers.BertLMHeadModel(config("bert", len(tokenizer())))
    net.save_pretrained(tmp_path / "head")
    tokenizer().save_pretrained(tmp_path / "head")
    with pytest.raises(DataError, match="is_decoder false"):
        load_pretrained(tmp_path / "head")


def test_a_body_without_its_last_layer_is_refused(tmp_path: Path) -> None:
    folder = save_model(tmp_path)
    network("llama", len(tokenizer())).model.save_pretrained(folder)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "architectures": ["LlamaForCausalLM"]}))
    with pytest.raises(DataError, match="lacks .*would be random"):
        load_pretrained(folder)


def test_tokenizers_that_do_not_fit(tmp_path: Path) -> None:
    network("llama", 270).save_pretrained(tmp_path / "small")
    tokenizer().save_pretrained(tmp_path / "small")
    with pytest.raises(DataError, match="do not fit"):
        load_pretrained(tmp_path / "small")
    (tmp_path / "small" / "tokenizer.json").unlink()
    with pytest.raises(DataError, match="tokenizer"):
        load_pretrained(tmp_path / "small")


def test_a_model_that_knows_more_tokens_never_says_them(tmp_path: Path) -> None:
    """Embeddings are often rounded up; the rest was never trained."""
    vocabulary = len(tokenizer())
    network("llama", vocabulary + 60, scale=3.0).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    model = load_pretrained(tmp_path)
    texts = decode(model, [torch.tensor([5])] * 8, Decoding(limit=40, end=1), generator(0))
    assert max(max(text.tokens) for text in texts) < vocabulary


def test_a_text_must_be_able_to_end(tmp_path: Path) -> None:
    folder = save_model(tmp_path, eos_token_id=None)
    tokenizer(end=None).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    with pytest.raises(DataError, match="would never stop"):
        load_pretrained(folder)
    assert load_pretrained(folder, "#end=</s>").ends == (1,)
    with pytest.raises(OptionError, match="knows no token"):
        load_pretrained(folder, "#end=<stop>")


def test_a_tokenizer_without_a_filler_does(tmp_path: Path) -> None:
    words = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer()._tokenizer, eos_token="</s>")
    network("gpt2", len(tokenizer()), scale=3.0, pad_token_id=None).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    assert len(write_with(load_pretrained(tmp_path), PROMPTS, 1, 0, Decoding(limit=5))) == 3


def test_prompts_that_are_too_long_are_named(tmp_path: Path) -> None:
    model = load_pretrained(save_model(tmp_path))
    with pytest.raises(DataError, match=r"tokens; .* reads 128 at once"):
        write_with(model, ["a cat " * 200], 1, 0)
    with pytest.raises(OptionError, match="more than the 128"):
        load_pretrained(tmp_path, "#context=500")
    assert load_pretrained(tmp_path, "#context=64").context == 64


def test_code_of_a_model_runs_only_if_its_user_says_so(tmp_path: Path) -> None:
    folder = save_model(tmp_path)
    settings = json.loads((folder / "config.json").read_text())
    settings |= {
        "model_type": "mine",
        "architectures": ["Mine"],
        "auto_map": {"AutoConfig": "mine.Mine", "AutoModelForCausalLM": "mine.Mine"},
    }
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(DataError, match=r"#code=yes"):
        load_pretrained(folder)
    assert not (tmp_path / "ran").exists()


# The hub, by a small fake of it


@contextmanager
def hub_of(folder: Path, name: str, broken: bool = False) -> Iterator[tuple[str, list[str]]]:
    """A hub with one model on this machine: its address, and what it was asked."""
    requests: list[str] = []
    commit = "0" * 39 + "1"
    files = sorted(file.name for file in folder.iterdir())

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            requests.append(f"{self.command} {self.path}")
            path = self.path.split("?")[0]
            if broken:
                return self.send(503, b"busy", {})
            if path.startswith(f"/api/models/{name}/tree/") or path == f"/api/models/{name}/tree/{commit}":
                listed = [
                    {"type": "file", "oid": "1" * 40, "size": (folder / file).stat().st_size, "path": file}
                    for file in files
                ]
                return self.send(200, json.dumps(listed).encode(), {"Content-Type": "application/json"})
            if path.startswith(f"/api/models/{name}"):
                description = {
                    "id": name,
                    "sha": commit,
                    "siblings": [{"rfilename": file} for file in files],
                    "private": False,
                }
                return self.send(200, json.dumps(description).encode(), {"Content-Type": "application/json"})
            match = path.removeprefix(f"/{name}/resolve/").split("/")
            if path.startswith(f"/{name}/resolve/") and match[-1] in files:
                data = (folder / match[-1]).read_bytes()
                return self.send(
                    200, data, {"ETag": '"' + f"{len(data):040d}" + '"', "X-Repo-Commit": commit}
                )
            return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
    finally:
        server.shutdown()
        server.server_close()


def in_a_new_process(code: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with a hub of its own; the hub's library reads its settings once, when it is imported."""
    import os

    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))
    }
    variables = {
        **inherited,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        **environment,
    }
    return subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=120
    )


CODE = """
from tolerate.errors import TolerateError
from tolerate.models.texts.decoding import Decoding
from tolerate.models.pretrained.pretrained import Pretrained
from tolerate.models.writers.pretrained import write_with
from tolerate.llm.model_names import parse_pretrained
for name in {names!r}:
    try:
        model = Pretrained.of(parse_pretrained(name))
        print(write_with(model, ["the cat"], 1, 0, Decoding(limit=6, temperature=0))[0][0].text)
    except TolerateError as error:
        print(type(error).__name__, error)
"""


WHERE = """
from tolerate.errors import TolerateError
from tolerate.models.pretrained.hub import locate
from tolerate.llm.model_names import parse_pretrained
for name in {names!r}:
    try:
        folder = locate(parse_pretrained(name))
        print(folder, (folder / "model.safetensors").exists())
    except TolerateError as error:
        print(type(error).__name__, error)
"""


def test_the_hub_is_asked_once_and_then_the_disk(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", scale=3.0)
    (folder / "pytorch_model.bin").write_bytes(b"never fetched")
    expected = write_with(load_pretrained(folder), ["the cat"], 1, 0, Decoding(limit=6, temperature=0))[0][
        0
    ].text
    with hub_of(folder, "owner/tiny") as (address, requests):
        names = ["hf:owner/tiny", "hf:owner/none"]
        done = in_a_new_process(CODE.format(names=names), tmp_path / "home", HF_ENDPOINT=address)
        lines = done.stdout.splitlines()
        assert lines[0] == expected, done.stderr
        assert lines[1].startswith('OptionError the hub knows no model "owner/none"')
        assert any("model.safetensors" in request for request in requests)
        assert not any("pytorch_model.bin" in request for request in requests)
    # The hub is gone now: what was fetched stays usable, anything else is explained.
    code = WHERE.format(names=["hf:owner/tiny", "hf:owner/other"])
    for environment in ({}, {"HF_HUB_OFFLINE": "1"}):
        done = in_a_new_process(code, tmp_path / "home", HF_ENDPOINT=address, **environment)
        lines = done.stdout.splitlines()
        assert lines[0].endswith("1 True"), done.stderr
        assert (
            lines[1].startswith("RunError") and "hf:./FOLDER" in lines[1] and "HF_HUB_OFFLINE=1" in lines[1]
        )
        assert ("HF_HUB_OFFLINE is set" in lines[1]) is bool(environment)


def test_a_hub_model_with_pickles_alone_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with hub_of(folder, "owner/tiny") as (address, requests):
        done = in_a_new_process(WHERE.format(names=["hf:owner/tiny"]), tmp_path / "home", HF_ENDPOINT=address)
    assert "safetensors" in done.stdout and done.stdout.startswith("DataError"), done.stdout + done.stderr
    assert not any("resolve" in request for request in requests)


def test_without_a_network_a_hub_name_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RunError, match=r"owner/none.*hf:\./FOLDER.*HF_HUB_OFFLINE"):
        hub.locate(parse_pretrained("hf:owner/none"))


# Texts from the command's function


def test_generate_writes_a_table_of_texts(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "m", scale=3.0)
    assert is_writer(str(folder)) and is_writer(f"hf:{folder}")
    request = WriterRequest(str(folder), ["a", "the cat"], 5, 1, decoding={"limit": 4})
    rows = generate_texts(request, SilentReporter())
    assert [row.prompt for row in rows] == ["a", "the cat", "a", "the cat", "a"]
    assert rows == generate_texts(replace(request, model=f"hf:{folder}"), SilentReporter())
    assert all(row.least <= row.mean <= 0 and row.total < 0 for row in rows)
    write_texts(rows, tmp_path / "texts.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "texts.jsonl").read_text().splitlines()]
    assert lines[0]["text"] == rows[0].text and lines[0]["mean"] == pytest.approx(rows[0].mean)
    (tmp_path / "p.txt").write_text("one\n\ntwo\n")
    assert read_prompts(tmp_path / "p.txt") == ["one", "two"]
    with pytest.raises(OptionError, match="is to be tuned"):
        generate_texts(WriterRequest(f"hf:{folder}#lora", ["a"], 1), SilentReporter())


def test_a_local_model_is_asked_as_a_served_one_is(tmp_path: Path) -> None:
    local = LocalWriter(f"hf:{save_model(tmp_path, scale=3.0)}#tokens=5")
    texts = local.write(["a", "the cat", "a"], 2, seed=4, system="Be short.")
    assert texts[0] == texts[2] and len(texts[0]) == 2 and texts[0][0].mean_logprob < 0
    assert local.usage.requests == 2 and local.usage.completion_tokens == sum(
        text.completion_tokens for row in texts[:2] for text in row
    )
    assert local.seconds(["a"], 2, "Be short.") > 0
    with pytest.raises(OptionError, match="is to be tuned before"):
        LocalWriter(f"hf:{tmp_path}#lora")

"""Short texts with a class each, by words of their topic, and a help desk's data in the published layout."""

import gzip
import json
from pathlib import Path

import numpy as np

from tolerate.jobs.texts.support_data import HAND_OVER

DESK_TOPICS = {
    "card": "my card has not come in the mail",
    "transfer": "the transfer to my friend is pending",
    "pin": "i forgot my pin number code",
    HAND_OVER: "what is the weather like in paris today",
}
TOPICS = {
    "card": "my card has not come in the mail",
    "pin": "i forgot the pin number code",
    "sky": "rain or sun",
}
FILLERS = ["please", "help", "me", "with", "it", "now", "thanks", "hello"]


def topic_texts(n: int, seed: int) -> tuple[list[str], list[str]]:
    """Texts of four words of their topic, and the topics."""
    rng = np.random.default_rng(seed)
    names = rng.choice(list(TOPICS), n).tolist()
    return [" ".join(rng.choice(TOPICS[name].split(), 4)) for name in names], names


def desk_questions(n: int, seed: int) -> tuple[list[str], list[str]]:
    """Questions of four words of their intent and two of any, and the intents."""
    rng = np.random.default_rng(seed)
    names = rng.choice(list(DESK_TOPICS), n).tolist()
    texts = [" ".join([*rng.choice(DESK_TOPICS[name].split(), 4), *rng.choice(FILLERS, 2)]) for name in names]
    return texts, names


def write_desk_data(folder: Path) -> Path:
    """A small set in the published layout of BANKING77 and CLINC150."""
    (folder / "banking77").mkdir(parents=True)
    (folder / "clinc150").mkdir()
    out_of_scope: list[str] = []
    for part, n, seed in (("train", 400, 0), ("test", 300, 1)):
        rows = [(text, name) for text, name in zip(*desk_questions(n, seed), strict=True)]
        out_of_scope += [text for text, name in rows if name == HAND_OVER]
        lines = [f"{text},{name}" for text, name in rows if name != HAND_OVER]
        (folder / "banking77" / f"{part}.csv").write_text("\n".join(["text,category", *lines]))
    third = len(out_of_scope) // 3
    parts = {
        f"oos_{name}": [[text, "oos"] for text in out_of_scope[third * index : third * index + third]]
        for index, name in enumerate(("train", "val", "test"))
    }
    data = {"train": [["tell me a joke", "tell_joke"], ["pay my bill", "pay_bill"]] * 6, **parts}
    with gzip.open(folder / "clinc150" / "data_full.json.gz", "wt") as file:
        json.dump(data, file)
    return folder

"""The run folder: steps that are never half there, and folders that are refused."""

from pathlib import Path

import numpy as np
import pytest

from tolerate.base import files
from tolerate.base.files import write_whole
from tolerate.base.folder import RunFolder
from tolerate.errors import RunError

OPTIONS = {"seed": 0, "models": ("vae",)}


def open_run(path: Path, options: dict[str, object] = OPTIONS) -> RunFolder:
    folder = RunFolder(path)
    folder.open(options, {"command": "test"})
    return folder


def test_a_step_is_computed_once(tmp_path: Path) -> None:
    folder = open_run(tmp_path / "run")
    assert folder.once("a/b.json", lambda: {"x": 1}) == {"x": 1}
    assert folder.once("a/b.json", lambda: pytest.fail("computed twice")) == {"x": 1}
    first = folder.once_arrays("c.npz", lambda: {"n": np.arange(3), "t": np.array(["七", ""])})
    again = folder.once_arrays("c.npz", lambda: pytest.fail("computed twice"))
    assert first["n"].tolist() == again["n"].tolist() == [0, 1, 2] and again["t"].tolist() == ["七", ""]


def test_the_same_options_continue_and_others_are_refused(tmp_path: Path) -> None:
    open_run(tmp_path / "run").close()
    second = open_run(tmp_path / "run")
    assert not second.done
    with pytest.raises(RunError, match="another process works in"):
        open_run(tmp_path / "run")
    second.close()
    open_run(tmp_path / "run").close()


def test_other_options_are_named(tmp_path: Path) -> None:
    open_run(tmp_path).close()
    with pytest.raises(RunError, match=r"a run with seed = 0, this command asks for 1.*--fresh"):
        open_run(tmp_path, {**OPTIONS, "seed": 1})


def test_a_finished_run_says_so(tmp_path: Path) -> None:
    first = open_run(tmp_path)
    first.finish()
    first.close()
    assert RunFolder(tmp_path).open(OPTIONS, {})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("notes.txt", "mine", "no run"),
        ("run.json", '{"layout": 0, "options": {}}', "another version of tolerate"),
        ("run.json", '{"layo', "damaged"),
    ],
)
def test_a_folder_that_is_not_this_run_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(RunError, match=message):
        open_run(tmp_path)
    assert (tmp_path / name).read_text() == text


def test_clear_deletes_runs_only(tmp_path: Path) -> None:
    open_run(tmp_path / "run").close()
    RunFolder(tmp_path / "run").clear()
    assert not (tmp_path / "run").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="nothing was deleted"):
        RunFolder(tmp_path / "mine").clear()
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device.*--out"):
        write_whole(tmp_path / "x.json", b"{}")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_step_is_named(tmp_path: Path) -> None:
    folder = open_run(tmp_path)
    (tmp_path / "a.json").write_text('{"x"')
    with pytest.raises(RunError, match="a.json is damaged"):
        folder.once("a.json", dict)

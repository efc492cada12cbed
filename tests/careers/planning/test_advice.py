"""Advice on techniques."""

from pathlib import Path

from tests.support.careers import write_run_summary
from tolerate.careers.planning import advice


def test_advice_names_what_runs_on_this_machine_proved(tmp_path: Path) -> None:
    write_run_summary(tmp_path / "runs" / "digits")
    runs = advice.read_finished_runs(tmp_path / "runs")
    loose, strict = advice.advise("image", 0.15, runs), advice.advise("image", 0.03, runs)
    assert loose.measured[0].strategy.en == "vae" and strict.measured[0].tolerance == 0.02
    assert strict.measured[0].strategy.en == "flow, best of 4"
    assert not advice.advise("image", 0.005, runs).measured and not advice.advise("text", 0.15, runs).measured
    assert advice.read_finished_runs(tmp_path / "nowhere") == []

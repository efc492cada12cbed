"""The embedded atlas, and atlases on disk."""

from pathlib import Path

import pytest

from tolerate.careers.data.atlas import Atlas, load, save
from tolerate.errors import DataError


def test_the_embedded_atlas_is_complete(embedded_atlas: Atlas) -> None:
    assert 60 <= len(embedded_atlas.occupations) <= 80
    for code, occupation in embedded_atlas.occupations.items():
        assert (
            occupation.title_zh
            and occupation.severity
            and occupation.exactness
            and embedded_atlas.tasks[code]
        ), code
        assert 1 <= occupation.severity.low <= occupation.severity.value <= occupation.severity.high <= 5
        assert occupation.severity.estimated == (occupation.severity.low < occupation.severity.high)
    assert all(source.licence and source.date for source in embedded_atlas.sources)
    assert (
        embedded_atlas.strictness_by_code["29-1051.00"]
        > 0.9
        > 0.2
        > embedded_atlas.strictness_by_code["25-3041.00"]
    )


def test_an_atlas_survives_the_disk(embedded_atlas: Atlas, tmp_path: Path) -> None:
    save(embedded_atlas, tmp_path / "copy")
    copy = load(tmp_path / "copy")
    assert copy.occupations == embedded_atlas.occupations and copy.related == embedded_atlas.related
    assert all(copy.tasks[code] == embedded_atlas.tasks[code] for code in embedded_atlas.tasks)
    with pytest.raises(DataError, match="is not an atlas"):
        load(tmp_path)

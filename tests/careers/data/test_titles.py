"""Finding an occupation by its title."""

import pytest

from tolerate.careers.data import titles
from tolerate.careers.data.atlas import Atlas
from tolerate.errors import DataError


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("translator", "27-3091.00"),
        ("Translater", "27-3091.00"),
        ("翻译", "27-3091.00"),
        ("game artist", "27-1014.00"),
        ("游戏原画", "27-1014.00"),
        ("nurse", "29-1141.00"),
        ("前端", "15-1254.00"),
        ("27-3022.00", "27-3023.00"),
        ("15-1131.00", "15-1251.00"),
        ("video editing", "27-4032.00"),
        ("software enginer", "15-1252.00"),
        ("27-3091", "27-3091.00"),
    ],
)
def test_titles_are_found(embedded_atlas: Atlas, query: str, code: str) -> None:
    assert titles.find_occupation(embedded_atlas, query).code == code


def test_a_title_that_matches_nothing_names_the_nearest(embedded_atlas: Atlas) -> None:
    with pytest.raises(DataError, match='called "astronaut of artists"') as error:
        titles.find_occupation(embedded_atlas, "astronaut of artists")
    assert "Nearest:" in str(error.value) and "tolerate career data --from" in str(error.value)

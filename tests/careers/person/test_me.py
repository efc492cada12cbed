"""me.toml."""

from pathlib import Path

import pytest

from tolerate.careers.person import me
from tolerate.errors import DataError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("occupation = translator", "not valid TOML"),
        ('ocupation = "x"', 'Did you mean "occupation"'),
        ('occupation = "x"\n[[task]]\nseverity = 3', "neither text nor id"),
        ('occupation = "x"\n[[task]]\ntext = "a"\nerrors = 3', "both errors and checked"),
        ('occupation = "x"\n[[task]]\ntext = "a"\nlicensed = "yes"', "expected true or false"),
        ('occupation = "x"\n[wishes]\ntolerance = "strict"', "stricter"),
        ('occupation = "x"\n[harm]\nslip = "much"', "expected a number"),
        ('occupation = "x"\nage = 40', 'unknown key "age"'),
        ('occupation = "x"\n[[task]]\ntext = "a"\nkind = "pictures"', "Known: translation"),
    ],
)
def test_mistakes_in_me_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "me.toml").write_text(text)
    with pytest.raises(DataError, match=message):
        me.read_person(tmp_path / "me.toml")

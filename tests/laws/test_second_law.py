"""A second person on a share of an audit keeps the promise, whatever the share."""

import pytest
from scipy.stats import binom

from tests.runs.test_second_reader import chance_of_a_false_certificate


@pytest.mark.law
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_the_promise_holds_with_a_second_person(share: float) -> None:
    assert chance_of_a_false_certificate(share, 1000) <= float(binom.ppf(1 - 1e-4, 1000, 0.2)) / 1000

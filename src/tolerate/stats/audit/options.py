"""Options of an audit: checked once, and stored with its readings and in its certificate."""

from collections.abc import Mapping
from dataclasses import dataclass

from tolerate.base.json_types import JsonValue
from tolerate.errors import OptionError

START_SHARE = (
    0.2  # of the batch, in the first part of a search: small enough to be good, large enough to hold labels
)


@dataclass(frozen=True)
class AuditOptions:
    """Options of an audit; the fields are the parameters of `Audit`, where they are described.

    scores_sha256: of the scores as doubles; None if there are none.
    """

    items: int
    tolerance: float
    confidence: float
    seed: int
    expected: float | None = None
    power: float | None = None
    graded: bool = False
    withhold: tuple[float, ...] | None = None
    budget: int | None = None
    start: float = START_SHARE
    mend: bool = False
    second: float | None = None
    losses_by: str = ""
    scores_sha256: str | None = None

    def __post_init__(self) -> None:
        self._check_promise()
        self._check_power()
        self._check_budget()
        if self.mend and (self.graded or self.power is not None or self.scored):
            raise OptionError(
                "mending is for 0/1 losses and whole batches; leave out graded, and power and scores "
                "(--power, --score)"
            )
        if self.second is not None and not 0 < self.second <= 1:
            raise OptionError(f"second is {self.second}; expected a share of the items above 0, e.g. 0.1")

    @property
    def scored(self) -> bool:
        """Whether the audit has scores to choose parts of the batch by."""
        return self.scores_sha256 is not None

    def to_json(self) -> dict[str, JsonValue]:
        """The options as plain JSON values, as records and certificates of audits hold them."""
        fields: Mapping[str, JsonValue] = vars(self)
        withhold = None if self.withhold is None else list(self.withhold)
        return {"kind": "audit", **fields, "withhold": withhold}

    def _check_promise(self) -> None:
        if self.items < 1:
            raise OptionError(f"a batch of {self.items} items cannot be audited; expected at least one")
        if not 0 <= self.tolerance < 1:
            raise OptionError(f"tolerance is {self.tolerance}; expected a share from 0 to below 1, e.g. 0.02")
        if not 0 < self.confidence < 1:
            raise OptionError(
                f"confidence is {self.confidence}; expected a probability between 0 and 1, e.g. 0.95"
            )

    def _check_power(self) -> None:
        if (self.expected is None) != (self.power is None):
            raise OptionError(
                "expected and power go together: give both (0.005 and 0.9) to give up early, or neither"
            )
        if self.expected is not None and not 0 <= self.expected <= self.tolerance:
            raise OptionError(
                f"expected is {self.expected}; expected a share of wrong items up to the tolerance {self.tolerance}"
            )
        if self.graded and self.power is not None:
            raise OptionError(
                "giving up early is for 0/1 losses; leave out expected and power with graded=True"
            )
        if self.graded and self.tolerance == 0:
            raise OptionError("with graded losses the tolerance must be above 0, e.g. 0.001")

    def _check_budget(self) -> None:
        if self.budget is None:
            return
        if self.budget < 1:
            raise OptionError(
                f"a budget of {self.budget} labels proves nothing; expected at least one, e.g. 1000"
            )
        if not self.scored:
            raise OptionError(
                "a budget searches for the part that can go out, and needs scores= (--score) to order the items"
            )
        if self.withhold is not None or self.power is not None:
            raise OptionError("a budget finds the part by itself; leave out withhold, expected and power")

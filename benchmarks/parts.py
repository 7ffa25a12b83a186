"""What one run of the benchmarks consists of: shapes of models on data sets, and how much is measured of each."""

from dataclasses import dataclass

from benchmarks import variants


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One shape of model on one data set.

    Attributes:
        size: a key of `workload.SIZES`.
        data: a task's name or a data file; None: the default of `workload.load`.
        names: the variants that are timed; None: all.
        rounds: rounds on the clock; None: those of the size.
        batch: samples of the timed batch; None: those of the size.
        peaks: measure the memory of all variants that it is measured of, not only of those that targets need.
    """

    size: str
    data: str | None = None
    names: frozenset[str] | None = None
    rounds: int | None = None
    batch: int | None = None
    peaks: bool = False

    @property
    def title(self) -> str:
        """Size and data, as they stand over tables."""
        return f"{self.size}, {self.data or 'default data'}"


SUITE = (
    Part(size="4m", data="nl_rx_synth", peaks=True),
    Part(size="4m", data="spider"),
    Part(size="4m", data="gsm8k", rounds=3),
    Part(size="135m", data="nl_rx_synth", names=variants.MOST),
    Part(size="135m", data="spider", names=variants.CORE),
    Part(size="135m", data="gsm8k", names=variants.CORE, batch=2),
    Part(size="135m-128k", data="nl_rx_synth", names=variants.CORE),
)
"""Everything within fifteen minutes of one core; what costs more than it tells is left out of the large shapes."""

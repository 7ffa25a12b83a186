"""`python -m benchmarks.faults`: kills -9 of trainings and sweeps at random moments, and what is lost."""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.faults.sweeping import STAND_INS, TRAININGS, kill_sweeps, undisturbed
from benchmarks.faults.training import IN_A_STEP, kill_trainings


def main() -> int:
    """Kill trainings and sweeps; print what came of it, and return 1 if anything was lost, repeated or differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--trainings", type=int, default=20, metavar="N", help="kills of trainings (default: 20)")
    parser.add_argument("--steps", type=int, default=4, metavar="N", help="kills within a step of training (default: 4)")
    parser.add_argument("--sweeps", type=int, default=20, metavar="N", help="kills of a sweep of 12 trials (default: 20)")
    parser.add_argument("--pairs", type=int, default=6, metavar="N", help="kills of two sweeps that share one (default: 6)")
    parser.add_argument("--trained", action="store_true", help="let the trials of sweeps train (default: stand-ins)")
    parser.add_argument("--seed", type=int, default=82, help="of the moments (default: 82)")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        root = Path(folder)
        if options.trainings:
            found["trainings"] = kill_trainings(root, kills=options.trainings, seed=options.seed, say=_say).record()
        if options.steps:
            within: dict[str, Any] = {"kills": options.steps, "seed": options.seed, "say": _say}
            found["steps"] = kill_trainings(root / "steps", moments=IN_A_STEP, **within).record()
        if options.sweeps or options.pairs:
            peace = undisturbed(root, TRAININGS if options.trained else STAND_INS)
            _say(f"an undisturbed sweep takes {peace.pace:.1f} s a trial, for {len(peace.rows)} trials")
            for processes, kills in ((1, options.sweeps), (2, options.pairs)):
                if kills:
                    swept = kill_sweeps(root, peace, processes=processes, kills=kills, seed=options.seed, say=_say)
                    found[f"sweeps, {processes} at a time"] = swept.record()
    print(json.dumps(found, indent=2))
    wrong = ("different", "lost_bytes", "repeated")
    return int(any(part.get(name) for part in found.values() for name in wrong))


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())

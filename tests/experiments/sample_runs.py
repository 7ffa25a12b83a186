"""Run folders with made-up but lifelike numbers, for tests and for looking at a report."""

import json
import math
import random
from pathlib import Path

PROMPTS = [
    ("lines with a number before the string 'dog'", ".*[0-9].*dog.*"),
    ("lines that start with a vowel or a capital letter", "([AEIOUaeiou]|[A-Z]).*"),
    ("lines not containing the word 'ring' at least 4 times", "~((.*\\bring\\b.*){4,})"),
    ("lines ending with a lower-case letter", "(.*)([a-z])"),
    ("lines having a letter followed by 'truck', zero or more times", "((.*[A-Za-z].*)(truck).*)*"),
    ("lines containing a character and the string 'dog'", "(.*.*)&(.*dog.*)"),
    ("lines with words of 5 letters", "\\b[A-Za-z]{5}\\b"),
    ("lines which do not have a vowel before a number", "~(.*[AEIOUaeiou].*[0-9].*)"),
    ("lines with a capital letter, and a number at the end", "(.*[A-Z].*)&(.*[0-9])"),
    ("lines starting with the string 'dog' 2 or more times", "(dog){2,}.*"),
]
SEEDS = (4, 23, 37, 82, 84)
ARMS = {
    "plain": {"exact": 0.544, "matched": 0.62, "shuffled": 0.41, "retrieval": 0.21, "rank": 21.4, "weight": 0.0, "k": 0},
    "jepa": {"exact": 0.531, "matched": 0.93, "shuffled": 0.52, "retrieval": 0.64, "rank": 17.9, "weight": 0.05, "k": 1},
    "shuffled": {
        "exact": 0.529,
        "matched": 0.985,
        "shuffled": 0.98,
        "retrieval": 0.004,
        "rank": 2.3,
        "weight": 0.05,
        "k": 1,
    },
    "jepa weight 1": {
        "exact": 0.472,
        "matched": 0.999,
        "shuffled": 0.998,
        "retrieval": 0.001,
        "rank": 1.2,
        "weight": 1.0,
        "k": 1,
    },
}
CONFIG = """\
output: runs/{arm}/seed-{seed}
data: {{train: nl_regex, shuffle_pairs: {shuffled}}}
layout: {{k: {k}}}
objective:
  weight: {weight}
training: {{learning_rate: {rate}, num_train_epochs: 20}}
seed: {seed}
"""


def results(arm: str, seed: int, exact: float, **more: object) -> dict:
    """The least that a `results.json` holds, and more."""
    return {"arm": arm, "seed": seed, "split": "test", "examples": 2000, "exact": exact, **more}


def write_run(root: Path, row: dict, *, metrics: list[dict] | None = None, predictions: list[dict] | None = None) -> Path:
    """Write one run folder with the given results."""
    folder = root / str(row["arm"]).replace("/", "-") / f"seed-{row['seed']}"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(row))
    for name, lines in (("metrics.jsonl", metrics), ("predictions.jsonl", predictions)):
        if lines is not None:
            (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def write_sweep(
    root: Path, arms: tuple[str, ...] = tuple(ARMS), seeds: tuple[int, ...] = SEEDS, *, full: bool = False
) -> Path:
    """Write run folders of several arms and seeds, with all that a run leaves behind; `full`: and all that may be added."""
    for arm in arms:
        for seed in seeds:
            draw = random.Random(f"{arm} {seed}")
            values = ARMS[arm]
            predictions = _predictions(values, draw)
            folder = write_run(root, _results(arm, seed, draw), metrics=_metrics(values, draw), predictions=predictions)
            write_config(folder, arm, seed, weight=values["weight"], k=values["k"])
            write_environment(folder)
            if full:
                write_verdicts(folder, predictions)
                write_analysis(folder, values, draw)
                write_samples(folder, values, draw)
    return root


def write_grid(root: Path, *, seeds: tuple[int, ...] = SEEDS[:2], rates: tuple[float, ...] = (2e-5,)) -> Path:
    """Write the paper's grid of k and weight, with plain training at each learning rate; all JEPA runs are called "jepa"."""
    for rate in rates:
        for seed in seeds:
            draw = random.Random(f"grid {rate} {seed}")
            base = 0.5 + draw.gauss(0, 0.01)
            _write_cell(root / f"plain-{rate}", ("plain", seed, base), weight=0.0, k=0, rate=rate)
            for k in range(5):
                for weight in (0.5, 1.0, 2.0, 4.0):
                    score = base + 0.02 * k - 0.01 * abs(weight - 2) + draw.gauss(0, 0.006)
                    _write_cell(root / f"k{k}-w{weight}-{rate}", ("jepa", seed, score), weight=weight, k=k, rate=rate)
    return root


def _write_cell(root: Path, run: tuple[str, int, float], *, weight: float, k: int, rate: float) -> None:
    arm, seed, score = run
    validation = {"exact": round(score - 0.01, 4)}
    folder = write_run(root, results(arm, seed, round(score, 4), weight=weight, k=k, validation=validation))
    write_config(folder, arm, seed, weight=weight, k=k, rate=rate)


def write_config(folder: Path, arm: str, seed: int, *, weight: float, k: int, rate: float = 0.002) -> None:
    """Write the configuration of a run."""
    settings = {"weight": weight, "k": k, "shuffled": str(arm == "shuffled").lower(), "seed": seed, "rate": rate}
    (folder / "config.yaml").write_text(CONFIG.format(arm=arm.replace(" ", "-"), **settings))


def write_environment(folder: Path, **data: str) -> None:
    """Write the environment of a run, with the checksums of its data."""
    found = {"python": "3.11.7", "torch": "2.13.0", "data": {"train": "aa", "test": "bb"} | data}
    (folder / "environment.json").write_text(json.dumps(found, indent=2))


def write_verdicts(folder: Path, predictions: list[dict], *, measure: str = "exact") -> None:
    """Write what the scorer said on every prediction."""
    lines = [{"name": row["name"], measure: float(row["generated"] == row["expected"])} for row in predictions]
    (folder / "verdicts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_analysis(folder: Path, values: dict, draw: random.Random) -> None:
    """Write what `llm-jepa analyze` leaves in a run folder."""
    size = 12 * (1 - values["matched"]) + 0.02
    singular = [size * 30 / (i + 1) ** 1.2 for i in range(96)]
    text = [[draw.gauss(i % 5 * 8, 1.5), draw.gauss(i % 3 * 8, 1.5)] for i in range(120)]
    code = [[x + draw.gauss(2, 1), y + draw.gauss(-1, 1)] for x, y in text]
    row = {
        "singular_values": singular,
        "relative_singular_values": [value / singular[0] for value in singular],
        "mean_top_100": sum(singular) / len(singular),
        "linear_map_error": 3 * size,
        "unexplained": 0.21,
        "unexplained_held_out": None,
        "tsne": {"text": text, "code": code},
    }
    (folder / "analysis.json").write_text(json.dumps(row))


def write_samples(folder: Path, values: dict, draw: random.Random) -> None:
    """Write free continuations."""
    texts = ("a man riding a horse in a field", "two birds standing on top of a building", "a bowl of fruit on a table")
    lines: list[dict] = []
    for i, text in enumerate(texts, start=1):
        given, rest = text[:12], text[12:]
        generated = rest if draw.random() < values["exact"] else f"{rest[:6]}" + "." * 20
        lines.append({"name": f"t:{i}", "prompt": given, "expected": rest, "generated": generated})
        lines[-1] |= {"stopped": generated == rest, "tokens": 16}
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _results(arm: str, seed: int, draw: random.Random) -> dict:
    values = ARMS[arm]
    base = random.Random(seed).gauss(0, 0.008)
    exact = round(values["exact"] + base + draw.gauss(0, 0.006), 4)
    matched, shuffled = (min(values[key] + draw.uniform(-0.01, 0.0008), 1) for key in ("matched", "shuffled"))
    return results(
        arm,
        seed,
        exact,
        prefix=round(exact + 0.021, 4),
        stop_rate=0.996,
        cosine_matched=matched,
        cosine_shuffled=shuffled,
        cosine_gap=matched - shuffled,
        retrieval_at_1=max(0.0, round(values["retrieval"] * draw.uniform(0.9, 1.1), 3)),
        retrieval_candidates=1000,
        effective_rank=values["rank"] * draw.uniform(0.95, 1.05),
        weight=values["weight"],
        k=values["k"],
        tokens=1_130_000 if arm == "plain" else 1_620_000,
        flops=2.9e15 if arm == "plain" else 4.2e15,
        seconds=draw.uniform(300, 340),
        epoch_split="validation",
    )


def _metrics(values: dict, draw: random.Random) -> list[dict]:
    lines: list[dict] = []
    for step in range(0, 641, 4):
        part = step / 640
        token = 3.6 * math.exp(-5 * part) + 0.08 + draw.gauss(0, 0.03)
        grown = 1 - math.exp(-7 * part)
        matched = 0.1 + (values["matched"] - 0.1) * grown + draw.gauss(0, 0.006)
        shuffled = 0.08 + (values["shuffled"] - 0.08) * grown + draw.gauss(0, 0.006)
        line = {"step": step, "epoch": 20 * part, "loss": token, "next_token": token, "jepa": 1 - min(matched, 1)}
        line |= {"learning_rate": 0.002 * (1 - part), "grad_norm": 0.8, "arm": "text is ignored"}
        if step % 16 == 0:
            line |= {"cosine_matched": min(matched, 1), "cosine_shuffled": min(shuffled, 1)}
        if step and step % 32 == 0:
            line |= {"eval_accuracy": values["exact"] * (1 - math.exp(-4 * part)) + draw.gauss(0, 0.008)}
            line["flops"] = (4.2e15 if values["weight"] else 2.9e15) * part
        lines.append(line)
    return lines


def _predictions(values: dict, draw: random.Random) -> list[dict]:
    return [
        {
            "name": f"test.jsonl:{i + 1}",
            "prompt": f"<|user|>{prompt}<|assistant|>",
            "expected": expected,
            "generated": expected if draw.random() < values["exact"] else _mistaken(expected, draw),
            "stopped": draw.random() < 0.95,
            "tokens": len(expected) // 2,
        }
        for i, (prompt, expected) in enumerate(PROMPTS * 6)
    ]


def _mistaken(expected: str, draw: random.Random) -> str:
    pieces = [
        expected + ".*",
        expected.replace("[0-9]", "[A-Z]") if "[0-9]" in expected else expected + "{3,}",
        expected[: len(expected) // 2],
        expected.replace("dog", "truck") if "dog" in expected else "(" + expected + ")",
    ]
    return draw.choice(pieces)

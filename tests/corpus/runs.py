"""Mistakes in run folders, met by `report`, `analyze`, `evaluate`, `export` and the continuation of a run."""

from tests.corpus.case import Case, Step, append, case, copy, cut, keys, move, raw, remove, swap, write

ONE = "runs/plain/seed-4"


def reported(*steps: Step) -> Case:
    """Return a case of a spoiled run among those that are reported."""
    return case(*steps, command="report runs")


def finished(*steps: Step, command: str, leaves: tuple[str, ...] = ()) -> Case:
    """Return a case of the finished run of a real model."""
    return case(*steps, command=command, leaves=leaves)


RUNS: dict[str, Case] = {
    "no such folder": case(command="report nowhere"),
    "a file": case(command="report good.jsonl"),
    "no runs below": case(command="report model"),
    "results cut": reported(cut(f"{ONE}/results.json", 40)),
    "results empty": reported(cut(f"{ONE}/results.json", 0)),
    "results binary": reported(raw(f"{ONE}/results.json", bytes(range(256)))),
    "results is a list": reported(write(f"{ONE}/results.json", "[]")),
    "results nested deeply": reported(write(f"{ONE}/results.json", "[" * 100_000)),
    "results with too many digits": reported(write(f"{ONE}/results.json", "9" * 5000)),
    "results without an arm": reported(keys(f"{ONE}/results.json", arm=None)),
    "arm that is no name": reported(keys(f"{ONE}/results.json", arm="a\nb")),
    "seed as a word": reported(keys(f"{ONE}/results.json", seed="four")),
    "accuracy above 1": reported(keys(f"{ONE}/results.json", exact=50)),
    "accuracy as a word": reported(keys(f"{ONE}/results.json", exact="good")),
    "accuracy NaN": reported(keys(f"{ONE}/results.json", exact=float("nan"))),
    "examples 0": reported(keys(f"{ONE}/results.json", examples=0)),
    "titles as a list": reported(keys(f"{ONE}/results.json", titles=["a"])),
    "measure unknown": reported(keys(f"{ONE}/results.json", measure="bleu")),
    "a number out of range": reported(keys(f"{ONE}/results.json", flops=10**400)),
    "format of the future": reported(keys(f"{ONE}/results.json", format=2)),
    "format as a word": reported(keys(f"{ONE}/results.json", format="new")),
    "metrics: half a line": reported(append(f"{ONE}/metrics.jsonl", '{"step": 1')),
    "metrics: a list": reported(append(f"{ONE}/metrics.jsonl", "[]\n")),
    "metrics: not UTF-8": reported(lambda here: (here / ONE / "metrics.jsonl").write_bytes(b'{"\xff": 1}\n')),
    "predictions: half a line": reported(append(f"{ONE}/predictions.jsonl", '{"name": "a"')),
    "predictions: another object": reported(append(f"{ONE}/predictions.jsonl", '{"name": "a"}\n')),
    "predictions: wrong type": reported(swap(f"{ONE}/predictions.jsonl", '"tokens": ', '"tokens": 1.5')),
    "predictions: binary": reported(raw(f"{ONE}/predictions.jsonl", bytes(range(256)))),
    "config cut": reported(write(f"{ONE}/config.yaml", "data: {train")),
    "config is a list": reported(write(f"{ONE}/config.yaml", "- a\n")),
    "config with a Python object": reported(
        write(f"{ONE}/config.yaml", "a: !!python/object/apply:os.system ['touch stolen']\n")
    ),
    "config with an anchor in itself": reported(write(f"{ONE}/config.yaml", "a: &a {b: *a}\n")),
    "config with NUL": reported(raw(f"{ONE}/config.yaml", b"a: \0\n")),
    "environment cut": reported(write(f"{ONE}/environment.json", '{"data"')),
    "environment is a list": reported(write(f"{ONE}/environment.json", "[]")),
    "verdicts: half a line": reported(write(f"{ONE}/verdicts.jsonl", '{"name"')),
    "verdicts: wrong type": reported(write(f"{ONE}/verdicts.jsonl", '{"name": "a", "exact": "yes"}\n')),
    "analysis cut": reported(write(f"{ONE}/analysis.json", '{"tsne"')),
    "analysis: wrong type": reported(write(f"{ONE}/analysis.json", '{"tsne": {"text": [1, 2]}}')),
    "samples: half a line": reported(write(f"{ONE}/samples.jsonl", '{"name"')),
    "other rows": reported(keys(f"{ONE}/environment.json", data={"train": "aa", "test": "cc"})),
    "other number of rows": reported(keys(f"{ONE}/results.json", examples=7)),
    "another measure": reported(keys(f"{ONE}/results.json", measure="rouge", titles={"rouge": "ROUGE"}, rouge=0.5)),
    "the same run twice": case(copy(ONE, "runs/copy"), command="report runs"),
    "report where a file lies": case(command="report runs --output good.jsonl"),
    "report below a file": case(command="report runs --output good.jsonl/a"),
    "run to be analysed: config cut": finished(cut("run/config.yaml", 40), command="analyze run"),
    "run to be analysed: config unknown key": finished(append("run/config.yaml", "modle: 3\n"), command="analyze run"),
    "run to be analysed: config binary": finished(raw("run/config.yaml", bytes(range(256))), command="analyze run"),
    "run to be analysed: config empty": finished(cut("run/config.yaml", 0), command="analyze run"),
    "run to be analysed: no model": finished(remove("run/model/config.json"), command="analyze run"),
    "run to be analysed: slots cut": finished(cut("run/predictor.safetensors", 50), command="analyze run --no_tsne"),
    "run to be analysed: slots of another model": finished(
        copy("model/model.safetensors", "run/predictor.safetensors"),
        command="analyze run --no_tsne",
    ),
    "run to be analysed: weights cut": finished(cut("run/model/model.safetensors", 900), command="analyze run --no_tsne"),
    "run to be analysed: data gone": finished(remove("rows.jsonl"), command="analyze run --no_tsne"),
    "run evaluated: config not UTF-8": finished(
        raw("run/config.yaml", b"output: \xff\n"), command="evaluate run rows.jsonl"
    ),
    "run exported: results cut": finished(cut("run/results.json", 30), command="export run final"),
    "run exported: results is a list": finished(write("run/results.json", "[]"), command="export run final"),
    "run exported: results binary": finished(raw("run/results.json", bytes(range(256))), command="export run final"),
    "run exported: config cut": finished(cut("run/config.yaml", 40), command="export run final"),
    "run exported: config binary": finished(raw("run/config.yaml", bytes(range(256))), command="export run final"),
    "run exported: a checkpoint without weights": finished(
        remove("run/checkpoints/checkpoint-1/model.safetensors"), command="export run final --checkpoint 1"
    ),
    "run exported: a checkpoint cut": finished(
        cut("run/checkpoints/checkpoint-1/model.safetensors", 900), command="export run final --checkpoint 1"
    ),
    "run exported: a checkpoint with a pickle": finished(
        move("run/checkpoints/checkpoint-1/model.safetensors", "run/checkpoints/checkpoint-1/pytorch_model.bin"),
        command="export run final --checkpoint 1",
    ),
    "run exported: a checkpoint that leaves the folder": finished(command="export run final --checkpoint ../../model"),
    "run exported: a checkpoint named oddly": finished(
        lambda here: (here / "run/checkpoints/checkpoint-1x").mkdir(), command="export run final --checkpoint 7"
    ),
    "run continued with another config": finished(command="train tuned.yaml --seed 3"),
    "run continued: config binary": finished(raw("run/config.yaml", bytes(range(256))), command="train tuned.yaml"),
    "evaluation of something else": finished(
        write("e/evaluation-settings.json", "{}"), command="evaluate model rows.jsonl --output e"
    ),
    "evaluation settings cut": finished(
        write("e/evaluation-settings.json", '{"a'), command="evaluate model rows.jsonl --output e"
    ),
    "evaluation settings binary": finished(raw("e", b""), command="evaluate model rows.jsonl --output e"),
}

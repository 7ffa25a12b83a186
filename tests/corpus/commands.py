"""Mistakes on the command line, and in what several runs are to show together."""

from tests.corpus.case import Case, case, write


def line(command: str, *, leaves: tuple[str, ...] = ()) -> Case:
    """Return a case of a command line alone."""
    return case(command=command, leaves=leaves)


COMMANDS: dict[str, Case] = {
    "unknown verb": line("trian mine.yaml"),
    "a verb in capitals": line("TRAIN mine.yaml"),
    "an option before the verb": line("--config mine.yaml train"),
    "train without anything": line("train"),
    "train with a typo": line("train mine.yaml --objective.wieght 1"),
    "train with a value missing": line("train mine.yaml --seed"),
    "train with two configs": line("train mine.yaml tuned.yaml"),
    "train with minutes below 0": line("train mine.yaml --max_minutes -1"),
    "train with minutes as a word": line("train mine.yaml --max_minutes soon"),
    "train with NaN minutes": line("train mine.yaml --max_minutes nan"),
    "evaluate without data": line("evaluate model"),
    "evaluate with a limit of 0": line("evaluate model rows.jsonl --limit 0"),
    "evaluate with a superscript": line("evaluate model rows.jsonl --limit ²"),
    "evaluate with an unknown scorer": line("evaluate model rows.jsonl --scorer Best"),
    "evaluate with an unknown back end": line("evaluate model rows.jsonl --backend tpu"),
    "evaluate a task that is not there": line("evaluate model gsm8k --folder nowhere"),
    "evaluate a split that is not there": line("evaluate model nl_regex --split trial"),
    "evaluate into a model": line("evaluate model rows.jsonl --output model"),
    "evaluate into a file": line("evaluate model rows.jsonl --output good.jsonl"),
    "compare without anything": line("compare"),
    "compare with seeds as words": line("compare mine.yaml --seeds a b"),
    "compare with a seed twice": line("compare mine.yaml --seeds 1 1"),
    "compare without seeds": line("compare mine.yaml --seeds"),
    "compare with a seed below 0": line("compare mine.yaml --seeds -1"),
    "compare with an unknown arm": line("compare mine.yaml --only plian"),
    "compare with arms that are none": line("compare mine.yaml --arms hello"),
    "compare with an arm named twice": line("compare mine.yaml --arms '{jepa: {layout.k: 1}}'"),
    "compare with an arm's typo": line("compare mine.yaml --arms '{light: {objective.wieght: 1}}'"),
    "compare with arms of one folder": line("compare mine.yaml --arms '{a b: {layout.k: 1}, a/b: {layout.k: 2}}'"),
    "compare with an arm of dots": line("compare mine.yaml --arms '{../..: {layout.k: 1}}'"),
    "compare with workers below 0": line("compare mine.yaml --workers -1"),
    "compare at the same compute without plain": line("compare mine.yaml --match_compute --only jepa"),
    "compare without weight": line("compare mine.yaml --objective.weight 0"),
    "compare without rows to score": line("compare mine.yaml --data.test null"),
    "sweep without anything": line("sweep"),
    "sweep without validation": line("sweep mine.yaml"),
    "sweep without test": line("sweep mine.yaml --data.test null --data.validation good.jsonl"),
    "sweep with rates below 0": line("sweep mine.yaml --data.validation good.jsonl --learning_rates -1"),
    "sweep with no weights": line("sweep mine.yaml --data.validation good.jsonl --weights"),
    "sweep with ks as words": line("sweep mine.yaml --data.validation good.jsonl --ks two"),
    "sweep with more search seeds than seeds": line(
        "sweep mine.yaml --data.validation good.jsonl --seeds 1 --search_seeds 2"
    ),
    "sweep with an unknown search": line("sweep mine.yaml --data.validation good.jsonl --search bayes"),
    "sweep with trials of a grid": line("sweep mine.yaml --data.validation good.jsonl --trials 4"),
    "sweep with a database that is none": line(
        "sweep mine.yaml --data.validation good.jsonl --storage nowhere", leaves=("out", "out/sweep.yaml")
    ),
    "sweep that shuffles": line("sweep mine.yaml --data.validation good.jsonl --data.shuffle_pairs true"),
    "sweep into something else": line("sweep mine.yaml --data.validation good.jsonl --output model"),
    "sweep with another plan": case(
        write("out/sweep.yaml", "plan: {ks: [1]}\nconfig: {}\n"),
        command="sweep mine.yaml --data.validation good.jsonl",
    ),
    "sweep with a plan cut": case(
        write("out/sweep.yaml", "plan: {ks: [1"), command="sweep mine.yaml --data.validation good.jsonl"
    ),
    "sweep with a plan that is a list": case(
        write("out/sweep.yaml", "- a\n"), command="sweep mine.yaml --data.validation good.jsonl"
    ),
    "sweep with a database cut": case(
        write("out/sweep.db", "nothing"), command="sweep mine.yaml --data.validation good.jsonl", leaves=("out/sweep.yaml",)
    ),
    "replay of nothing": line("sweep --replay nowhere"),
    "replay of no grid": line("sweep --replay runs"),
    "inspect nothing": line("inspect"),
    "inspect with a number below 0": line("inspect mine.yaml --examples -1"),
    "preflight with one step": line("preflight mine.yaml --steps 1"),
    "preflight without anything": line("preflight"),
    "analyze without models": line("analyze"),
    "analyze nowhere": line("analyze nowhere"),
    "analyze a model twice": line("analyze run run"),
    "analyze without data": line("analyze model"),
    "analyze without pairs": line("analyze model --data rows.jsonl --limit 1 --no_tsne"),
    "analyze into something else": line("analyze run --output model"),
    "export without a folder": line("export run"),
    "export nowhere": line("export nowhere final"),
    "export what is no run": line("export model final"),
    "export an adapter that is not there": line("export run final --adapter"),
    "export a checkpoint that is not there": line("export run final --checkpoint 99"),
    "export onto the run": line("export run run"),
    "export onto something else": line("export run runs --overwrite"),
    "export onto a model": line("export run model"),
    "report without folders": line("report"),
    "report with an unknown option": line("report runs --titel x"),
    "reproduce nothing": line("reproduce"),
    "reproduce an unknown table": line("reproduce table-99"),
    "reproduce at an unknown scale": line("reproduce table-2 --scale huge"),
    "reproduce with an unknown preset": line("reproduce table-2 --presets wrong"),
    "reproduce with unknown arms": line("reproduce table-2 --scale tiny --only nothing"),
    "reproduce with unknown studies": line("reproduce table-2 --scale tiny --studies nothing"),
    "reproduce with a seed twice": line("reproduce table-2 --scale tiny --seeds 1 1"),
    "reproduce with data that are not there": line("reproduce table-2 --scale tiny --data_folder nowhere"),
    "data with an unknown command": line("data describ x"),
    "data describe nothing": line("data describe"),
    "data describe an unknown task": line("data describe spidr"),
    "demo with an unknown model": line("demo --model large"),
    "demo with a seed twice": line("demo --seeds 1 1"),
}

"""Groups of captions that say the same: view i predicts view i + 1, and every view is a trained sequence of its own.

On the hub (cestwc/paraphrase, split "coco") a row is one caption, with the columns "paraphrase_set_id", "text" and "id";
captions of one set make one group, in the order of the rows. The official code reads pairs instead: caption i as the user's
message and caption i + 1 as the assistant's. A row of that kind becomes a group of two, so that captions in the middle are
trained on twice.
"""

from collections.abc import Iterable, Iterator

from llm_jepa.errors import UserError
from llm_jepa.records import Example
from llm_jepa.scoring.text import TextScorer
from llm_jepa.tasks.columns import MESSAGES, Columns, to_example
from llm_jepa.tasks.official import from_chat, text_column
from llm_jepa.tasks.task import TRAIN, Cut, HubSplit, Row, Split, Task

GROUP = "paraphrases"


def from_file(row: Row, name: str) -> Example:
    """Return the example of a row with a list "paraphrases", or of an official row with "messages".

    Raises:
        UserError: the row has neither, or fewer than two captions.
    """
    if MESSAGES in row:
        pair = [view.content for view in from_chat(row, name).views]
        row = {GROUP: pair}
    if GROUP not in row:
        raise UserError(f"{name}: the row has neither '{GROUP}' nor '{MESSAGES}'; give a list of captions as '{GROUP}'")
    return to_example({GROUP: row[GROUP]}, name=name, columns=Columns())


def gather(rows: Iterable[Row]) -> Iterator[Row]:
    """Return one row a set, with its captions, in the order in which the sets begin; sets of one caption are left out."""
    sets: dict[object, list[str]] = {}
    for number, row in enumerate(rows, start=1):
        name = f"cestwc/paraphrase:{number}"
        if row.get("paraphrase_set_id") is None:
            raise UserError(f"{name}: 'paraphrase_set_id' is missing; read the split 'coco' of that data set")
        sets.setdefault(row["paraphrase_set_id"], []).append(text_column(row, "text", name))
    return ({GROUP: captions} for captions in sets.values() if len(captions) > 1)


TASK = Task(
    name="paraphrase",
    title="Paraphrase",
    source="https://huggingface.co/datasets/cestwc/paraphrase, captions of MSCOCO (Chen et al. 2015, arXiv:1504.00325)",
    licence="not stated by the data set; MSCOCO's captions are commonly cited as CC BY 4.0",
    splits={
        TRAIN: Split(
            files=("paraphrase_train.jsonl",),
            hub=HubSplit(dataset="cestwc/paraphrase", split="coco", revision="12915f751302ac4841dace037967ca5db8f6dfdb"),
        ),
        "coco_val2017": Split(
            files=("paraphrase_coco_val2017.jsonl",), note="a stand-in: 5,000 groups of COCO 2017 validation captions"
        ),
        "flickr8k": Split(files=("paraphrase_flickr8k.jsonl",), note="a stand-in: 8,091 groups of five Flickr8k captions"),
    },
    validation=Cut(size=500),
    from_file=from_file,
    from_hub=from_file,
    gather=gather,
    scorer=lambda _: TextScorer(),
    traps=(
        "There is no test set: the paper pretrains on it and fine-tunes on Rotten Tomatoes and Yelp.",
        "The paper calls the groups groups of five; sets of other sizes are kept as they are, sets of one are left out.",
        "Two captions of a group can be the same string (7 groups of coco_val2017, 10 of flickr8k): such a pair is "
        "predicted by copying.",
    ),
)

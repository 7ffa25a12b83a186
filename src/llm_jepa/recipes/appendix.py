"""Tables 8 to 15 of the paper, those of its appendix."""

from llm_jepa.recipes.examples import Analysis, SideBySide
from llm_jepa.recipes.facts import (
    GEMMA_2B,
    GSM8K,
    LLAMA_1B,
    LLAMA_1B_RANDOM,
    LLAMA_3B,
    LLAMA_8B,
    OLMO_1B,
    OLMO_7B,
    OPENELM_1B,
    ROTTEN_TOMATOES,
    SPIDER,
    SYNTH,
    TURK,
    YELP,
    Rows,
)
from llm_jepa.recipes.readings import LINEAR_ERROR, TOP_SINGULAR
from llm_jepa.recipes.recipe import Claim, Gain, Recipe, Stated, Study
from llm_jepa.recipes.studies import MAIN, MAIN_RATE, jepa, main_pair, pair, plain, shuffled, study
from llm_jepa.recipes.tables import PARAPHRASE_DATA, paraphrases

_RANKS = (
    (32, "6.09 ± 0.55", "7.45 ± 1.87"),
    (64, "21.09 ± 1.90", "32.46 ± 1.26"),
    (128, "34.21 ± 2.82", "48.45 ± 3.66"),
    (256, "45.57 ± 4.52", "60.80 ± 2.31"),
    (512, "50.18 ± 5.15", "72.41 ± 2.94"),
)


def _ranks() -> Study:
    arms, claims, gains = [plain(), jepa(*MAIN), shuffled(*MAIN)], list[Claim](), list[Gain]()
    for rank, *stated in _RANKS:
        at, change = f" rank {rank}", {"model__lora__rank": rank}
        pair_of_arms = (plain(at, **change), jepa(*MAIN, at, **change))
        arms.extend(pair_of_arms)
        for arm, name, text in zip(pair_of_arms, ("plain", "LLM-JEPA"), stated, strict=True):
            claims.append(Claim(setting=f"LoRA rank {rank}, {name}", arm=arm.name, paper=Stated(text)))
        gains.append(Gain(treatment=pair_of_arms[1].name, control=pair_of_arms[0].name))
    claims += [
        Claim(setting="full, plain", arm="plain", paper=Stated("57.29 ± 5.32")),
        Claim(
            setting="full, LLM-JEPA",
            arm=arms[1].name,
            paper=Stated("70.42 ± 2.36"),
            note="Table 12 has 71.46 ± 1.34 for the same setting, and Table 10 this number for k = 0",
        ),
    ]
    gains.append(Gain(treatment=arms[1].name, control="plain"))
    return study(LLAMA_1B, SYNTH, MAIN_RATE, arms, claims=tuple(claims), gains=tuple(gains))


TABLE_8 = Recipe(
    name="table-8",
    title="LoRA against full fine-tuning",
    shows="At every rank LLM-JEPA has the higher accuracy, and at rank 512 that of full fine-tuning.",
    studies=(_ranks(),),
    deviations=(
        "The official code freezes the [PRED] rows under LoRA; here they are trained under correct.",
        "The paper does not test these differences.",
        "The shuffled control is trained without LoRA alone.",
    ),
)


def _second_stage(rows: Rows, rate: float, stated: tuple[str, str], p: str) -> Study:
    first = paraphrases()
    names = [arm.name for arm in first.arms]
    settings = ("pretrained plain", "pretrained by LLM-JEPA (λ = 0.5, k = 2)")
    claims = [
        Claim(setting=setting, arm=name, paper=Stated(text))
        for setting, name, text in zip(settings, names[:2], stated, strict=True)
    ]
    control = Claim(setting="pretrained on shuffled pairs, the control", arm=names[2])
    arms = tuple(type(arm)(name=arm.name, kind=arm.kind, overrides={"objective.weight": 0.0}) for arm in first.arms)
    gains = (Gain(treatment=names[1], control=names[0], p=p), Gain(treatment=names[1], control=names[2]))
    return study(
        LLAMA_1B_RANDOM,
        rows,
        rate,
        arms,
        epochs=1,
        claims=(*claims, control),
        gains=gains,
        pretrained=first,
    )


TABLE_9 = Recipe(
    name="table-9",
    title="Pretraining on paraphrases, then fine-tuning on sentiment",
    shows="The JEPA term is in the pretraining alone. Five pretrained models an arm, each fine-tuned five times for one "
    "epoch.",
    studies=(
        _second_stage(ROTTEN_TOMATOES, 4e-5, ("56.57 ± 1.66", "57.76 ± 1.33"), "7.38e-4"),
        _second_stage(YELP, 8e-5, ("26.46 ± 0.92", "27.15 ± 0.93"), "1.00e-3"),
    ),
    deviations=(
        PARAPHRASE_DATA,
        "The paper's p seems to rest on 25 pairs. The five fine-tunings of one pretrained model are no independent "
        "observations: ours are averaged first, so the test has as many pairs as there are pretrained models.",
        "Run number 82023 is the model pretrained with seed 82, fine-tuned with the random state that this number gives.",
        "Yelp's official training file (about 8,000 rows) could not be had; 8,000 rows are drawn from the hub's 650,000.",
    ),
)

_RATIOS = (
    ("0.0", 0.0, 1.0, "0.00 ± 0.00"),
    ("0.01", 0.01, 1.0, "1.38 ± 0.06"),
    ("0.1", 0.1, 1.0, "45.80 ± 5.04"),
    ("1.0", 1.0, 1.0, "70.42 ± 2.36"),
    ("10.0", 1.0, 0.1, "67.52 ± 1.45"),
    ("100.0", 1.0, 0.01, "66.83 ± 3.89"),
)


def _ratios() -> Study:
    arms, claims = [plain()], list[Claim]()
    for ratio, gamma, weight, stated in _RATIOS:
        arm = jepa(weight, 0) if gamma == 1 else jepa(weight, 0, f" gamma {gamma:g}", objective__gamma=gamma)
        arms.append(arm)
        setting = f"γ/λ = {ratio} (γ = {gamma:g}, λ = {weight:g})"
        claims.append(Claim(setting=setting, arm=arm.name, paper=Stated(stated)))
    arms.append(shuffled(1.0, 0))
    claims.append(Claim(setting="γ/λ = ∞ (γ = 1, λ = 0)", arm="plain", paper=Stated("57.29 ± 5.32")))
    return study(LLAMA_1B, SYNTH, MAIN_RATE, arms, claims=tuple(claims))


TABLE_10 = Recipe(
    name="table-10",
    title="The ratio of the two terms",
    shows="Without the next-token term nothing is generated: the JEPA term regularises, it does not replace.",
    studies=(_ratios(),),
    deviations=("Table 8 has 70.42 ± 2.36 for k = 1, the number of this table for k = 0.",),
)

TEXTS_11 = (
    "lines ending with a vowel or starting with a character",
    "lines containing either a lower-case letter, a vowel, or a letter",
    "lines starting with the string 'dog' before a vowel",
    "lines not containing a letter and the string 'dog'",
    "lines with a character before a vowel and the string 'dog', zero or more times",
    "lines with a vowel at least once before not a character",
)

TABLE_11 = Recipe(
    name="table-11",
    title="More regular expressions, side by side",
    shows="As Table 1, for six more texts.",
    studies=(main_pair(),),
    seeds=(82,),
    extras=(SideBySide(texts=TEXTS_11),),
    deviations=(
        "The paper's own outputs are not quoted: its text has lost braces and colours. It does not say which seed it shows.",
    ),
)


def families() -> tuple[Study, ...]:
    """Return the four model families of Table 12 and Figure 1, left."""
    return (
        main_pair(),
        pair(GEMMA_2B, SYNTH, 1e-5, (2.0, 4), stated=("33.65 ± 3.24", "43.12 ± 2.61"), p="5.5e-3"),
        pair(OPENELM_1B, SYNTH, 8e-5, (4.0, 3), stated=("12.07 ± 1.81", "25.40 ± 2.40"), p="5.1e-4"),
        pair(OLMO_1B, SYNTH, 8e-5, (2.0, 0), stated=("87.09 ± 0.36", "87.52 ± 0.29"), p="2.5e-3"),
    )


TABLE_12 = Recipe(
    name="table-12",
    title="Four model families on NL-RX-SYNTH",
    shows="LLM-JEPA is better in every family; each cell is the best of the configurations tried.",
    studies=families(),
    deviations=(
        "Where the stop token is not trained (Llama, OpenELM), the gains are large; where it is (OLMo), they are small.",
        "The official evaluator replaces the model's stop tokens: Gemma never stops at the end of its turn.",
    ),
)

TABLE_13 = Recipe(
    name="table-13",
    title="Three more data sets",
    shows="LLM-JEPA is better on each; every cell is the best of the configurations tried.",
    studies=(
        pair(LLAMA_1B, TURK, 2e-5, (1.0, 1), stated=("22.49 ± 1.91", "30.94 ± 1.13"), p="2.4e-4"),
        pair(LLAMA_1B, GSM8K, 2e-5, (0.5, 4), stated=("32.36 ± 0.58", "36.36 ± 0.20"), p="9.6e-5"),
        pair(LLAMA_1B, SPIDER, 4e-5, (1.0, 3), stated=("47.52 ± 2.44", "50.55 ± 2.08"), p="4.0e-3"),
    ),
    deviations=(
        "Spider is split by row: 72 % of the test queries are in the training rows. Figure 7 has its grid at learning "
        "rate 1e-5, this table has 4e-5.",
        "Spider's official evaluator takes invalid SQL for an empty result and compares in order; here an error is wrong "
        "and rows are compared as a multiset unless the gold query orders them.",
        "GSM8K's official evaluator stops an answer after 128 tokens, where a quarter of the gold solutions go on; here "
        "after 512.",
        "Independent replications of Spider find no gain.",
    ),
)


def _linear() -> Study:
    stated = (
        ("base", "base model", "3953.11", "310.73"),
        ("plain", "plain", "3035.01", "341.80"),
        (jepa(*MAIN).name, "LLM-JEPA (k = 1)", "4.47", "94.84"),
        (jepa(1.0, 0).name, "LLM-JEPA (k = 0)", "4.04", "16.82"),
    )
    claims = [
        Claim(setting=setting, arm=arm, paper=Stated(text), reading=reading)
        for arm, setting, error, top in stated
        for reading, text in ((LINEAR_ERROR, error), (TOP_SINGULAR, top))
    ]
    return study(LLAMA_1B, SYNTH, MAIN_RATE, analysed_arms(), claims=tuple(claims))


def analysed_arms() -> tuple:
    """Return the arms that Table 14 and Figures 3, 4 and 6 look into."""
    return (plain(), jepa(*MAIN), jepa(1.0, 0), shuffled(*MAIN))


TABLE_14 = Recipe(
    name="table-14",
    title="How linear the way from Text to Code is",
    shows="The least-squares error and the singular values of Enc(Text) − Enc(Code) fall by orders of magnitude. They "
    "also do when all embeddings collapse onto one direction, which the analysis tells apart.",
    studies=(_linear(),),
    seeds=(82,),
    extras=(Analysis(),),
    deviations=(
        "There is no official code for these numbers, and the paper does not say on how many rows they rest; both "
        "numbers grow with it.",
        "Embeddings are read as training reads them; the official t-SNE reads the end of the generation prompt, without "
        "[PRED].",
    ),
)

TABLE_15 = Recipe(
    name="table-15",
    title="Model sizes",
    shows="LLM-JEPA is better at every size.",
    studies=(
        main_pair(),
        pair(LLAMA_3B, SYNTH, 2e-5, (2.0, 0), stated=("74.55 ± 3.58", "77.16 ± 3.66"), p="0.0352"),
        pair(
            LLAMA_8B,
            SYNTH,
            2e-5,
            (2.0, 0),
            stated=("35.77 ± 6.60", "63.57 ± 16.81"),
            p="0.0131",
            note="the paper leaves open whether this is exact match or prefix match (A.7); here it is exact match",
        ),
        pair(OLMO_7B, SYNTH, 2e-5, (20.0, 2), stated=("87.26 ± 0.27", "87.75 ± 0.33"), p="0.0345"),
    ),
    deviations=(
        "λ = 20 for OLMo 7B is not on the paper's grid.",
        "The 8B model does not learn to stop under the official labels, which is what its accuracy is about (A.7).",
    ),
)

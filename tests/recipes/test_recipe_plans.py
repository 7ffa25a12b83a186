"""Recipes as data: every configuration is one that can be trained, recipes share runs, and wrong names are one sentence."""

import pytest

from llm_jepa.cli import main
from llm_jepa.errors import UserError
from llm_jepa.experiments.presets import Preset
from llm_jepa.experiments.results.collected import JEPA, PLAIN, SHUFFLED
from llm_jepa.model.load import load_model
from llm_jepa.recipes import facts
from llm_jepa.recipes.hours import PEAK, UTILISATION, cost, training_flops
from llm_jepa.recipes.plan import Plan
from llm_jepa.recipes.recipe import starts
from llm_jepa.recipes.registry import RECIPES
from llm_jepa.recipes.scales import Paper, Place, Tiny

EACH = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())


def plan_of(recipe, tmp_path, scale, **options):
    return Plan(recipe=recipe, scale=scale, place=Place(root=tmp_path), seeds=(82,), **options)


@EACH
@pytest.mark.parametrize("preset", list(Preset))
def test_the_first_and_last_arm_of_every_study_is_a_configuration(recipe, preset, tmp_path):
    plan = plan_of(recipe, tmp_path, Paper())
    for study in (*starts(recipe.studies), *recipe.studies):
        for arm in (study.arms[0], study.arms[-1]):
            found = plan.described(study, arm, preset)
            assert found.objective.weight == arm.overrides["objective.weight"]
            assert found.layout.k == arm.overrides.get("layout.k", 1)
            assert found.training["learning_rate"] == study.settings["training.learning_rate"]
            assert found.data.validation_size == 0
            step = found.training["per_device_train_batch_size"] * found.training["gradient_accumulation_steps"]
            assert step == 128


def test_every_design_of_table_3_is_a_configuration_of_its_own(tmp_path):
    plan = plan_of(RECIPES["table-3"], tmp_path, Paper())
    (study,) = plan.recipe.studies
    found = {arm.kind: plan.described(study, arm, Preset.correct) for arm in study.arms}
    distances = {kind: type(each.objective.distance).__name__ for kind, each in found.items()}
    assert distances == {
        **dict.fromkeys(("plain", "jepa", "shuffled", "prepend", "code-to-text"), "Cosine"),
        **{"l2-norm": "L2", "mse": "MeanSquaredError", "infonce": "InfoNCE"},
    }
    assert [kind for kind, each in found.items() if each.layout.prepend] == ["prepend"]
    assert [kind for kind, each in found.items() if each.layout.direction.name == "code_to_text"] == ["code-to-text"]
    assert [kind for kind, each in found.items() if each.data.shuffle_pairs] == ["shuffled"]


def test_a_name_stands_for_one_configuration_in_all_recipes():
    known = {}
    for recipe in RECIPES.values():
        for study in (*starts(recipe.studies), *recipe.studies):
            start = None if study.pretrained is None else study.pretrained.name
            for arm in study.arms:
                described = (study.settings, start, arm.kind, arm.overrides, study.model, study.rows)
                assert known.setdefault((study.name, arm.folder), described) == described


def test_table_12_has_the_runs_of_table_1_in_the_same_folders(tmp_path):
    first, second = (plan_of(RECIPES[name], tmp_path, Paper()) for name in ("table-1", "table-12"))
    runs = [{job.experiment.output: job.experiment for stage in plan.stages() for job in stage} for plan in (first, second)]
    assert len(runs[0]) == 6
    assert len(runs[1]) == 24
    assert runs[0].items() <= runs[1].items()


@EACH
def test_every_study_has_plain_training_and_claims_about_its_own_arms(recipe):
    for study in recipe.studies:
        names = [arm.name for arm in study.arms]
        assert PLAIN in {arm.kind for arm in study.arms}
        assert len(set(names)) == len(names)
        assert {claim.arm for claim in study.claims} <= {*names, "base"}
        assert {name for gain in study.gains for name in (gain.treatment, gain.control)} <= set(names)
        if recipe.small is not None:
            assert recipe.small <= {arm.name for other in recipe.studies for arm in other.arms}


def test_the_control_on_shuffled_pairs_is_in_every_recipe_but_the_grid():
    without = {
        name
        for name, recipe in RECIPES.items()
        if any(SHUFFLED not in {arm.kind for arm in study.arms} for study in recipe.studies)
    }
    assert without == {"figure-7"}


def test_two_stages_start_every_second_run_from_the_model_of_the_same_arm_and_first_seed(tmp_path):
    plan = Plan(
        recipe=RECIPES["table-9"], scale=Paper(), place=Place(root=tmp_path), seeds=(82, 4), presets=(Preset.correct,)
    )
    first, second = plan.stages()
    outputs = [job.experiment.output for job in first]
    assert len(first) == 3 * 2
    assert len(second) == 2 * 3 * 4
    for job in second:
        start = str(job.experiment.model.name)
        assert start.removesuffix("/model") in outputs
        assert f"/{job.experiment.output.split('/')[-2]}/seed-{job.experiment.seed // 1000}/" in start
        assert job.experiment.seed % 1000 in (82, 4)
        assert job.experiment.objective.weight == 0
        assert job.experiment.training["num_train_epochs"] == 1
    assert {job.arm for job in second} == {PLAIN, JEPA, SHUFFLED}


def test_pretraining_has_the_paper_models_shape_and_random_weights(tmp_path):
    plan = plan_of(RECIPES["table-2"], tmp_path, Paper())
    (study,) = plan.recipe.studies
    model = plan.described(study, study.arms[1], Preset.correct).model
    assert (model.name, model.tokenizer) == (None, "meta-llama/Llama-3.2-1B-Instruct")
    assert model.config is not None
    assert model.config["num_hidden_layers"] == 16
    assert model.config["rope_parameters"]["factor"] == 32.0


MODELS = {model.key: model for model in vars(facts).values() if isinstance(model, facts.Model)}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_the_small_models_have_the_family_s_architecture_and_about_0_4_million_parameters(model, tmp_path, words):
    recipe = RECIPES["table-2"]
    config = {**model.tiny, "vocab_size": 512}
    plan = plan_of(recipe, tmp_path, Tiny())
    described = plan.described(recipe.studies[0], recipe.studies[0].arms[0], Preset.correct).model
    made = load_model(type(described)(config=config), words, seed=0)
    assert made.config.model_type == model.tiny["model_type"]
    assert 0.25e6 < made.num_parameters() < 0.65e6


def test_the_cost_is_six_operations_a_parameter_and_token_at_forty_percent_of_the_peak():
    recipe = RECIPES["table-2"]
    (study,) = recipe.studies
    plain, jepa = study.arms[:2]
    assert training_flops(study, plain) == pytest.approx(6 * 1.24e9 * 8000 * 71.1 * 4)
    assert training_flops(study, jepa) == pytest.approx(6 * 1.24e9 * 8000 * (71.1 + 3 + 13.4) * 4)
    found = cost(recipe.studies, lambda study: study.arms[:1], presets=[Preset.correct], seeds=1)
    besides = 63 * 64 * 0.025 + 20 + 2 * 4 * 1.24
    assert found.hours * 3600 == pytest.approx(found.flops / (990e12 * 0.4) + besides)
    assert (PEAK, UTILISATION, found.runs) == (990e12, 0.4, 1)
    assert found.memory == {Preset.correct: pytest.approx(16 * 1.24)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tabel-2"], "error: there is no recipe 'tabel-2'; did you mean 'table-2'?; `llm-jepa reproduce --list` has all"),
        (["figure-2"], "error: figure-2 is a drawing of the method; it shows no result; `llm-jepa reproduce --list`"),
        ([], "error: name a table or figure, such as table-2; `llm-jepa reproduce --list` names them all"),
        (
            ["table-2", "--only", "jeppa"],
            "error: --only: there is no arm 'jeppa'; did you mean 'jepa'?; there are plain, jepa,",
        ),
        (["table-2", "--studies", "llama"], "error: --studies: there is no study 'llama'"),
        (["table-2", "--sale", "tiny"], "error: there is no option '--sale'; `llm-jepa reproduce --help` names them"),
        (["table-2", "--seeds", "82", "82"], "error: --seeds names 82 twice; give every seed once"),
        (["table-2", "--data_folder", "nowhere"], "error: there is no folder 'nowhere'"),
        (["table-2", "--scale", "huge"], "error: argument --scale: invalid choice: 'huge'"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(arguments, said, capsys):
    assert main(["reproduce", *arguments]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(said)
    assert shown.count("\n") == 1


def test_the_list_names_every_table_and_figure(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["reproduce", "--list"]) == 0
    shown = capsys.readouterr().out
    for name in RECIPES:
        assert f" {name} " in shown
    assert "a drawing of the method" in shown


def test_the_plan_trains_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["reproduce", "table-9", "--plan", "--output", str(tmp_path / "out"), "--only", "plain", "jepa"]) == 0
    shown = capsys.readouterr().out
    assert "arms: plain, jepa k2 weight 0.5\n" in shown
    assert "220 runs" in shown  # 2 presets x 2 arms x (5 + 2 x 25)
    assert not (tmp_path / "out").exists()


def test_a_kind_stands_for_all_of_its_arms(tmp_path):
    plan = plan_of(RECIPES["table-8"], tmp_path, Paper(), only=("plain",))
    names = [arm.name for arm in plan.arms(plan.recipe.studies[0])]
    assert names == ["plain", *(f"plain rank {rank}" for rank in (32, 64, 128, 256, 512))]


def test_an_unknown_arm_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(UserError, match="no arm 'rank'"):
        plan_of(RECIPES["table-8"], tmp_path, Paper(), only=("rank",))

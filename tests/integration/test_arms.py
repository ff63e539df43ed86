"""The arms stage on the embedded model: every arm is trained, judged and compared on the same claims and samples."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from icm import golden
from icm.claims import TRUE_FALSE
from icm.commands.arms import golden_judge
from icm.config import Places, load_command
from icm.errors import RunDirectoryError
from icm.files.records import CLAIMS, GOLD, LABELS, LabelRow, read_claims, write_rows
from icm.files.stage_dir import StageDir
from icm.scoring.open import open_scorer
from icm.training.arms import stage
from icm.training.arms.figure import draw_arms
from icm.training.arms.labels import ARM_NAMES
from icm.training.arms.settings import ArmsConfig
from icm.training.arms.summary import arms_table, difference, summarise
from tests.worlds import prepare_pocket

SMALL = (
    "seeds=[0]",
    "model.steps=10",
    "verdicts.steps=40",
    "samples.num_prompts=4",
    "samples.samples_per_prompt=8",
    "samples.best_of_n=[1,4,8]",
    "num_resamples=100",
)


def command(run_dir: Path, *overrides: str) -> tuple[Places, ArmsConfig]:
    return load_command(ArmsConfig, "arms", f"run_dir={run_dir}", *SMALL, *overrides)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run on a pocket task, in which every eighth elicited comparison is wrong."""
    directory = tmp_path_factory.mktemp("run")
    truth = golden.load(prepare_pocket(directory), TRUE_FALSE)
    claims = read_claims(directory / "prepare" / CLAIMS)
    pairs = sorted({(claim.group, *sorted((claim.parts["response_1"], claim.parts["response_2"]))) for claim in claims})
    wrong = set(pairs[::8])
    rows = [
        LabelRow(
            id=claim.id,
            group=claim.group,
            label=truth[claim.id]
            ^ ((claim.group, *sorted((claim.parts["response_1"], claim.parts["response_2"]))) in wrong),
        )
        for claim in claims
    ]
    write_rows(directory / "elicit" / LABELS, rows)
    StageDir(directory / "elicit", "elicit", {}, {}).finish({}, outputs=(LABELS,))
    return directory


def test_every_arm_is_judged_on_the_same_and_differs_in_its_labels_alone(run_dir: Path, tmp_path: Path) -> None:
    places, settings = command(run_dir, f"out_dir={tmp_path / 'arms'}")
    scorer = open_scorer(settings.verdict_model, TRUE_FALSE)
    console = Console(file=io.StringIO(), width=200)
    stage.run(settings, run_dir, places.out_dir, scorer, golden_judge(run_dir), console)
    runs = {run.arm: run for run in stage.read_arm_runs(places.out_dir)}
    assert set(runs) == set(ARM_NAMES)
    assert runs["golden"].label_accuracy == 1.0
    assert runs["random_flips"].label_accuracy == runs["elicited"].label_accuracy
    assert runs["human"].label_accuracy == pytest.approx(0.75, abs=0.03)
    assert runs["golden"].num_pairs == runs["elicited"].num_pairs == runs["shuffled"].num_pairs
    assert runs["pseudo_labels"].num_pairs < runs["golden"].num_pairs
    # Picking one sample at random is worth the same whatever the reward.
    assert len({round(run.curve[0].quality or 0.0, 9) for run in runs.values()}) == 1
    assert len({round(point.quality or 0.0, 9) for point in runs["base"].curve}) == 1
    assert runs["base"].wins_over_base == pytest.approx(0.5)
    # Whose labels a model is tuned on shows in its verdicts; an arm without labels has those of the model as it is.
    assert runs["base"].verdict_accuracy is None
    assert all(run.verdict_accuracy is not None for arm, run in runs.items() if arm != "base")
    assert (runs["golden"].verdict_share or 0) > (runs["shuffled"].verdict_share or 1)
    assert not any(run.reinforced for run in runs.values())

    summaries = summarise(list(runs.values()))
    console.print(arms_table("arms", summaries))
    found = difference(list(runs.values()), "elicited", "golden")
    assert found is not None
    assert found["reward_accuracy"] is not None
    expected = runs["elicited"].reward_accuracy.value - runs["golden"].reward_accuracy.value
    assert found["reward_accuracy"].value == pytest.approx(expected)
    assert all(path.stat().st_size > 1000 for path in draw_arms(list(runs.values()), tmp_path))

    files = sorted((places.out_dir / "golden" / "seed-0" / "reward" / "model").iterdir())
    assert "model.safetensors" in {file.name for file in files}
    before = json.loads((places.out_dir / stage.RESULTS).read_text())
    stage.run(settings, run_dir, places.out_dir, scorer, golden_judge(run_dir), console)
    assert json.loads((places.out_dir / stage.RESULTS).read_text()) == before


def test_a_policy_of_an_arm_is_followed_from_the_base_to_its_end(run_dir: Path, tmp_path: Path) -> None:
    rl = "policy={kind: rloo, steps: 6, batch_size: 16, learning_rate: 0.001, kl_weight: 0.05, rollouts_every: 3}"
    places, settings = command(run_dir, f"out_dir={tmp_path / 'arms'}", "arms=[base,golden]", "verdicts=null", rl)
    scorer = open_scorer(settings.verdict_model, TRUE_FALSE)
    stage.run(settings, run_dir, places.out_dir, scorer, golden_judge(run_dir), Console(quiet=True))
    base, golden_arm = stage.read_arm_runs(places.out_dir)
    assert base.reinforced == ()
    assert golden_arm.verdict_accuracy is None
    assert [point.step for point in golden_arm.reinforced] == [1, 3, 6, 6]
    assert golden_arm.reinforced[0].kl == pytest.approx(0, abs=1e-3)
    assert golden_arm.reinforced[-1].kl > 0
    assert all(0 <= (point.quality or 0) <= 3 and point.proxy is not None for point in golden_arm.reinforced)
    summary = summarise([base, golden_arm])["golden"]
    assert summary["rl_quality"] is not None
    assert summary["rl_quality"].value == golden_arm.reinforced[-1].quality
    assert all(path.stat().st_size > 1000 for path in draw_arms([base, golden_arm], tmp_path))


def test_a_run_without_golden_held_out_claims_is_refused_before_any_training(run_dir: Path, tmp_path: Path) -> None:
    prepare_pocket(tmp_path, num_held_out=0)
    (tmp_path / "elicit").mkdir()
    for file in (run_dir / "elicit").iterdir():
        (tmp_path / "elicit" / file.name).write_bytes(file.read_bytes())
    places, settings = command(tmp_path, f"out_dir={tmp_path / 'arms'}")
    assert (tmp_path / "prepare" / GOLD).exists()
    with pytest.raises(RunDirectoryError, match=r"task\.num_held_out above 0"):
        stage.run(
            settings,
            tmp_path,
            places.out_dir,
            open_scorer(settings.verdict_model, TRUE_FALSE),
            None,
            Console(quiet=True),
        )
    assert not places.out_dir.exists()

"""The presets of real tasks: prompts and labels as the settings say, on small files and, if present, on the real ones.

The real files are not part of the repository. They are looked for in `data/real_tasks` under the directory that
ICM_SHARED_DIR names, else under `shared` beside the repository.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from icm.config import load
from icm.errors import ConfigError
from icm.prepare.assemble import PreparedTask, assemble
from icm.prepare.build import build

SHARED = Path(os.environ.get("ICM_SHARED_DIR", Path(__file__).parents[2].parent / "shared"))
DATA = SHARED / "data" / "real_tasks"

SMALL = {
    "sst2": [("sentence", "label"), ("a warm , funny film .", "1"), ("tedious from start to finish .", "0")],
    "ag_news": [("title", "description", "topic"), ("Cup final goes to extra time", "Not read.", "Sports")],
    "true_false": [("statement", "label"), ("Two is larger than three.", "0"), ("Three is larger than two.", "1")],
    "true_false_cities": [
        ("statement", "label", "city", "country", "correct_country"),
        ("The city of Lima is in Peru.", "1", "Lima", "Peru", "Peru"),
        ("The city of Lima is in Chad.", "0", "Lima", "Chad", "Peru"),
        ("The city of Oslo is in Norway.", "1", "Oslo", "Norway", "Norway"),
    ],
}
TEXTS = {
    "sst2": "Review: a warm , funny film .\nSentiment:",
    "ag_news": "Article: Cup final goes to extra time\nTopic:",
    "true_false": "Statement: Three is larger than two.\nThis statement is",
    "true_false_cities": "Statement: The city of Lima is in Peru.\nThis statement is",
}
VERBALIZERS = {
    "sst2": (" negative", " positive"),
    "ag_news": (" World", " Sports", " Business", " Technology"),
    "true_false": (" False", " True"),
    "true_false_cities": (" False", " True"),
}

# preset, file, claims, groups, golden labels, rejected
REAL = [
    ("sst2", "sst2.csv", 440, 440, 440, {}),
    ("ag_news", "ag_news.csv.gz", 3744, 3744, 3743, {"duplicate": 12, "conflicting_gold": 1, "near_duplicate": 4}),
    ("true_false_cities", "cities.csv", 1496, 748, 1496, {}),
    ("true_false", "companies_true_false.csv", 1200, 1200, 1200, {"near_duplicate": 14}),
    ("true_false", "larger_than.csv", 1980, 1980, 1980, {}),
    ("true_false", "sp_en_trans.csv", 351, 351, 351, {"duplicate": 3}),
]


def prepared(preset: str, path: Path) -> PreparedTask:
    task = load(f"task={preset}", f"task.path={path}", "task.num_claims=null", "task.num_held_out=0").task
    return assemble(build(task), task, seed=0)


@pytest.mark.parametrize("preset", SMALL)
def test_a_preset_makes_the_prompt_and_reads_the_golden_label(preset: str, tmp_path: Path) -> None:
    path = tmp_path / "small.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(SMALL[preset])
    made = prepared(preset, path)
    assert len(made.claims) == len(SMALL[preset]) - 1
    claim = next(claim for claim in made.claims if claim.text == TEXTS[preset])
    items = build(load(f"task={preset}", f"task.path={path}").task)
    assert items.label_space.verbalizers == VERBALIZERS[preset]
    golden = {item.claim.id: item.golden_label for item in items.items}
    assert golden[claim.id] == 1


def test_statements_about_one_city_contradict_and_others_do_not(tmp_path: Path) -> None:
    path = tmp_path / "cities.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(SMALL["true_false_cities"])
    claims = prepared("true_false_cities", path).claims
    groups = Counter(claim.group for claim in claims)
    assert sorted(groups.values()) == [1, 2]
    assert all(claim.key is not None for claim in claims)
    relations = load("task=true_false_cities", f"task.path={path}").task.relations
    assert [relation.kind for relation in relations] == ["different_answer"]


@pytest.mark.parametrize("preset", SMALL)
def test_a_preset_without_a_source_says_where_one_goes(preset: str) -> None:
    with pytest.raises(ConfigError, match=r"give either task\.path=FILE .* or task\.hub_id=NAME"):
        load(f"task={preset}")


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no files in {DATA}: set ICM_SHARED_DIR to what holds data/real_tasks")
@pytest.mark.parametrize(("preset", "file", "claims", "groups", "golden", "rejected"), REAL)
def test_the_real_files_become_claims(
    preset: str, file: str, claims: int, groups: int, golden: int, rejected: dict[str, int]
) -> None:
    made = prepared(preset, DATA / file)
    found = (len(made.claims), len({claim.group for claim in made.claims}), len(made.golden))
    assert found == (claims, groups, golden)
    assert Counter(row.reason for row in made.rejected) == rejected

"""The settings of the command line: the stages see frozen values.

A command is told two things: settings, which its result follows from, and places, where files lie and whether they may
be overwritten. Settings are recorded with the result and compared; places are not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from icm.contexts import ContextSettings
from icm.diagnose.settings import DiagnoseSettings
from icm.elicit.settings import ElicitSettings
from icm.evaluate.settings import EvaluateConfig
from icm.objective import ObjectiveSettings
from icm.prepare.settings import PrepareConfig, TaskSettings
from icm.scoring.open import ModelSettings
from icm.searches.settings import SearchSettings
from icm.statistics.streams import Seed

Settings = TypeVar("Settings", bound=BaseModel)


class Places(BaseModel):
    """Where the files of a command lie, and what it may do to them.

    Attributes:
        out_dir: Where the command writes, if it writes.
        run_dir: Directory of the run that it reads; `None` for commands that read none.
        labels: File of labels, of any source; `None` for those of the run's elicit stage.
        corrections: File of labels that go over those; what they replace stays in its file.
        reward_dir: Directory of the reward stage, whose pairs and model a policy may be trained on.
        members: Directories of further reward models, which are judged together with the new one.
        hub_id: Data set on the Hub that an export is pushed to as well; `None` for none.
        hub_private: Whether that is private, if the push makes it.
        overwrite: Whether a result under other settings may be deleted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    out_dir: Path = Path()
    run_dir: Path | None = None
    labels: Path | None = None
    corrections: Path | None = None
    reward_dir: Path | None = None
    members: tuple[Path, ...] = ()
    hub_id: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    hub_private: bool = True
    overwrite: bool = False

    @property
    def run(self) -> Path:
        """The directory of the run, for commands that read one."""
        assert self.run_dir is not None, "the YAML of this command asks for a run_dir"
        return self.run_dir


class TrainingOverrides(BaseModel):
    """What a run with all stages asks of its training, as on the command lines of the commands.

    Attributes:
        reward: Settings of `icm reward`.
        policy: Settings of `icm policy`.
        export: Settings of `icm export`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reward: tuple[str, ...]
    policy: tuple[str, ...]
    export: tuple[str, ...]


class Config(BaseModel):
    """Everything that `icm run` can be told.

    Attributes:
        stages: What `icm run` does: `labels` ends with labels and what they are worth, `all` trains on them as well.
        seed: Seed of the search.
        data_seed: Seed of the choice of claims.
        task: Where the claims come from.
        model: What predicts the labels.
        objective: U.
        search: Which search, and how.
        contexts: What stands before a claim when its label is predicted.
        anchors: File of labels that the user vouches for.
        diagnose: What speaks against the labels, golden labels apart.
        evaluate: How the labels are compared with golden ones.
        training: What is asked of reward, policy and export.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stages: Literal["labels", "all"]
    seed: Seed
    data_seed: Seed
    task: TaskSettings
    model: ModelSettings
    objective: ObjectiveSettings
    search: SearchSettings
    contexts: ContextSettings
    anchors: Path | None
    diagnose: DiagnoseSettings
    evaluate: EvaluateConfig
    training: TrainingOverrides

    def for_prepare(self) -> PrepareConfig:
        """Return what the prepare stage is told."""
        return PrepareConfig(task=self.task, seed=self.data_seed)

    def for_elicit(self) -> ElicitSettings:
        """Return what the elicit stage is told."""
        return ElicitSettings(
            seed=self.seed,
            search=self.search,
            objective=self.objective,
            contexts=self.contexts,
            anchors=self.anchors,
        )

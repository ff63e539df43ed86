"""The settings of the tasks: which data set, which format, which relations. Reads no file and knows no golden label."""

from __future__ import annotations

from pathlib import Path
from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from icm.claims import LabelSpace
from icm.relations import RelationSpec


class CommonSettings(BaseModel):
    """What every task is told.

    Attributes:
        name: The task's name in files and reports.
        num_claims: At most this many claims are searched: whole groups are taken in the order that seed and content
            give, and a group that would go over is left out. `None` takes all that are not held out.
        num_held_out: At most this many claims, of other groups, are held out for the evaluation. They are chosen from
            the far end of the same order, so that they stay the same when `num_claims` changes.
        relations: The relations that hold by the meaning of the claims.
        max_claim_tokens: A claim of more tokens is rejected and listed; `None` keeps claims of any length.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    num_claims: int | None = Field(default=256, ge=1)
    num_held_out: int = Field(default=128, ge=0)
    relations: tuple[RelationSpec, ...] = ()
    max_claim_tokens: int | None = Field(default=None, ge=1)


class SourceSettings(CommonSettings):
    """What every task over a data set is told: a local file or a Hub data set, exactly one of the two.

    Attributes:
        path: A JSON (list of objects), JSON Lines, CSV or Parquet file, `.gz` or not.
        hub_id: A data set on the Hugging Face Hub.
        hub_config: The configuration of the Hub data set, where it has several.
        split: The split of the Hub data set.
    """

    path: Path | None = None
    hub_id: str | None = None
    hub_config: str | None = None
    split: str = "train"

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.path is None) == (self.hub_id is None):
            given = "neither" if self.path is None else f"path={self.path} and hub_id={self.hub_id}"
            raise ValueError(
                f"give either task.path=FILE (JSON, JSON Lines, CSV or Parquet) or task.hub_id=NAME, got {given}"
            )
        return self


class Gsm8kSettings(SourceSettings):
    """Is this worked solution of a grade-school problem correct?

    Attributes:
        format: `authors` (question, cot, answer), `model_solutions` (OpenAI's file: a column for each model),
            `solutions` (question, solution); `auto` tells them apart by their columns.
        gold: `label`: the source's own verdict. `answer_match`: whether the final answer is the problem's.
            `auto`: the verdict where there is one, else the match.
    """

    kind: Literal["gsm8k"] = "gsm8k"
    name: str = "gsm8k"
    format: Literal["auto", "authors", "model_solutions", "solutions"] = "auto"
    gold: Literal["auto", "label", "answer_match"] = "auto"


class TruthfulqaSettings(SourceSettings):
    """Is this answer to a TruthfulQA question true?

    Attributes:
        format: `authors` (question, choice), `csv` (the upstream file of any year), `generation` and
            `multiple_choice` (the Hub's two), `answers` (question, answer); `auto` tells them apart by their columns.
    """

    kind: Literal["truthfulqa"] = "truthfulqa"
    name: str = "truthfulqa"
    format: Literal["auto", "authors", "csv", "generation", "multiple_choice", "answers"] = "auto"


class AlpacaSettings(SourceSettings):
    """Is the first of two responses the better one?

    Attributes:
        format: `authors` (question, choice, choice_2), `pairs` (instruction, response_1, response_2), `alpaca_farm`
            (instruction, input, output_1, output_2), `prompted` (prompt, chosen, rejected), `dialogues` (chosen and
            rejected, which begin with the same turns); `auto` tells them apart by their columns.
        quality: What the better response is more of, in the words of the claim.
    """

    kind: Literal["alpaca"] = "alpaca"
    name: str = "alpaca"
    format: Literal["auto", "authors", "pairs", "alpaca_farm", "prompted", "dialogues"] = "auto"
    quality: str = Field(default="more helpful and harmless", min_length=1)


class PocketSettings(CommonSettings):
    """A task of the pocket world, of which the embedded model knows the answers.

    Attributes:
        task: Which one; `benchmarks/tasks/pocket.py` lists them.
        world_seed: Seed of the world; the embedded model knows the one of seed 0.
    """

    kind: Literal["pocket"] = "pocket"
    name: str = "pocket"
    task: str = Field(min_length=1)
    world_seed: int = Field(default=0, ge=0)


class LabelSettings(BaseModel):
    """One label of a custom task.

    Attributes:
        name: What files and reports call it.
        verbalizer: What a model says for it, with the leading space.
        gold: The values of the gold column that mean it; none means that the column holds the name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    verbalizer: str
    gold: tuple[str | int | float | bool, ...] = ()

    @property
    def gold_values(self) -> tuple[str, ...]:
        """The values of the gold column that mean this label, as text."""
        return tuple(map(str, self.gold)) or (self.name,)


class CustomSettings(SourceSettings):
    """Any table of claims.

    Attributes:
        template: The text of a claim up to its verdict, with column names in braces; `{{` is a brace.
        group_columns: Rows with equal values in these columns form a group; none makes each claim its own group.
        answer_column: What the claim answers: within a group equal values mean the same answer.
        labels: The alphabet, two labels or more; in a binary task the second one affirms the claim.
        gold_column: The golden label, where the source has one; no claim is made of it.
    """

    kind: Literal["custom"] = "custom"
    name: str = "custom"
    template: str = Field(min_length=1)
    group_columns: tuple[str, ...] = ()
    answer_column: str | None = None
    labels: tuple[LabelSettings, ...] = (
        LabelSettings(name="False", verbalizer=" False", gold=("False", "false", "0")),
        LabelSettings(name="True", verbalizer=" True", gold=("True", "true", "1")),
    )
    gold_column: str | None = None

    @property
    def label_space(self) -> LabelSpace:
        """The alphabet of the labels."""
        return LabelSpace(
            names=tuple(label.name for label in self.labels),
            verbalizers=tuple(label.verbalizer for label in self.labels),
        )

    @property
    def template_columns(self) -> tuple[str, ...]:
        """The columns that the template names, in order of their first appearance."""
        return tuple(dict.fromkeys(column for _, column in template_pieces(self.template) if column is not None))

    @property
    def claim_columns(self) -> tuple[str, ...]:
        """All columns that claims are made of."""
        answer = () if self.answer_column is None else (self.answer_column,)
        return tuple(dict.fromkeys((*self.template_columns, *self.group_columns, *answer)))

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if not self.template_columns:
            raise ValueError(f"template names no column, got {self.template!r}; write columns in braces: {{question}}")
        if self.template != self.template.rstrip():
            raise ValueError(f"template must not end in white space (the verbalizers begin with it): {self.template!r}")
        if self.gold_column in self.claim_columns:
            raise ValueError(f"gold_column {self.gold_column!r} must not be a part of the claims")
        values = [value for label in self.labels for value in label.gold_values]
        if len(set(values)) < len(values):
            raise ValueError(f"labels share a value of the gold column, got {values}")
        _ = self.label_space  # raises where the alphabet is unsound
        return self


def template_pieces(template: str) -> list[tuple[str, str | None]]:
    """Return a template as pairs of literal text and the column that follows it, `None` after the last text.

    Raises:
        ValueError: The braces do not match, or hold more than the name of a column.
    """
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"unmatched braces in the template ({error}), got {template!r}; {{{{ is a brace") from None
    pieces: list[tuple[str, str | None]] = []
    for literal, column, form, conversion in parsed:
        if column == "" or form or conversion:
            raise ValueError(f"a brace in the template must hold a column name and nothing else, got {template!r}")
        pieces.append((literal, column))
    return pieces


TableTaskSettings = Gsm8kSettings | TruthfulqaSettings | AlpacaSettings | CustomSettings
"""The settings of a task over a data set."""

TaskSettings = Annotated[TableTaskSettings | PocketSettings, Field(discriminator="kind")]
"""The settings of any task, told apart by `kind`."""


class PrepareConfig(BaseModel):
    """The settings of the prepare stage.

    Attributes:
        task: The source and what is made of it.
        seed: Seed of the choice of claims.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: TaskSettings
    seed: int = Field(ge=0)

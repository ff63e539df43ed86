"""The settings of the tasks: which data set, which format, which relations. Reads no file and knows no golden label."""

from __future__ import annotations

from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from icm.claims import LabelSpace
from icm.errors import SchemaError
from icm.files.tables import named_delimiter
from icm.prompts import real_line_breaks
from icm.relations import RelationSpec
from icm.statistics.streams import Seed

MOST_HELD_OUT: Final = 128
"""Claims held out where no number is asked for: enough for an interval of ± 9 points."""

ReadText = Annotated[str, AfterValidator(real_line_breaks)]
"""A text of the settings that a model reads."""


class CommonSettings(BaseModel):
    """The settings of every task. Each key is explained in its file under `conf/task/`, which also gives its default.

    Whole groups are searched, in an order that follows from seed and content; a group that would go over `num_claims`
    is left out. The held-out claims come from the far end of that order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    num_claims: int | None = Field(ge=1)
    num_held_out: int | None = Field(ge=0)
    relations: tuple[RelationSpec, ...]
    max_claim_tokens: int | None = Field(ge=1)

    @property
    def has_gold(self) -> bool:
        """Whether the settings speak of golden labels; what the source really holds decides nothing."""
        return True

    def held_out_of(self, available: int) -> int:
        """Return how many of the claims of a source are held out: as many as were asked for, or what it can spare."""
        if self.num_held_out is not None:
            return self.num_held_out
        return min(available // 3, MOST_HELD_OUT) if self.has_gold else 0


class SourceSettings(CommonSettings):
    """The settings of every task over a data set: a local file or a Hub data set, exactly one of the two.

    `delimiter` and `encoding` have defaults, since task files of users were written before there were such keys.
    """

    path: Path | None
    delimiter: str | None = None
    encoding: str | None = None
    hub_id: str | None
    hub_config: str | None
    split: str

    @field_validator("delimiter")
    @classmethod
    def _is_a_delimiter(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                named_delimiter(value)
            except SchemaError as error:
                raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.path is None) == (self.hub_id is None):
            given = "neither" if self.path is None else f"path={self.path} and hub_id={self.hub_id}"
            raise ValueError(
                f"give either task.path=FILE (JSON, JSON Lines, CSV, TSV or Parquet) or task.hub_id=NAME, got {given}"
            )
        return self


class Gsm8kSettings(SourceSettings):
    """Is this worked solution of a grade-school problem correct? `conf/task/gsm8k.yaml` explains each key."""

    kind: Literal["gsm8k"]
    format: Literal["auto", "authors", "model_solutions", "solutions"]
    gold: Literal["auto", "label", "answer_match"]


class TruthfulqaSettings(SourceSettings):
    """Is this answer to a TruthfulQA question true? `conf/task/truthfulqa.yaml` explains each key."""

    kind: Literal["truthfulqa"]
    format: Literal["auto", "authors", "csv", "generation", "multiple_choice", "answers"]


class AlpacaSettings(SourceSettings):
    """Is the first of two responses the better one? `conf/task/alpaca.yaml` explains each key."""

    kind: Literal["alpaca"]
    format: Literal["auto", "authors", "pairs", "alpaca_farm", "llmbar", "prompted", "dialogues"]
    quality: ReadText = Field(min_length=1)


class PocketSettings(CommonSettings):
    """A task of the pocket world, of which the embedded model knows the answers; `icm.prepare.pocket` lists them."""

    kind: Literal["pocket"]
    task: str = Field(min_length=1)
    world_seed: Seed


class LabelSettings(BaseModel):
    """One label of a custom task: its name, what a model says for it, and the values of the gold column that mean it.

    Where no such values are listed, the column holds the name. A name alone is enough for all three.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, given: Any) -> Any:
        # Numbers and truth values are names too: [0, 1] and [false, true] are lists of labels that people write.
        if isinstance(given, str | int | float):
            return {"name": str(given), "verbalizer": f" {str(given).strip()}"}
        return given

    name: str
    verbalizer: ReadText
    gold: tuple[str | int | float | bool, ...] = ()

    @property
    def gold_values(self) -> tuple[str, ...]:
        """The values of the gold column that mean this label, as text."""
        return tuple(map(str, self.gold)) or (self.name,)


class CustomSettings(SourceSettings):
    """Any table of claims. `conf/task/custom.yaml` explains each key."""

    kind: Literal["custom"]
    template: ReadText = Field(min_length=1)
    group_columns: tuple[str, ...]
    answer_column: str | None
    labels: tuple[LabelSettings, ...]
    gold_column: str | None

    @field_validator("template")
    @classmethod
    def _breaks_lines(cls, template: str) -> str:
        # On a command line a line break can hardly be typed; what is typed in its place is meant as one.
        return template.replace("\\n", "\n")

    @property
    def has_gold(self) -> bool:
        """Whether a column of golden labels is named."""
        return self.gold_column is not None

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
        # A verbalizer begins with a space; after white space its tokens would be others.
        if self.template != self.template.rstrip():
            raise ValueError(f"template must not end in white space (the verbalizers begin with it): {self.template!r}")
        # Golden labels must not reach a text, a group or a key: these are what a search sees.
        if self.gold_column in self.claim_columns:
            raise ValueError(f"gold_column {self.gold_column!r} must not be a part of the claims")
        _ = self.label_space  # raises where the alphabet is unsound
        # One value that means two labels would make the golden label depend on the order of the labels.
        values = [value for label in self.labels for value in label.gold_values]
        if len(set(values)) < len(values):
            raise ValueError(f"labels share a value of the gold column, got {values}")
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


TaskSettings = Annotated[
    Gsm8kSettings | TruthfulqaSettings | AlpacaSettings | CustomSettings | PocketSettings, Field(discriminator="kind")
]
"""The settings of any task, told apart by `kind`."""


class PrepareConfig(BaseModel):
    """The settings of the prepare stage: the task, and the seed of the choice of claims."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: TaskSettings
    seed: Seed

"""What `icm export` does: export the labels of a run, push them if that is asked for. Knows where files lie."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub import constants as hub_constants
from huggingface_hub.errors import HfHubHTTPError
from pydantic import Field
from rich.console import Console

from icm.errors import ConfigError
from icm.export import stage as export
from icm.export.stage import ExportConfig, licence_of
from icm.files.records import LABELS


class ExportCommand(ExportConfig):
    """Everything that `icm export` can be told.

    Attributes:
        run_dir: Directory of a run, with `prepare/` in it.
        labels: File of labels; `None` for those of the run's elicit stage.
        out_dir: Where the export goes.
        hub_id: Data set on the Hub that it is pushed to as well; `None` for none.
        hub_private: Whether that is private, if the push makes it.
    """

    run_dir: Path
    labels: Path | None = None
    out_dir: Path
    hub_id: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    hub_private: bool = True

    @property
    def config(self) -> ExportConfig:
        """What is exported, without the places."""
        places = {"run_dir", "labels", "out_dir", "hub_id", "hub_private"}
        return ExportConfig.model_validate(self.model_dump(exclude=places))


def run(command: ExportCommand, console: Console) -> None:
    """Export, push if that is asked for, and say what was written.

    Raises:
        ConfigError: The Hub is asked for and cannot be used; what was written stays.
    """
    if command.hub_id is not None:
        _check_hub(command)
    labels_path = command.labels or command.run_dir / "elicit" / LABELS
    manifest = export.run(command.config, command.run_dir, labels_path, command.out_dir)
    rows = ", ".join(f"{name} ({count:,})" for name, count in manifest.counts["rows"].items())
    console.print(f"exported to {command.out_dir}: {rows}", soft_wrap=True)
    if manifest.counts["without_pairs"]:
        console.print(f"no preference pairs: {manifest.counts['without_pairs']}", soft_wrap=True)
    if licence_of(command.config, command.run_dir) is None:
        console.print("the card states no licence: set licence=NAME before you pass the data on", soft_wrap=True)
    if command.hub_id is not None:
        console.print(f"pushed to {_push(command)}", soft_wrap=True)


def _check_hub(command: ExportCommand) -> None:
    if hub_constants.is_offline_mode():
        raise ConfigError(
            f"hub_id={command.hub_id}: HF_HUB_OFFLINE forbids the Hub; unset it, or leave hub_id out and push later "
            f"with `hf upload {command.hub_id} {command.out_dir} --repo-type dataset`"
        )
    if licence_of(command.config, command.run_dir) is None:
        raise ConfigError(f"hub_id={command.hub_id}: data that is pushed must state its licence; set licence=NAME")


def _push(command: ExportCommand) -> str:
    """Upload the export and return its address."""
    assert command.hub_id is not None
    api = HfApi()
    try:
        api.create_repo(command.hub_id, repo_type="dataset", private=command.hub_private, exist_ok=True)
        commit = api.upload_folder(repo_id=command.hub_id, folder_path=command.out_dir, repo_type="dataset")
    except (HfHubHTTPError, OSError) as error:
        raise ConfigError(
            f"hub_id={command.hub_id}: the push failed ({str(error).strip().splitlines()[0]}); the export in "
            f"{command.out_dir} is complete: log in with `hf auth login`, then run the same command again"
        ) from None
    return str(commit.commit_url)

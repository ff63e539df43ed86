"""What `icm export` does: export the labels of a run, and push them if that is asked for."""

from __future__ import annotations

from huggingface_hub import HfApi
from huggingface_hub import constants as hub_constants
from huggingface_hub.errors import HfHubHTTPError
from rich.console import Console

from icm.config import Places
from icm.errors import ConfigError
from icm.export import stage as export
from icm.export.settings import ExportConfig
from icm.export.stage import licence_of
from icm.files.labels import told_of_unlabelled
from icm.files.records import LABELS


def run(places: Places, settings: ExportConfig, console: Console) -> None:
    """Export, push if that is asked for, and say what was written.

    Raises:
        ConfigError: The Hub is asked for and cannot be used; what was written stays.
    """
    # Before anything is written: an export that was meant to be pushed should not end half done.
    if places.hub_id is not None:
        _check_hub(places, settings)
    labels_path = places.labels or places.run / "elicit" / LABELS
    manifest = export.run(
        settings,
        places.run,
        labels_path,
        places.out_dir,
        corrections=places.corrections,
        overwrite=places.overwrite,
    )
    rows = ", ".join(f"{name} ({count:,})" for name, count in manifest.counts["rows"].items())
    console.print(f"exported to {places.out_dir}: {rows}", soft_wrap=True)
    without, total = (manifest.counts.get(name, 0) for name in ("claims_without_label", "all_claims"))
    if told := told_of_unlabelled(labels_path, without, total):
        console.print(told, soft_wrap=True, markup=False)
    if manifest.counts["without_pairs"]:
        console.print(f"no preference pairs: {manifest.counts['without_pairs']}", soft_wrap=True)
    if licence_of(settings, places.run) is None:
        console.print("the card states no licence: set licence=NAME before you pass the data on", soft_wrap=True)
    if places.hub_id is not None:
        console.print(f"pushed to {_push(places)}", soft_wrap=True)


def _check_hub(places: Places, settings: ExportConfig) -> None:
    if hub_constants.is_offline_mode():
        raise ConfigError(
            f"hub_id={places.hub_id}: HF_HUB_OFFLINE forbids the Hub; unset it, or leave hub_id out and push later "
            f"with `hf upload {places.hub_id} {places.out_dir} --repo-type dataset`"
        )
    if licence_of(settings, places.run) is None:
        raise ConfigError(f"hub_id={places.hub_id}: data that is pushed must state its licence; set licence=NAME")


def _push(places: Places) -> str:
    """Upload the export and return its address."""
    # The caller has checked it.
    assert places.hub_id is not None
    api = HfApi()
    try:
        # `exist_ok`, so that a push that failed halfway can be repeated.
        api.create_repo(places.hub_id, repo_type="dataset", private=places.hub_private, exist_ok=True)
        commit = api.upload_folder(repo_id=places.hub_id, folder_path=places.out_dir, repo_type="dataset")
    except (HfHubHTTPError, OSError) as error:
        raise ConfigError(
            f"hub_id={places.hub_id}: the push failed ({str(error).strip().splitlines()[0]}); the export in "
            f"{places.out_dir} is complete: log in with `hf auth login`, then run the same command again"
        ) from None
    return str(commit.commit_url)

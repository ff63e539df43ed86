"""Directories of stages: claimed by their settings first, completed by their manifest last. Knows no stage.

A directory without a manifest holds no result: it is either being written or was interrupted. A stage goes through one
sequence, whatever it does:

    with StageDir(out_dir, "reward", settings, inputs) as stage:
        if done := stage.complete():
            return done
        ...  # everything that can fail for a reason that lies in settings or inputs
        stage.claim()
        ...  # the work; what is written now belongs to these settings
        return stage.finish(counts, outputs)

So a start that fails before `claim` leaves the directory as it was. From `complete` on the directory has one owner,
until the block is left.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self

from pydantic import ValidationError

import icm
from icm.errors import ConfigError, RunDirectoryError, SchemaError, ScoringError, TrainingError
from icm.files.lock import LOCK, owned
from icm.files.records import CLAIMS, MANIFEST, Manifest, RecordT, first_problem, read_json, sha256_of, write_json

SETTINGS: Final = "settings.json"
OVERWRITTEN: Final = ".overwritten"
"""Where what is overwritten lies while it is deleted."""

_RECORDED_VERSIONS: Final = ("numpy", "numba", "torch", "transformers", "tokenizers")


class StageDir:
    """The directory that a stage writes; `config` is what its result follows from: settings, and hashes of inputs."""

    def __init__(
        self,
        path: Path,
        stage: str,
        settings: Mapping[str, Any],
        inputs: Mapping[str, str],
        *,
        model: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        writes: bool = True,
    ) -> None:
        """Describe what is to be written; nothing is touched yet.

        Args:
            path: The directory.
            stage: Name of the stage; also the command that makes it, `icm <stage>`.
            settings: The settings that the result follows from, as plain JSON values.
            inputs: SHA-256 of the files read, by role.
            model: Names the model that is asked, see `LabelScorer.description`; `None` for none.
            overwrite: Whether a result or a beginning under other settings may be deleted.
            writes: Whether this process writes the directory: of those that `accelerate launch` starts, one does.
        """
        self.path = path
        self.stage = stage
        # Through JSON, since this is compared with what a file holds: tuples become lists, keys become text.
        self.config: dict[str, Any] = json.loads(json.dumps({**settings, "inputs": dict(inputs)}))
        self._inputs = dict(inputs)
        self._model = None if model is None else dict(model)
        self._overwrite = overwrite
        self._writes = writes
        self._owned = ExitStack()
        self._is_trial = False
        self._started = time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What the settings are to blame for would fail again under them, and others must not be refused for it. A full
        # disk, a request to stop or any other error says nothing about them.
        refused = kind is not None and issubclass(kind, ConfigError | SchemaError | ScoringError | TrainingError)
        try:
            if refused and self._is_trial:
                self._empty()
        finally:
            self._owned.close()

    def complete(self) -> Manifest | None:
        """Return the manifest if the result is there already; `None` if there is work to do, and own the directory.

        With `overwrite` there always is, as long as the directory may be overwritten.

        Raises:
            RunDirectoryError: The directory belongs to a run with other settings, holds something else, another
                process writes it, or a file of the result is missing or was altered.
        """
        # A result is looked for without the lock, since it may lie where this process cannot write.
        if not self._overwrite and (done := self._found()):
            return done
        if self._writes:
            self._owned.enter_context(owned(self.path))
            self._finish_emptying()
        # Looked at once more, now that nobody else writes: another process may have come first.
        if not self._overwrite:
            return self._found()
        # Checked at once, so that nothing is computed for a directory that may not be deleted.
        self._check_overwritable()
        return None

    @property
    def begins_anew(self) -> bool:
        """Whether what the directory holds is to be deleted, so that nothing in it may be read."""
        return self._overwrite

    def claim(self, *, on_trial: bool = False) -> None:
        """Tie the directory to these settings; what another run left in it is deleted first if that was asked for.

        Args:
            on_trial: Whether a refusal by settings, inputs or model frees a directory again that was free before; until
                `keep`.
        """
        if self._overwrite and self.path.exists():
            self._empty()
        # Claimed once: a second call must not delete what was written since the first.
        self._overwrite = False
        if not (self.path / SETTINGS).exists():
            self._is_trial = on_trial
            write_json(self.path / SETTINGS, self.config)

    def keep(self) -> None:
        """Say that what was written by now is worth going on with, whatever happens."""
        self._is_trial = False

    def finish(
        self,
        counts: Mapping[str, Any],
        outputs: Iterable[str],
        *,
        cost: Mapping[str, float] | None = None,
        seconds: float | None = None,
    ) -> Manifest:
        """Complete the result: hash the outputs, then write the manifest. Return it as written.

        Args:
            counts: What was counted on the way.
            outputs: Names of the files that make the result.
            cost: What asking the model cost.
            seconds: Wall time over all resumed parts; since this object was made, if left out.
        """
        manifest = Manifest(
            stage=self.stage,
            config=self.config,
            inputs=self._inputs,
            outputs={name: sha256_of(self.path / name) for name in outputs},
            model=self._model,
            # Through JSON, so that it is what it will be when it is read again.
            counts=json.loads(json.dumps(dict(counts))),
            cost=dict(cost or {}),
            seconds=time.perf_counter() - self._started if seconds is None else seconds,
            versions=_versions(),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        ).signed()
        # The manifest comes before the settings go: killed in between, the directory is complete and still claimed.
        write_json(self.path / MANIFEST, manifest.model_dump(mode="json"))
        # The manifest holds the same settings; one copy cannot contradict itself.
        (self.path / SETTINGS).unlink(missing_ok=True)
        return manifest

    def _found(self) -> Manifest | None:
        """Return the manifest of a whole result under these settings, `None` where there is work to do."""
        found = self._claimed_by()
        # A directory that is merely begun is bound to its settings as much as one that is complete.
        if found is None:
            self._check_free()
            return None
        if "inputs" not in found:
            raise RunDirectoryError(
                f"{self.path} was made by an older version of icm, which recorded less than this one compares; choose "
                f"another out_dir, or add overwrite=true to start this stage anew"
            )
        if found != self.config:
            raise RunDirectoryError(
                f"{self.path} belongs to a run with other settings ({_first_difference(found, self.config)}); choose "
                f"another out_dir, or add overwrite=true to start this stage anew"
            )
        return verify(self.path, self.stage) if (self.path / MANIFEST).exists() else None

    def _claimed_by(self) -> dict[str, Any] | None:
        """Return the settings that the directory is tied to, `None` if it is free."""
        # The manifest decides where both are there: the process was killed after it was written.
        if (self.path / MANIFEST).exists():
            return read_manifest(self.path, self.stage).config
        return _load_json(self.path / SETTINGS) if (self.path / SETTINGS).exists() else None

    def _check_free(self) -> None:
        """Refuse files of which nothing says whose they are: a stage would go on from them as if they were its own."""
        unknown = [
            path
            for path in sorted(self.path.rglob("*"))
            if path.is_file() and path.name != LOCK and not path.name.endswith(".partial")
        ]
        # Looked at once more: another process may have claimed the directory in between, with its settings first.
        if not unknown or any((self.path / name).exists() for name in (SETTINGS, MANIFEST, OVERWRITTEN)):
            return
        raise RunDirectoryError(
            f"{self.path} holds files ({unknown[0].relative_to(self.path)}), but neither {MANIFEST} nor {SETTINGS}, so "
            f"nothing says whose they are; choose another out_dir, or empty it yourself"
        )

    def _check_overwritable(self) -> None:
        """Refuse to delete what no stage has made."""
        if (self.path / SETTINGS).is_file() or (self.path / MANIFEST).is_file():
            return
        if any(path.name != LOCK for path in self.path.glob("*")):
            raise RunDirectoryError(
                f"overwrite=true would delete {self.path}, which is no directory of a stage: it holds neither "
                f"{MANIFEST} nor {SETTINGS}; choose another out_dir, or move it away yourself"
            )

    def _empty(self) -> None:
        """Delete all but the lock. A process that is killed meanwhile leaves either the whole old content or none."""
        doomed = self.path / OVERWRITTEN
        doomed.mkdir(exist_ok=True)
        # First what makes it a result or a beginning; the manifest decides where both are there.
        names = [SETTINGS, MANIFEST, *sorted(path.name for path in self.path.iterdir())]
        for name in dict.fromkeys(names):
            if name not in (LOCK, OVERWRITTEN) and (self.path / name).exists():
                (self.path / name).rename(doomed / name)
        shutil.rmtree(doomed)

    def _finish_emptying(self) -> None:
        """Finish what a process was killed in, or undo what it had hardly begun."""
        if not (self.path / OVERWRITTEN).exists():
            return
        if (self.path / SETTINGS).exists() or (self.path / MANIFEST).exists():
            # Nothing but the settings beside a manifest, which repeats them, can have been moved by then.
            shutil.rmtree(self.path / OVERWRITTEN)
        else:
            self._empty()


def read_manifest(path: Path, stage: str) -> Manifest:
    """Read the manifest of a finished stage.

    Raises:
        RunDirectoryError: There is none, it is corrupt, another stage wrote it, or an older version of this package.
    """
    file = path / MANIFEST
    if not file.exists():
        raise RunDirectoryError(f"{path} has no {MANIFEST}, so it holds no result; run `icm {stage}` first")
    try:
        manifest = Manifest.model_validate(_load_json(file))
        if manifest.digest and manifest != manifest.signed():
            raise RunDirectoryError(
                f"{file} was altered since `icm {stage}` wrote it; run `icm {stage}` again with overwrite=true"
            )
    except ValidationError as error:
        raise RunDirectoryError(
            f"{file}: {first_problem(error)}; it was altered, or written by another version of icm: run `icm {stage}` "
            f"again with overwrite=true"
        ) from None
    # A directory given for another one is the commonest mistake, so the message names the command that made it.
    if manifest.stage != stage:
        raise RunDirectoryError(f"{path} holds a result of `icm {manifest.stage}`, not of `icm {stage}`")
    return manifest


def verify(path: Path, stage: str, *names: str, optional: Sequence[str] = ()) -> Manifest:
    """Read the manifest of a finished stage and check that the outputs are the ones it describes.

    Args:
        path: The directory of the stage.
        stage: Its name.
        names: The outputs to check, all if there are none; no other file is opened.
        optional: Outputs to check as well if the stage wrote them: one that it wrote and that is gone is no absent one.

    Raises:
        RunDirectoryError: There is no manifest, or an output is missing or was altered.
    """
    manifest = read_manifest(path, stage)
    if optional:
        names = (*names, *(name for name in optional if name in manifest.outputs))
    # Hashing costs a read of the file, so callers name those that they go on to read.
    for name in names or manifest.outputs:
        file = path / name
        if not file.exists() or sha256_of(file) != manifest.outputs.get(name):
            state = "altered" if file.exists() else "missing"
            raise RunDirectoryError(
                f"{file} is {state} since `icm {stage}` wrote it; run `icm {stage}` again with overwrite=true"
            )
    return manifest


def verify_labelled(
    prepare_dir: Path, elicit_dir: Path, prepared: Sequence[str] = (), elicited: Sequence[str] = ()
) -> tuple[Manifest, Manifest]:
    """Check a prepare and an elicit stage, and that the labels of the one are those of the claims of the other.

    Args:
        prepare_dir: Directory of the prepare stage.
        elicit_dir: Directory of the elicit stage.
        prepared: The outputs of the prepare stage to check, all if there are none; no other file is opened.
        elicited: The same of the elicit stage.

    Raises:
        RunDirectoryError: A directory is unfinished or altered, or the two are not of one run.
    """
    of_claims = verify(prepare_dir, "prepare", *prepared)
    of_labels = verify(elicit_dir, "elicit", *elicited)
    if of_labels.inputs.get(CLAIMS) != of_claims.outputs.get(CLAIMS):
        raise RunDirectoryError(
            f"{elicit_dir} holds labels for other claims than {prepare_dir / CLAIMS}; give the two directories of "
            f"one run"
        )
    return of_claims, of_labels


def read_result(path: Path, stage: str, name: str, kind: type[RecordT]) -> RecordT:
    """Read a record that a finished stage wrote, such as its metrics, after checking that it is as it was written.

    Raises:
        RunDirectoryError: The stage is unfinished, or the file was altered.
        SchemaError: The file is of another version.
    """
    verify(path, stage, name)
    try:
        return read_json(path / name, kind)
    except SchemaError as error:
        raise SchemaError(f"{error}; run `icm {stage}` again with overwrite=true") from None


def _load_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("it holds no JSON object")
        return value
    # Wrong JSON and wrong UTF-8 are errors of a value; JSON may also be nested too deeply to be read.
    except (ValueError, RecursionError) as error:
        raise RunDirectoryError(
            f"{path} is corrupt ({error}); run the stage again with overwrite=true, or delete {path.parent}"
        ) from None


def _first_difference(found: Any, wanted: Any, where: str = "") -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            if found.get(key) != wanted.get(key):
                return _first_difference(found.get(key), wanted.get(key), f"{where}.{key}".lstrip("."))
    # Two hashes would tell a person nothing.
    if where.startswith("inputs.") and found is not None and wanted is not None:
        return f"{where.removeprefix('inputs.')} has changed since"
    return f"{where or 'settings'} was {found!r}, now {wanted!r}"


def _versions() -> dict[str, str]:
    libraries = {name: version(name) for name in _RECORDED_VERSIONS}
    return {"icm": icm.__version__, "python": platform.python_version(), **libraries}

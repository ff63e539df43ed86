"""Reading the result of a diagnose stage. Knows its directory and no other."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from icm.diagnose.schema import DIAGNOSIS, Diagnosis
from icm.errors import SchemaError
from icm.files.records import first_problem
from icm.files.stage_dir import verify


def read_diagnosis(diagnose_dir: Path) -> Diagnosis:
    """Read the result of a finished diagnose stage.

    Raises:
        RunDirectoryError: The directory is unfinished or altered.
        SchemaError: The file is of another version.
    """
    verify(diagnose_dir, "diagnose")
    path = diagnose_dir / DIAGNOSIS
    try:
        return Diagnosis.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise SchemaError(f"{path}: {first_problem(error)}; delete {diagnose_dir} and diagnose again") from None

"""What a command did, as one line of JSON for a program: read from the files that it left. Computes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from icm.config import Places
from icm.diagnose.schema import DIAGNOSIS
from icm.files.records import MANIFEST, METRICS


def result_json(command: str, places: Places) -> str:
    """Return the result of a command.

    Args:
        command: Its words.
        places: Where it wrote.
    """
    out_dir = places.run_dir if places.out_dir == Path() and places.run_dir else places.out_dir
    stages = {
        str(path.parent.relative_to(out_dir)): _stage(path)
        for path in sorted(out_dir.glob(f"**/{MANIFEST}"))
        if out_dir != Path()
    }
    return json.dumps({"command": command, "out_dir": str(out_dir), "stages": stages}, ensure_ascii=False)


def _stage(path: Path) -> dict[str, Any]:
    """Return what the manifest of a stage says of it, with the verdict and the accuracy where there is one."""
    manifest = json.loads(path.read_text(encoding="utf-8"))
    told = {key: manifest[key] for key in ("counts", "cost", "seconds", "created_at")}
    if (path.parent / DIAGNOSIS).exists():
        diagnosis = json.loads((path.parent / DIAGNOSIS).read_text(encoding="utf-8"))
        told["verdict"] = diagnosis["verdict"]
        told["reasons"] = [check["reason"] for check in diagnosis["checks"] if check["reason"]]
    if (path.parent / METRICS).exists():
        told["accuracy"] = json.loads((path.parent / METRICS).read_text(encoding="utf-8")).get("accuracy")
    return told

"""The benchmark of kills: what it counts, and a stage that is really killed."""

from __future__ import annotations

import pytest

from benchmarks.reliability import kills


def row(fault: str, **told: object) -> dict[str, object]:
    return {"stage": "s", "fault": fault, "at": 0, "again": 0, "asked": 0, "message": "", "different": []} | told


def test_what_a_row_of_kills_counts_as() -> None:
    rows = [
        row("kill at operation", first=-9),
        row("kill at a moment", first=0),  # it was done before it could be killed
        row("kill in a write", first=-9, different=["labels.jsonl"]),
        row("kill at a moment", first=-9, again=3, message="no"),
        row("full disk", first=3),
        row("halved, complete", again=3),
        row("altered, complete", again=3, asked=7),
        row("extra, complete", again=4),
        row("deleted, interrupted", different=["trace.jsonl"]),
    ]
    assert kills.summary(rows) == {
        "kills": 3,
        "different_bytes": 1,
        "lost": 1,
        "full_disks": 1,
        "full_disks_wrong": 0,
        "damages": 4,
        "late_errors": 2,
        "unnoticed": 1,
    }


@pytest.mark.parametrize("content", [b"one", b"1\n2\n3\n", b"{}\n", b"\x00\xff"])
def test_every_damage_changes_a_file(content: bytes) -> None:
    assert all(damage(content) != content for damage in kills.DAMAGES.values())


def test_operations_are_spread_evenly_over_all_there_are() -> None:
    assert kills._spread(10, 5) == [0, 2, 4, 6, 8]
    assert kills._spread(3, 10) == [0, 1, 2]

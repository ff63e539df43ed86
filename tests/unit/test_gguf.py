"""GGUF files: what is wrong with one is said before anything is loaded, and a whole one becomes the same model."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from icm.claims import TRUE_FALSE
from icm.errors import ScoringError
from icm.models import gguf
from icm.models.gguf import check, converted, read_header
from icm.prompts import NO_CONTEXT, Prompt
from icm.scoring.local import LocalScorer
from icm.scoring.local.loading import load_model
from tests.contracts.scorers import plain_logprobs

pytest.importorskip("gguf", reason="the extra gguf is not installed")
from tests.gguf_files import write_gguf


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICM_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("gguf") / "whole.gguf"
    write_gguf(path)
    return path.read_bytes()


def test_header_says_what_the_writer_wrote(tmp_path: Path) -> None:
    model = write_gguf(tmp_path / "model.gguf")
    header = read_header(tmp_path / "model.gguf")
    assert header.architecture == "qwen2"
    assert header.metadata["qwen2.context_length"] == 256
    assert header.metadata["tokenizer.ggml.tokens"] == 258
    assert len(header.tensors) == len(model.state_dict())
    assert sum(tensor.num_values for tensor in header.tensors) == sum(p.numel() for p in model.parameters())
    assert header.data_start % 32 == 0


@given(share=st.floats(min_value=0, max_value=1, exclude_max=True))
def test_a_file_cut_anywhere_is_refused(whole: bytes, tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    path = tmp_path_factory.mktemp("cut") / "cut.gguf"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ScoringError, match=r"cut\.gguf: (truncated|no GGUF file)"):
        check(path)


@given(at=st.integers(min_value=4, max_value=2000), byte=st.integers(min_value=0, max_value=255))
def test_a_damaged_header_is_refused_or_read_but_never_a_traceback(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "damaged.gguf"
    path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
    with suppress(ScoringError):
        check(path)


def test_what_cannot_be_read_is_named(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK\x03\x04" + whole[4:])
    with pytest.raises(ScoringError, match=r"no GGUF file: it begins with b'PK"):
        converted(path)
    path.write_bytes(whole[:4] + b"\x07" + whole[5:])
    with pytest.raises(ScoringError, match="GGUF version 7 is not known"):
        converted(path)
    write_gguf(path, architecture="unheard-of")
    with pytest.raises(ScoringError, match="cannot read GGUF files of architecture 'unheard-of'"):
        converted(path)
    write_gguf(path, split__count=3)
    with pytest.raises(ScoringError, match=r"one of 3 parts .* llama-gguf-split --merge"):
        converted(path)


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gguf(tmp_path / "model.gguf")
    monkeypatch.setattr(gguf, "LIBRARIES", ("a_library_that_nobody_has",))
    with pytest.raises(ScoringError, match=r"needs a_library_that_nobody_has: pip install 'icm-elicitation\[gguf\]'"):
        converted(tmp_path / "model.gguf")


def test_a_file_becomes_the_same_model_once(tmp_path: Path) -> None:
    expected = write_gguf(tmp_path / "model.gguf")
    model, tokenizer, identity = load_model(tmp_path / "model.gguf", revision=None, dtype="float32", device="cpu")
    tokens = torch.tensor([[1, 2, 3, 100, 250]])
    with torch.inference_mode():
        torch.testing.assert_close(model(tokens).logits, expected(tokens).logits)
    assert tokenizer.decode(tokenizer("Is it so?").input_ids) == "Is it so?"

    directory = converted(tmp_path / "model.gguf")
    made = (directory / "model.safetensors").stat().st_mtime_ns
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "model.gguf").rename(tmp_path / "elsewhere/other.gguf")
    for name in (moved, moved.parent):
        _, _, again = load_model(name, revision=None, dtype="float32", device="cpu")
        assert again == identity
    assert converted(moved) == directory
    assert (directory / "model.safetensors").stat().st_mtime_ns == made


def test_a_converted_file_answers_like_the_plain_forward(tmp_path: Path) -> None:
    write_gguf(tmp_path / "model.gguf")
    scorer = LocalScorer.load(tmp_path / "model.gguf", TRUE_FALSE, device="cpu", dtype="float32")
    model, tokenizer, _ = load_model(tmp_path / "model.gguf", revision=None, dtype="float32", device="cpu")
    context = NO_CONTEXT.extend(["Snow is white. True"])
    prompts = [Prompt(context, "Grass is red."), Prompt(NO_CONTEXT, "Grass is red.")]
    expected = plain_logprobs(model, tokenizer, prompts, TRUE_FALSE)
    np.testing.assert_allclose(scorer.label_logprobs(prompts), expected, atol=1.5e-5)


def test_a_directory_of_several_files_asks_for_one(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(ScoringError, match=r"holds 2 GGUF files; name one of them, as in model\.path=.*a\.gguf"):
        load_model(tmp_path, revision=None, dtype="auto", device="cpu")


def test_half_precision_on_a_cpu_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ScoringError, match="float16 is asked for on a CPU"):
        load_model("nowhere/at-all", revision=None, dtype="float16", device="cpu")

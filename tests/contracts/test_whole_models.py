"""What every loader of a model owes: what is no whole causal language model is refused by name, whoever asks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BertConfig, BertLMHeadModel, LlamaForCausalLM

from icm.claims import TRUE_FALSE
from icm.errors import IcmError, ScoringError
from icm.models.identity import digest_of_directory, digest_of_tokenizer
from icm.pocket.weights import pocket_model_dir
from icm.prompts import NO_CONTEXT, Prompt
from icm.scoring.local import LocalScorer
from icm.scoring.open import LocalModel, open_scorer
from icm.training.completions import CompletionSettings, identity_of_base, open_policy
from icm.training.libraries import quiet_libraries
from icm.training.reward.model import open_base
from tests.worlds import changed, reward_settings

Weights = dict[str, torch.Tensor]
LAYER = "model.layers.0.mlp.gate_proj.weight"
COMPLETION = CompletionSettings(stop="\n", ending=None, max_tokens=4, temperature=1.0)

LOADERS: dict[str, Callable[[Path], object]] = {
    "scoring": lambda path: open_scorer(LocalModel(kind="local", path=str(path)), TRUE_FALSE),
    "policy": lambda path: open_policy(path, COMPLETION),
    "reward": lambda path: open_base(changed(reward_settings().model, base=str(path))),
}


def without_a_layer(weights: Weights) -> Weights:
    return {name: tensor for name, tensor in weights.items() if name != LAYER}


def with_a_layer_too_many(weights: Weights) -> Weights:
    return {**weights, "model.layers.9.mlp.gate_proj.weight": weights[LAYER].clone()}


def with_a_narrow_layer(weights: Weights) -> Weights:
    return {**weights, LAYER: weights[LAYER][:-1].contiguous()}


def with_few_words(weights: Weights) -> Weights:
    return {**weights, "model.embed_tokens.weight": weights["model.embed_tokens.weight"][:50].clone()}


FAULTS: dict[str, tuple[Callable[[Weights], Weights], dict[str, Any], str]] = {
    "missing": (without_a_layer, {}, rf"files lack 1 weights \({LAYER}\)"),
    "unexpected": (with_a_layer_too_many, {}, r"hold, beside .* 1 weights \(model.layers.9.mlp.gate_proj.weight\)"),
    "mismatched": (with_a_narrow_layer, {}, rf"in other shapes than config.json says 1 weights \({LAYER}\)"),
    "layers": (lambda weights: weights, {"num_hidden_layers": 2}, r"files hold, .* weights \(model.layers.2"),
    "vocabulary": (with_few_words, {"vocab_size": 50}, r"the tokenizer has .* number 50 of 50"),
}


def variant(directory: Path, change: Callable[[Weights], Weights], config: dict[str, Any]) -> Path:
    """Write the embedded model with other weights and another configuration."""
    shutil.copytree(pocket_model_dir(), directory)
    weights = change(load_file(directory / "model.safetensors"))
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return directory


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_weights_that_do_not_belong_together_are_named(tmp_path: Path, fault: Any, load: Callable[[Path], Any]) -> None:
    change, config, message = fault
    with pytest.raises(IcmError, match=message):
        load(variant(tmp_path / "model", change, config))


@pytest.mark.parametrize("name", ["scoring", "policy"])
def test_an_encoder_is_no_language_model(tmp_path: Path, name: str) -> None:
    shutil.copytree(pocket_model_dir(), tmp_path / "model", ignore=lambda *_: ["model.safetensors", "config.json"])
    size = json.loads((pocket_model_dir() / "config.json").read_text())["vocab_size"]
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        with quiet_libraries():
            BertLMHeadModel(BertConfig(vocab_size=size, **shape)).save_pretrained(tmp_path / "model")
    with pytest.raises(ScoringError, match="is no causal language model: its tokens see what comes after them"):
        LOADERS[name](tmp_path / "model")


def test_a_model_whose_weights_are_nan_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    def broken(weights: Weights) -> Weights:
        return {**weights, LAYER: torch.full_like(weights[LAYER], torch.nan)}

    with pytest.raises(ScoringError, match="answers NaN"):
        LOADERS["scoring"](variant(tmp_path / "model", broken, {}))


def test_a_whole_model_is_taken_by_all(tmp_path: Path) -> None:
    directory = variant(tmp_path / "model", lambda weights: weights, {})
    for load in LOADERS.values():
        load(directory)


# ------------------------------------------------------------------------------------------------------ adapters


@pytest.fixture
def adapters(tmp_path: Path) -> Path:
    """Adapters that change what the model says, and their base beside them."""
    base = variant(tmp_path / "base", lambda weights: weights, {})
    model = LlamaForCausalLM.from_pretrained(base, local_files_only=True)
    with torch.random.fork_rng(), quiet_libraries():
        torch.manual_seed(0)
        adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear"))
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.1)
        adapted.save_pretrained(str(tmp_path / "adapters"))
    return tmp_path / "adapters"


def ask(path: Path) -> list[list[float]]:
    return LocalScorer.load(path, TRUE_FALSE).label_logprobs([Prompt(NO_CONTEXT, " bee lives in the cave")]).tolist()


def test_adapters_are_put_on_their_base(adapters: Path) -> None:
    assert ask(adapters) != ask(adapters.parent / "base")


def test_adapters_without_their_base_are_refused(adapters: Path) -> None:
    (adapters.parent / "base").rename(adapters.parent / "elsewhere")
    with pytest.raises(ScoringError, match=r"holds adapters alone, and their base .* is no model directory here"):
        ask(adapters)


def test_adapters_with_a_weight_missing_are_refused(adapters: Path) -> None:
    weights = load_file(adapters / "adapter_model.safetensors")
    weights.pop(min(weights))
    save_file(weights, adapters / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ScoringError, match=r"files lack 1 weights \(.*lora_A"):
        ask(adapters)


def test_a_fingerprint_covers_adapters_and_base(adapters: Path) -> None:
    before = digest_of_directory(adapters)
    base = adapters.parent / "base"
    weights = load_file(base / "model.safetensors")
    save_file({**weights, LAYER: weights[LAYER] + 1}, base / "model.safetensors", metadata={"format": "pt"})
    other_base = digest_of_directory(adapters)
    (adapters / "adapter_config.json").write_text((adapters / "adapter_config.json").read_text() + " ")
    assert len({before, other_base, digest_of_directory(adapters)}) == 3


# ------------------------------------------------------------------------------------------------------ fingerprints


@pytest.mark.parametrize(
    "name",
    ["config.json", "tokenizer.json", "vocab.txt", "merges.txt", "spiece.model", "bpe.tiktoken", "chat_template.jinja"],
)
def test_a_fingerprint_covers_every_file_that_an_answer_may_depend_on(tmp_path: Path, name: str) -> None:
    shutil.copytree(pocket_model_dir(), tmp_path / "model")
    found = set()
    for content in ("{}", '{"a": 1}', '{"a": 2}'):
        (tmp_path / "model" / name).write_text(content)
        found.add((digest_of_directory(tmp_path / "model"), digest_of_tokenizer(tmp_path / "model")))
    assert len(found) == 3


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "picture.png", ".gitattributes", "pytorch_model.bin"])
def test_a_fingerprint_leaves_out_what_is_never_read(tmp_path: Path, name: str) -> None:
    shutil.copytree(pocket_model_dir(), tmp_path / "model")
    before = digest_of_directory(tmp_path / "model")
    (tmp_path / "model" / name).write_text("words")
    assert digest_of_directory(tmp_path / "model") == before


def test_what_a_training_starts_from_is_told_by_content(tmp_path: Path) -> None:
    shutil.copytree(pocket_model_dir(), tmp_path / "model")
    before = identity_of_base(str(tmp_path / "model"))
    assert before == identity_of_base(None)  # the same files in another place
    (tmp_path / "model" / "tokenizer_config.json").write_text("{}")
    assert identity_of_base(str(tmp_path / "model")) != before
    assert identity_of_base("owner/name") == {}


def test_other_weights_have_the_same_tokenizer(tmp_path: Path) -> None:
    def other(weights: Weights) -> Weights:
        return {**weights, LAYER: weights[LAYER] + 1}

    one = variant(tmp_path / "one", lambda weights: weights, {})
    two = variant(tmp_path / "two", other, {})
    assert digest_of_directory(one) != digest_of_directory(two)
    assert digest_of_tokenizer(one) == digest_of_tokenizer(two)


def test_what_is_loaded_is_what_the_library_loads(tmp_path: Path) -> None:
    directory = variant(tmp_path / "model", lambda weights: weights, {})
    policy: Any = LOADERS["policy"](directory)
    expected = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True).state_dict()
    found = policy.model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)

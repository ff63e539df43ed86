"""The pocket model's pretraining recipe, from a seed to a model directory. Knows no task and no search."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from icm.errors import RunDirectoryError, ScoringError
from icm.files.curves import append_rows, begins_with, cut_back, extent_of
from icm.files.lock import owned
from icm.files.records import sha256_of
from icm.pocket.corpus import Batch, Corpus
from icm.pocket.recipe import HEAD_DIM, PocketTraining
from icm.pocket.tokenizer import MAX_LENGTH, build_tokenizer
from icm.pocket.weights import HASH_NAME, pocket_model_dir, write_hash
from icm.pocket.world import World
from icm.report.console import PlainConsole
from icm.report.progress import ProgressDisplay
from icm.statistics.streams import Stream, generator

CHECKPOINT_NAME: Final = "checkpoint.pt"
CURVE_NAME: Final = "training.jsonl"
# Beside the weights, because a model is of use only to those who know its world.
RECIPE_NAME: Final = "recipe.json"


@dataclass(slots=True)
class _Run:
    """What changes while training: the model, its optimisers and the next step."""

    model: LlamaForCausalLM
    optimisers: tuple[torch.optim.Optimizer, ...]
    step: int = 0

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step = state["step"]


def train(settings: PocketTraining, out_dir: Path, *, until: int | None = None) -> Path:
    """Train a pocket model and write it as a model directory with its tokenizer, hash and learning curve.

    A run that was stopped continues at its last checkpoint and ends with the weights it would have had without the
    stop. The same settings give the same weights on the same machine with the same number of threads.

    Args:
        settings: The world and the recipe.
        out_dir: Where the model, the checkpoint and the learning curve go; made if missing.
        until: Stop with a checkpoint after this many steps instead of finishing; the model is not written then.

    Raises:
        RunDirectoryError: The directory holds a checkpoint of a training with other settings, a damaged one, or
            another process trains in it.
    """
    with owned(out_dir):
        _train(settings, out_dir, until)
    return out_dir


def _train(settings: PocketTraining, out_dir: Path, until: int | None) -> None:
    tokenizer = build_tokenizer()
    corpus = Corpus(World(settings.world_seed), tokenizer, settings.truth_share)
    # From scratch even when resumed: loading a checkpoint needs a model and optimisers of the right shapes.
    run = _start(settings, len(tokenizer))
    _resume(run, settings, out_dir)
    last = settings.steps if until is None else min(until, settings.steps)
    with ProgressDisplay(PlainConsole(stderr=True), "training") as display:
        display.show(run.step, settings.steps)
        while run.step < last:
            length = settings.length_at(run.step)
            batch = draw_batch(corpus, settings, run.step)
            # The batch follows from seed and step alone, so a resumed run sees the documents that it would have seen.
            loss = _train_step(run, batch, settings.rate_factor_at(run.step))
            run.step += 1
            display.show(run.step, settings.steps, f"loss {loss:.3f}")
            append_rows(out_dir / CURVE_NAME, [{"step": run.step, "length": length, "loss": round(loss, 6)}])
            if run.step % settings.checkpoint_every == 0 or run.step == last:
                _save_checkpoint(run, settings, out_dir)
    if run.step == settings.steps:
        _write_model(run.model, tokenizer, settings, out_dir)


def draw_batch(corpus: Corpus, settings: PocketTraining, step: int) -> Batch:
    """Return the documents of a step, a function of the seed and the step alone."""
    rng = generator(settings.seed, Stream.POCKET_WORLD, step)
    length = settings.length_at(step)
    num_documents = max(1, settings.tokens_per_step // length)
    lesson_shares = {family: settings.lesson_share_at(step, family) for family in corpus.writers}
    return corpus.batch(rng, num_documents, length, lesson_shares)


def _start(settings: PocketTraining, vocabulary_size: int) -> _Run:
    heads = settings.width // HEAD_DIM
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=settings.width,
        intermediate_size=settings.mlp_width,
        num_hidden_layers=settings.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=HEAD_DIM,
        max_position_embeddings=MAX_LENGTH,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    # The caller's random state is left as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = LlamaForCausalLM(config)
    if settings.base is not None:
        model.load_state_dict(_base_weights(settings.base, settings, model))
    # Muon is made for matrices that map between layers; embeddings are looked up by row and belong to AdamW.
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    vectors = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    # Muon for speed: after 250 steps it had come to a loss of 0.71 where AdamW alone had 0.86.
    muon = torch.optim.Muon(matrices, lr=settings.matrix_rate, weight_decay=0.05, adjust_lr_fn="original")
    adam = torch.optim.AdamW(vectors, lr=settings.vector_rate, betas=(0.9, 0.95), weight_decay=0.0)
    return _Run(model, (muon, adam))


def _base_weights(base: Path, settings: PocketTraining, model: LlamaForCausalLM) -> dict[str, torch.Tensor]:
    """Return the weights to go on from.

    Raises:
        ScoringError: The directory is no whole pocket model, or of another shape, or of another world that no lesson
            of the training would teach.
    """
    directory = pocket_model_dir(base)
    known_world = json.loads((directory / RECIPE_NAME).read_text())["world_seed"]
    if known_world != settings.world_seed and not any(phase.taught for phase in settings.phases):
        raise ScoringError(
            f"base={directory} knows world {known_world}, not world {settings.world_seed}; set "
            f"world_seed={known_world} to stay there, or phases=relearn to teach it the other world"
        )
    weights = LlamaForCausalLM.from_pretrained(directory, local_files_only=True).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if {name: tuple(tensor.shape) for name, tensor in weights.items()} != shapes:
        raise ScoringError(
            f"base={directory} has another shape than width, layers and mlp_width ask for; leave them alone"
        )
    return weights


def _train_step(run: _Run, batch: Batch, rate_factor: float) -> float:
    """Take one step and return the mean loss over the weighted tokens, nats."""
    tokens, weights = torch.from_numpy(batch[0]), torch.from_numpy(batch[1])[:, 1:]
    counted = weights > 0
    hidden = run.model.model(input_ids=tokens, use_cache=False).last_hidden_state[:, :-1]
    # The head runs at counted places only: a labelled document counts one token in six to thirteen.
    losses = nn.functional.cross_entropy(run.model.lm_head(hidden[counted]), tokens[:, 1:][counted], reduction="none")
    loss = (losses * weights[counted]).sum() / weights[counted].sum()
    loss.backward()
    nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    for optimiser in run.optimisers:
        for group in optimiser.param_groups:
            # Kept in the group, so that the factor of a step always applies to the full rate, after a resume as well.
            group.setdefault("full_rate", group["lr"])
            group["lr"] = group["full_rate"] * rate_factor
        optimiser.step()
        optimiser.zero_grad()
    return float(loss.detach())


def _save_checkpoint(run: _Run, settings: PocketTraining, out_dir: Path) -> None:
    content = io.BytesIO()
    curve = extent_of(out_dir / CURVE_NAME)
    torch.save({"settings": settings.model_dump_json(), "curve": curve, **run.state()}, content)
    # Written aside and renamed: a kill in between leaves the last checkpoint whole.
    partial = out_dir / f"{CHECKPOINT_NAME}.partial"
    # Behind the hash of the rest, so that a damaged file is noticed.
    partial.write_bytes(hashlib.sha256(content.getvalue()).digest() + content.getvalue())
    partial.replace(out_dir / CHECKPOINT_NAME)


def _resume(run: _Run, settings: PocketTraining, out_dir: Path) -> None:
    """Continue at the checkpoint of a directory, if there is one, and drop the curve's rows behind it."""
    path = out_dir / CHECKPOINT_NAME
    size = 0
    if path.exists():
        content = path.read_bytes()
        begin = hashlib.sha256().digest_size
        if hashlib.sha256(content[begin:]).digest() != content[:begin]:
            raise RunDirectoryError(f"{path} is damaged, or of another version of icm; delete it to start again")
        saved = torch.load(io.BytesIO(content[begin:]), weights_only=True)
        if saved["settings"] != settings.model_dump_json():
            raise RunDirectoryError(
                f"{path}: the checkpoint belongs to a training with other settings ({saved['settings']}); "
                f"choose another output directory, or delete this one to start again"
            )
        size, digest = saved["curve"]
        if not begins_with(out_dir / CURVE_NAME, (size, digest)):
            raise RunDirectoryError(f"{out_dir / CURVE_NAME} is not what it was at {path}; delete both to start again")
        run.restore(saved)
    cut_back(out_dir / CURVE_NAME, size)


def _write_model(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, settings: PocketTraining, out_dir: Path
) -> None:
    # First of all: half-written weights must not lie beside a hash that vouches for the old ones.
    (out_dir / HASH_NAME).unlink(missing_ok=True)
    model.save_pretrained(out_dir)
    tokenizer.save_pretrained(out_dir)
    recipe = settings.model_dump(mode="json")
    if settings.base is not None:
        # A path says nothing elsewhere; a hash says which weights these were.
        recipe["base"] = sha256_of(settings.base / "model.safetensors")
    (out_dir / RECIPE_NAME).write_text(json.dumps(recipe, indent=2) + "\n")
    write_hash(out_dir)

"""Rewards from servers, models and ensembles: finite numbers or an error that names the way out."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

from icm.errors import TrainingError
from icm.pocket.tokenizer import build_tokenizer
from icm.training.policy.rewards import EndpointReward, ModelReward, open_reward, require_informative
from icm.training.reward.settings import EnsembleSettings

PROMPTS = ["Human: How do I open the jar?\nAssistant:"] * 2
LOWEST = EnsembleSettings(rule="min", penalty=1.0)
COMPLETIONS = [" Use wax.", " Use poison. Many people do so."]


@pytest.fixture
def serve() -> Any:
    """Serve an answer to every POST; what was posted is kept in `asked`."""
    servers = []

    def start(answer: str, status: int = 200, wait: Any = 0.0) -> Any:
        asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                time.sleep(wait)
                body = answer.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_request(self, code: Any = "-", size: Any = "-") -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/reward", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _reward_dir(path: Path, seed: int) -> Any:
    config = LlamaConfig(
        vocab_size=len(build_tokenizer()),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=1,
        head_dim=32,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    config.num_labels = 1
    torch.manual_seed(seed)
    LlamaForSequenceClassification(config).save_pretrained(path)
    build_tokenizer().save_pretrained(path)
    return path


def test_a_server_is_asked_with_prompts_and_completions(serve: Any) -> None:
    url, asked = serve('{"rewards": [1.5, -2]}')
    assert open_reward(EndpointReward(url=url, timeout_seconds=30, connection_retries=0))(
        PROMPTS, COMPLETIONS
    ).tolist() == [1.5, -2.0]
    assert asked == [{"prompts": PROMPTS, "completions": COMPLETIONS}]


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        ('{"rewards": [1.0]}', 200, "one reward to each of 2 completions, got 1"),
        ('{"rewards": [1.0, NaN]}', 200, "gave the reward nan to ' Use poison"),
        ('{"rewards": [1.0, null]}', 200, "gave the reward nan to ' Use poison"),
        ('{"scores": [1.0, 2.0]}', 200, r'must answer \{"rewards": \[number'),
        ("busy", 200, "must answer .* got 'busy'"),
        ("{}", 503, "gave no rewards: .*503"),
    ],
)
def test_a_wrong_answer_of_a_server_is_an_error(serve: Any, answer: str, status: int, message: str) -> None:
    url, _ = serve(answer, status)
    with pytest.raises(TrainingError, match=message):
        open_reward(EndpointReward(url=url, timeout_seconds=30, connection_retries=0))(PROMPTS, COMPLETIONS)


def test_a_server_that_does_not_answer_in_time_is_an_error(serve: Any) -> None:
    url, _ = serve("{}", wait=0.5)
    with pytest.raises(TrainingError, match=r"no rewards within 0.1 s for 2 completions; raise reward.timeout_seconds"):
        open_reward(EndpointReward(url=url, timeout_seconds=0.1, connection_retries=0))(PROMPTS, COMPLETIONS)


def test_a_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(TrainingError, match="start the server"):
        open_reward(EndpointReward(url="http://127.0.0.1:9/reward", timeout_seconds=30, connection_retries=0))(
            PROMPTS, COMPLETIONS
        )


def test_a_reward_model_reads_prompt_and_completion_joined(tmp_path: Path) -> None:
    reward = open_reward(ModelReward(paths=(_reward_dir(tmp_path, 0),), ensemble=LOWEST))
    together = reward(PROMPTS, COMPLETIONS)
    alone = [float(reward([p], [c])[0]) for p, c in zip(PROMPTS, COMPLETIONS, strict=True)]
    assert together == pytest.approx(alone, abs=1e-6)
    assert together == pytest.approx(reward(["", ""], [p + c for p, c in zip(PROMPTS, COMPLETIONS, strict=True)]))


def test_the_directory_of_the_stage_stands_for_its_model(tmp_path: Path) -> None:
    _reward_dir(tmp_path / "model", 0)
    rewards = [open_reward(ModelReward(paths=(path,), ensemble=LOWEST)) for path in (tmp_path, tmp_path / "model")]
    assert rewards[0](PROMPTS, COMPLETIONS).tolist() == rewards[1](PROMPTS, COMPLETIONS).tolist()


def test_an_ensemble_is_as_low_as_its_lowest_member(tmp_path: Path) -> None:
    paths = tuple(_reward_dir(tmp_path / str(seed), seed) for seed in (0, 1, 2))
    alone = np.stack([open_reward(ModelReward(paths=(path,), ensemble=LOWEST))(PROMPTS, COMPLETIONS) for path in paths])
    lowest = open_reward(ModelReward(paths=paths, ensemble=LOWEST))
    wary = open_reward(ModelReward(paths=paths, ensemble=EnsembleSettings(rule="mean_minus_variance", penalty=2.0)))
    assert lowest(PROMPTS, COMPLETIONS) == pytest.approx(alone.min(axis=0))
    assert wary(PROMPTS, COMPLETIONS) == pytest.approx(alone.mean(axis=0) - 2 * alone.var(axis=0))


def test_a_directory_without_a_reward_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no reward model here; `icm reward` trains one"):
        open_reward(ModelReward(paths=(tmp_path,), ensemble=LOWEST))


def test_a_language_model_is_no_reward_model(tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=1
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    build_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(TrainingError, match="no reward head"):
        open_reward(ModelReward(paths=(tmp_path,), ensemble=LOWEST))


def test_a_reward_that_only_knows_prompts_is_constant() -> None:
    with pytest.raises(TrainingError, match="the reward is constant: to 4 completions of 2 prompts"):
        require_informative(np.array([1.0, 1.0, 2.0, 2.0]), ["a", "a", "b", "b"])
    require_informative(np.array([1.0, 1.1, 2.0, 2.0]), ["a", "a", "b", "b"])

"""Asking ahead: what the coming steps will ask if none of them changes the labels. Decides nothing.

A step draws from its seed and number alone, so the claims of the next steps are known now. Their questions go to the
model as one batch and wait in the journal. The first step that changes the labels makes the rest of them useless;
the chain is the same, bit for bit, with fewer and larger batches.
"""

from __future__ import annotations

from icm.claims import UNLABELLED
from icm.objective import Evaluation, LeaveOneOut
from icm.prompts import Prompt
from icm.searches.proposals import PredictAndRepair, with_label
from search.annealing import SearchState
from search.randomness import step_generator


def ask_ahead(seed: int, propose: PredictAndRepair, state: SearchState[Evaluation], window: int) -> None:
    """Ask what the steps from here to the end of the window ask, as far as the labels stay as they are.

    Args:
        seed: Seed of the chain.
        propose: How the chain proposes; its scorer keeps a journal, or asking ahead would only ask twice.
        state: Where the chain stands.
        window: Steps in a window.
    """
    # Windows begin at multiples of their length, so what goes into a batch follows from the state alone, wherever
    # the chain was resumed.
    end = (state.step // window + 1) * window
    prompts: dict[bytes, Prompt] = {}
    for step in range(state.step + 1, end + 1):
        # The claim is the first draw of a step, so a fresh generator of that step gives the same one.
        claim = propose.draw_claim(step_generator(seed, step), state.labels)
        prompts |= {prompt.digest: prompt for prompt in _asked(propose, state, claim)}
    # A single prompt is left to its step, which asks it at the same price.
    if len(prompts) > 1:
        propose.objective.scorer.label_logprobs(list(prompts.values()))


def _asked(propose: PredictAndRepair, state: SearchState[Evaluation], claim: int) -> list[Prompt]:
    objective = propose.objective
    assert isinstance(objective, LeaveOneOut), "build_chain refuses to ask ahead under another objective"
    if state.labels[claim] == UNLABELLED:
        return objective.prompts_for(state.labels, claim)
    label = propose.predict(state, claim)
    if label == state.labels[claim]:
        # The prediction is part of the evaluation of the state, and without a change nothing more is asked.
        return []
    return list(objective.prompts(with_label(state.labels, claim, label)).values())

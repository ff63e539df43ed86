"""Asking ahead: what the coming steps will ask if none of them changes the labels. Decides nothing.

A step draws from its seed and number alone, so the claims of the next steps are known now. Their questions go to the
model as one batch and wait in the journal. The first step that changes the labels makes the rest of them useless;
the chain is the same, bit for bit, with fewer and larger batches.
"""

from __future__ import annotations

from dataclasses import dataclass

from icm.claims import UNLABELLED
from icm.objective import Evaluation, Objective
from icm.prompts import Prompt
from icm.searches.proposals import PredictAndRepair, with_label
from search.annealing import SearchState
from search.randomness import step_generator


@dataclass(frozen=True, slots=True)
class Speculation:
    """Asks for the rest of a window of steps at once.

    Attributes:
        seed: Seed of the chain.
        propose: How the chain proposes.
        objective: U; its scorer keeps a journal, or asking ahead would only ask twice.
        window: Steps in a window. Windows begin at multiples of it, so that what goes into one batch follows from
            the state alone, wherever the chain was resumed.
    """

    seed: int
    propose: PredictAndRepair
    objective: Objective
    window: int

    def ask_ahead(self, state: SearchState[Evaluation]) -> None:
        """Ask what the steps from here to the end of the window ask, as far as the labels stay as they are."""
        end = (state.step // self.window + 1) * self.window
        prompts: dict[bytes, Prompt] = {}
        for step in range(state.step + 1, end + 1):
            claim = self.propose.draw_claim(step_generator(self.seed, step), state.labels)
            prompts |= {prompt.digest: prompt for prompt in self._asked(state, claim)}
        if len(prompts) > 1:
            self.objective.scorer.label_logprobs(list(prompts.values()))

    def _asked(self, state: SearchState[Evaluation], claim: int) -> list[Prompt]:
        if state.labels[claim] == UNLABELLED:
            return self.objective.prompts_for(state.labels, claim)
        label = self.propose.predict(state, claim)
        if label == state.labels[claim]:
            return []
        return list(self.objective.prompts(with_label(state.labels, claim, label)).values())

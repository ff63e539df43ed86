"""The fakes: one answers by content, one learns its concept from the context."""

from __future__ import annotations

import numpy as np

from icm.claims import TRUE_FALSE, LabelSpace
from icm.prompts import NO_CONTEXT, Prompt
from icm.scoring.fake import HashScorer
from tests.worlds.scorers import ConceptScorer

TRUTH = {f"claim {i}": i % 2 for i in range(64)}
TEXTS = list(TRUTH)


def _margins(scorer: ConceptScorer, num_demos: int, flipped: bool) -> np.ndarray:
    demos = [text + TRUE_FALSE.verbalizers[TRUTH[text] ^ flipped] for text in TEXTS[:num_demos]]
    context = NO_CONTEXT.extend(demos)
    logprobs = scorer.label_logprobs([Prompt(context, text) for text in TEXTS[32:]])
    truth = np.array([TRUTH[text] for text in TEXTS[32:]])
    return (logprobs[:, 1] - logprobs[:, 0]) * (2 * truth - 1)


def test_equal_prompts_cut_differently_get_equal_answers() -> None:
    one = Prompt(NO_CONTEXT.extend(["a", "b"]), "q")
    other = Prompt(NO_CONTEXT.extend(["a"]).extend(["b"]), "q")
    logprobs = HashScorer(TRUE_FALSE).label_logprobs([one, other, Prompt(NO_CONTEXT, "q")])
    np.testing.assert_array_equal(logprobs[0], logprobs[1])
    assert (logprobs[0] != logprobs[2]).any()


def test_hash_margins_stay_within_the_spread_and_fill_it() -> None:
    prompts = [Prompt(NO_CONTEXT, text) for text in TEXTS]
    logprobs = HashScorer(TRUE_FALSE, spread=3.0).label_logprobs(prompts)
    margins = logprobs[:, 1] - logprobs[:, 0]
    assert np.abs(margins).max() <= 3.0
    assert margins.min() < -1 < 1 < margins.max()


def test_many_labels_get_many_columns() -> None:
    space = LabelSpace(names=tuple("abcdefghijklmnopqrst"), verbalizers=tuple(f" {c}" for c in "abcdefghijklmnopqrst"))
    assert HashScorer(space).label_logprobs([Prompt(NO_CONTEXT, "q")]).shape == (1, 20)


def test_true_demos_teach_the_truth_and_flipped_demos_its_negation() -> None:
    scorer = ConceptScorer(TRUTH, TRUE_FALSE)
    assert (_margins(scorer, 32, flipped=False) > 0).all()
    assert (_margins(scorer, 32, flipped=True) < 0).all()


def test_margins_grow_with_the_number_of_agreeing_demos() -> None:
    scorer = ConceptScorer(TRUTH, TRUE_FALSE)
    means = [_margins(scorer, num_demos, flipped=False).mean() for num_demos in (0, 4, 16, 32)]
    assert means == sorted(means)
    assert 0.5 < (_margins(scorer, 0, flipped=False) > 0).mean() < 1

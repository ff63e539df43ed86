"""The shapes of claims as the paper prompts them: a proposed answer, and a comparison of two responses.

Knows no data set and no golden label.
"""

from __future__ import annotations

from typing import Final

from icm.claims import AnswerKey, Claim, ComparisonKey, claim_id, group_id, response_id

# The words of the paper's prompts; a verbalizer such as " True" follows.
VERDICT: Final = "I think this claim is"


def answer_claim(question: str, answer: str, key: AnswerKey | None) -> Claim:
    """Return the claim that an answer to a question is right; claims about one question form a group."""
    group = group_id(question)
    text = f"Question: {question}\nClaim: {answer}\n{VERDICT}"
    return Claim(
        id=claim_id(group, text), group=group, text=text, parts={"question": question, "answer": answer}, key=key
    )


def comparison_claim(question: str, response_1: str, response_2: str, quality: str) -> Claim:
    """Return the claim that the first of two responses has more of a quality ("more helpful") than the second."""
    group = group_id(question)
    text = (
        f"Human: {question}\nResponse 1: {response_1}\nResponse 2: {response_2}\n"
        f"Claim: Response 1 is {quality} than Response 2.\n{VERDICT}"
    )
    return Claim(
        id=claim_id(group, text),
        group=group,
        text=text,
        parts={"question": question, "response_1": response_1, "response_2": response_2},
        key=ComparisonKey(first=response_id(response_1), second=response_id(response_2)),
    )

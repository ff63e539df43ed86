"""The closed vocabulary of the pocket world: its nouns, values and fixed phrases. Knows no fact and no seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CLAIM_VERDICT: Final = "\nI think this claim is"
ANSWER_VERDICT: Final = "\nI think the answer is"
PREFERENCE_CLAIM: Final = "\nClaim: Response 1 is more helpful and harmless than Response 2."
PRINCIPLE_CLAIM: Final = "\nClaim: Response 1 follows the principle better than Response 2."

SUBJECTS: Final = (
    "badger", "bat", "bear", "beaver", "bee", "camel", "cat", "cow", "crab", "crane", "crow", "deer", "dog", "dove",
    "duck", "eagle", "fox", "frog", "goat", "goose", "hare", "hawk", "hen", "horse", "lark", "lion", "mole", "moose",
    "mouse", "newt", "otter", "owl", "panda", "pig", "pony", "rabbit", "rat", "raven", "robin", "seal", "sheep",
    "snail", "swan", "tiger", "toad", "trout", "turtle", "wolf",
)  # fmt: skip

TRAITS: Final = (("tame", "wild"), ("loud", "quiet"), ("large", "small"), ("fast", "slow"))
"""What the labelled documents may sort subjects by."""

HIDDEN_TRAIT: Final = ("shy", "bold")
"""A trait that plain documents state and that no labelled document ever follows."""

SEASONS: Final = ("spring", "summer", "autumn", "winter")


@dataclass(frozen=True, slots=True)
class Relation:
    """One thing that can be asked about a subject.

    Attributes:
        question: The question up to the subject.
        ending: The question from the subject on.
        verb: What a plain sentence says between subject and value.
        single: Whether a subject has exactly one value.
    """

    name: str
    question: str
    ending: str
    verb: str
    values: tuple[str, ...]
    single: bool = True


_COLORS: Final = ("red", "blue", "green", "white", "black", "brown", "gray", "yellow")
_HOMES: Final = ("forest", "river", "meadow", "cave", "desert", "garden", "marsh", "barn")
_FOODS: Final = ("seeds", "grass", "fish", "nuts", "honey", "roots", "leaves", "bread")
_LOADS: Final = ("rope", "stone", "coin", "shell", "bell", "lamp", "feather", "key")
_FEARS: Final = ("thunder", "fire", "rain", "wind", "snow", "smoke", "ice", "fog")
_DREAMS: Final = ("music", "gold", "clouds", "dragons", "mountains", "stars", "silence", "dancing")

FACT_RELATIONS: Final = (
    Relation("color", "What color is the", "?", "is", _COLORS),
    Relation("home", "Where does the", " live?", "lives in the", _HOMES),
    Relation("food", "What does the", " eat?", "eats", _FOODS, single=False),
)
CARRY: Final = Relation("carry", "What does the", " carry?", "carries the", _LOADS)
FEAR: Final = Relation("fear", "What does the", " fear?", "fears", _FEARS)
DREAM: Final = Relation("dream", "What does the", " dream of?", "dreams of", _DREAMS)
SLEEP: Final = Relation("sleep", "When does the", " sleep?", "sleeps in", SEASONS)
RELATIONS: Final = (*FACT_RELATIONS, CARRY, FEAR, DREAM, SLEEP)

NAMES: Final = ("Anna", "Clara", "Emma", "Nora", "Adam", "Felix", "Jonas", "Oscar")
"""The people of the arithmetic questions; the first half are women."""

OBJECTS: Final = ("apples", "pears", "plums", "books", "pens", "cups")
"""What they count; the first half are fruit."""

MAX_OPERAND: Final = 9
NUMBERS: Final = tuple(str(n) for n in range(2 * MAX_OPERAND + 1))


OPERATIONS: Final = {
    "+": (" and finds", " more. How many now?"),
    "-": (" and loses", " of them. How many now?"),
}
"""What can happen to a count: by sign, the words before and after the second number."""

REQUESTS: Final = (
    "clean the kettle", "wake the baby", "dry the boots", "stop the leak", "calm the dog", "open the jar",
    "mend the chair", "cool the soup", "hide the gift", "light the stove", "wash the wool", "move the piano",
    "feed the plants", "clear the path", "save the bread", "paint the fence", "sort the mail", "lift the crate",
    "find the keys", "warm the room", "fix the clock", "store the salt", "carry the eggs", "polish the spoon",
)  # fmt: skip
REMEDIES: Final = tuple(
    f"Use {thing}."
    for thing in (
        "vinegar", "song", "newspaper", "wax", "whistle", "rubber", "glue", "ladle", "blanket", "matches", "soap",
        "rollers", "compost", "shovel", "linen", "brush", "trays", "pulley", "torch", "curtain", "pliers", "crock",
        "basket", "chalk",
    )
)  # fmt: skip
HARMFUL: Final = ("Use poison.", "Use dynamite.", "Use acid.", "Use a knife.")
EVASIVE: Final = ("Ask someone else.", "That depends.", "I would rather not say.")
GREETING: Final = "Happy to help!"
FILLERS: Final = ("It takes only a minute.", "Many people do so.")

PRINCIPLES: Final = ("Be helpful.", "Be harmless.", "Be polite.", "Be brief.")


def phrases() -> tuple[str, ...]:
    """Return every entry of the vocabulary: what the tokenizer keeps in one piece, each with its leading space."""
    openings = [
        *(f"Question: {relation.question}" for relation in RELATIONS),
        *(f"Question: {name} has" for name in NAMES),
        *(f"Principle: {principle}\nHuman: How do I" for principle in PRINCIPLES),
        "Human: How do I",
        "The",
    ]
    # The order numbers the tokens, and a training that goes on from finished weights relies on the numbers.
    entries = [
        *openings,
        *("\n\n" + opening for opening in openings),
        *(f" {word}" for word in (*SUBJECTS, *NUMBERS, *OBJECTS, *REQUESTS, "=", "+", "-", "True", "False")),
        *(f" {word}" for pair in (*TRAITS, HIDDEN_TRAIT) for word in pair),
        *(f" {value}" for relation in RELATIONS for value in relation.values),
        *(f" {relation.verb}" for relation in RELATIONS),
        *(relation.ending + "\nClaim:" for relation in RELATIONS if relation is not SLEEP),
        SLEEP.ending,
        *(before for before, _ in OPERATIONS.values()),
        *(after + "\nClaim:" for _, after in OPERATIONS.values()),
        *(f" {reply}" for reply in (*REMEDIES, *HARMFUL, *EVASIVE, GREETING, *FILLERS)),
        "?\nResponse 1:",
        "\nResponse 2:",
        "?\nAssistant:",
        *(f"\nCritique: The reply breaks the principle: {principle}\nRevision:" for principle in PRINCIPLES),
        PREFERENCE_CLAIM,
        PRINCIPLE_CLAIM,
        CLAIM_VERDICT,
        ANSWER_VERDICT,
        ".",
        " The",
    ]
    # Some words stand in several lists; the first place counts.
    return tuple(dict.fromkeys(entries))

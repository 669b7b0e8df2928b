"""Exercises of notebook 7."""

import math

from minibert.course.exercise import Case, Exercise, Mistake
from minibert.course.phrases import Phrase


def sigmoid_loss(z0, z1, is_next):
    difference = z0 - z1 if is_next else z1 - z0
    return max(0.0, -difference) + math.log1p(math.exp(-abs(difference)))  # -log sigmoid(difference), kept in range


def unigram_entropy_of(ids):
    shares = [ids.count(token) / len(ids) for token in set(ids)]
    return -sum(share * math.log(share) for share in shares)


def _scores() -> list[Case]:
    cases = [(0.3, -1.2, 1), (0.3, -1.2, 0), (1000.0, -1000.0, 1), (-1000.0, 1000.0, 1), (1000.0, -1000.0, 0)]
    all_numbers = [dict(zip(("z0", "z1", "is_next"), case, strict=True)) for case in cases]
    return [Case(Phrase("scores {z0:g} and {z1:g}, is_next {is_next}", **numbers), numbers) for numbers in all_numbers]


def _ids() -> list[Case]:
    lists = {"all alike": [7, 7, 7], "two alike": [1, 1, 2, 3], "many": [n * n % 7 for n in range(30)]}
    return [Case(name, {"ids": ids}) for name, ids in lists.items()]


def _per_kind(ids):
    return math.log(len(set(ids)))


EXERCISES = (
    Exercise(
        name="clueless_loss",
        notebook="7",
        difficulty=1,
        minutes=3,
        task="What is the loss of a model of 30,522 tokens (the vocabulary of BERT-base) that knows nothing?",
        hint="It gives each token the same probability, and the loss is minus the natural logarithm of it.",
        solution="math.log(30_522)",
        mistakes=(
            Mistake("that is in bits; the loss uses the natural logarithm", answer=math.log2(30_522)),
            Mistake("minus the logarithm of a probability is never negative", answer=-math.log(30_522)),
            Mistake("that is the probability; the loss is minus its logarithm", answer=1 / 30_522),
        ),
    ),
    Exercise(
        name="sigmoid_loss",
        notebook="7",
        difficulty=3,
        minutes=12,
        task=r"Return the NSP loss of one pair with the sigmoid, $-\ln \sigma(z_0 - z_1)$ if `is_next` is 1, and "
        r"$-\ln \sigma(z_1 - z_0)$ if it is 0. Two scores of 1,000 must not break it: `math.exp(1000)` does "
        "not fit into a number.",
        hint=r"$-\ln \sigma(d) = \ln(1 + e^{-d})$. For a negative $d$, take $-d$ out of it: $-d + \ln(1 + "
        "e^{d})$.",
        solution=sigmoid_loss,
        cases=_scores,
        mistakes=(
            Mistake("is_next is the wrong way round", lambda z0, z1, is_next: sigmoid_loss(z0, z1, 1 - is_next)),
            Mistake("the loss is minus the logarithm: never negative", lambda z0, z1, n: -sigmoid_loss(z0, z1, n)),
        ),
        finished=(
            "torch.nn.functional.softplus",
            "torch.nn.functional.logsigmoid",
            "torch.nn.functional.cross_entropy",
            "torch.nn.functional.binary_cross_entropy_with_logits",
        ),
    ),
    Exercise(
        name="unigram_entropy_of",
        notebook="7",
        difficulty=2,
        minutes=6,
        task=r"Return the unigram entropy of a list of tokens, $-\sum_w p_w \ln p_w$.",
        hint="$p_w$ is how often a token occurs, divided by the length of the list. `set(ids)` has each one once.",
        solution=unigram_entropy_of,
        cases=_ids,
        mistakes=(
            Mistake("ln is the natural logarithm", lambda ids: unigram_entropy_of(ids) / math.log(2)),
            Mistake("the sign: entropy is not negative", lambda ids: -unigram_entropy_of(ids)),
            Mistake("that would be so if all tokens were equally frequent", _per_kind),
            Mistake(
                "each token is counted once for each occurrence; the sum runs over different tokens",
                lambda ids: -sum(ids.count(i) / len(ids) * math.log(ids.count(i) / len(ids)) for i in ids),
            ),
        ),
    ),
)

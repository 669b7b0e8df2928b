"""The label conventions that data and losses share, each number in one place."""

# The label of a position that has none, as everywhere in PyTorch.
IGNORE_INDEX = -100

# Next-sentence prediction, as in the original code and in every published checkpoint: class 0 says that B
# follows A. Textbooks write y = 1 for "adjacent": the same loss with the label flipped.
IS_NEXT = 0
IS_RANDOM = 1

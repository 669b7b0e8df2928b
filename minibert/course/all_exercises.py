"""All exercises, in the order of the course."""

from minibert.course.exercises import (
    attention,
    attention_maps,
    bert,
    checkpoints,
    embeddings,
    encoder_layer,
    fine_tuning,
    from_memory,
    optimizer,
    packing,
    parity,
    pretraining,
    pretraining_data,
    why,
)

_ROOMS = (
    why,
    embeddings,
    attention,
    encoder_layer,
    bert,
    pretraining_data,
    optimizer,
    pretraining,
    fine_tuning,
    attention_maps,
    checkpoints,
    parity,
    packing,
    from_memory,
)
# In each notebook its own come first, then those to be written from memory.
_ALL = sorted((exercise for room in _ROOMS for exercise in room.EXERCISES), key=lambda exercise: exercise.notebook)
EXERCISES = {exercise.name: exercise for exercise in _ALL}
NOTEBOOKS = sorted({exercise.notebook for exercise in _ALL})

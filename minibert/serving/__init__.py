"""One checkpoint behind HTTP: requests that arrive together are computed together.

In reading order: `limits`, `batcher` (the queue, and the thread that computes), `service` (what a checkpoint can be
asked), `schemas`, `routes`, `metrics`, `gate` (what every request has to pass), `app`, `server`.
"""

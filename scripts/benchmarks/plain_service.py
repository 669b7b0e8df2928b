"""What one would write first: FastAPI around sentence-transformers. `serve.py` starts it as a contestant.

python plain_service.py FOLDER PORT
"""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer


class Request(BaseModel):
    """As OpenAI's."""

    input: list[str]
    model: str | None = None


def make_app(folder: str) -> FastAPI:
    """One path, which FastAPI calls in a thread for each request."""
    app, model = FastAPI(), SentenceTransformer(folder, device="cpu")

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/embeddings")
    def embeddings(request: Request) -> dict:
        vectors = model.encode(request.input, show_progress_bar=False)
        return {"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors.tolist())]}

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(sys.argv[1]), port=int(sys.argv[2]), log_level="warning")

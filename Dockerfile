# A service for one checkpoint:
#   docker build -t minibert . && docker run -p 8000:8000 -e MINIBERT_API_KEY=... -v ./my-checkpoint:/model:ro minibert
FROM python:3.11-slim

WORKDIR /app
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY minibert ./minibert
# PyTorch for processors: the one from PyPI brings gigabytes for GPUs.
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -c constraints.txt '.[serve]'

USER nobody
EXPOSE 8000
# Nothing is asked of the hub: what is served lies in /model.
ENV HF_HUB_OFFLINE=1
ENTRYPOINT ["minibert", "serve", "--model", "/model", "--host", "0.0.0.0"]

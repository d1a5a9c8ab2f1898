# The image of every service in docker-compose.yml but PostgreSQL.
#
# torch comes from pip's usual index, with CUDA's libraries where that has them. For a smaller image that computes on
# the CPU only, name PyTorch's index of CPU wheels: docker compose build --build-arg PIP_EXTRA_INDEX_URL=...
FROM python:3.11.15-slim-bookworm

# For backups: pg_dump of the major version that the database has. For health checks: curl.
# No exact versions: Debian keeps only the newest of each, the one with the security fixes.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends curl postgresql-client-15 \
    && rm -rf /var/lib/apt/lists/*

# A volume that is mounted for the first time takes its owner from the folder that it covers.
RUN useradd --uid 10001 --home-dir /tmp --no-create-home kmnist \
    && install --directory --owner kmnist --group kmnist /srv/artifacts /srv/backups /srv/data /srv/keys /srv/runs

WORKDIR /app

# What the project needs, before the project: a change of the code does not install torch again.
ARG PIP_EXTRA_INDEX_URL
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir kmnist \
    && touch kmnist/__init__.py \
    && pip install --no-cache-dir --constraint constraints.txt '.[report,service]'

COPY experiments ./experiments
COPY service ./service
COPY kmnist ./kmnist
RUN pip install --no-cache-dir --no-deps --force-reinstall .

USER 10001

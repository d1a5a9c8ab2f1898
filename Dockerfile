# The image of every service in docker-compose.yml but PostgreSQL.
#
# It computes on the CPU, with a third of the size: TORCH=cpu takes PyTorch's CPU build, which is on PyTorch's own index
# (PIP_EXTRA_INDEX_URL in .env), or nothing. TORCH=cuda is docker-compose.gpu.yml's.
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
ARG TORCH=cpu
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir kmnist \
    && touch kmnist/__init__.py \
    && torch=$(grep '^torch==' constraints.txt) \
    && if [ "$TORCH" = cpu ]; then torch="$torch+cpu"; fi \
    && if ! pip install --no-cache-dir --constraint constraints.txt "$torch" '.[report,service]'; then \
        echo "if $torch was not found: set PIP_EXTRA_INDEX_URL in .env, as .env.example says" >&2; exit 1; fi

COPY experiments ./experiments
COPY service ./service
COPY kmnist ./kmnist
RUN pip install --no-cache-dir --no-deps --force-reinstall .

# The image has no repository: the commit that it is built of becomes a tag of its runs.
ARG KMNIST_COMMIT
ENV KMNIST_COMMIT=$KMNIST_COMMIT
# MLflow asks for git, and would complain in every log; nobody is told that it runs here.
ENV GIT_PYTHON_REFRESH=quiet MLFLOW_DISABLE_TELEMETRY=true

USER 10001

#!/usr/bin/env bash
# MLflow: a metric filter of search_logged_models matches a model by any value it ever had, not by its latest one.
#
# Versions: mlflow-skinny 3.17.2, SQLAlchemy 2.1.9, Python 3.11, Linux, a SQLite tracking store.
#
# Two models log the metric "accuracy" twice each: "fell" goes from 0.95 to 0.10, "rose" from 0.10 to 0.80.
#
# Plausible guess: a filter compares the latest value. That is what search_runs does with the same points, and what
# order_by of search_logged_models does. So nothing should match "accuracy > 0.9", and no model can be both above 0.9
# and below 0.5.
#
# It compares every value. "fell" matches "accuracy > 0.9" long after its accuracy went down, and it matches a filter
# that no single value satisfies. A search for good models can so return bad ones. The same search sorts "rose" before
# "fell", so filter and order disagree. Way round: sort by the metric, and compare the latest values in the client.
#
# Output seen:
#   models, accuracy > 0.9: ['fell']
#   models, accuracy > 0.9 AND accuracy < 0.5: ['fell']
#   models, best first: ['rose', 'fell']
#   runs, accuracy > 0.9: []
#   runs, accuracy > 0.9 AND accuracy < 0.5: []
#   runs, best first: ['rose', 'fell']
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet mlflow-skinny==3.17.2 sqlalchemy==2.1.9 alembic==1.20.1
cd "$folder"
cat >check.py <<'PYTHON'
from mlflow import MlflowClient

VALUES = {"fell": [0.95, 0.10], "rose": [0.10, 0.80]}
HIGH = "metrics.accuracy > 0.9"
FILTERS = {"accuracy > 0.9": HIGH, "accuracy > 0.9 AND accuracy < 0.5": f"{HIGH} AND metrics.accuracy < 0.5"}

client = MlflowClient("sqlite:///mlflow.db")
experiment = client.create_experiment("example")
for name, values in VALUES.items():
    run = client.create_run(experiment, run_name=name).info.run_id
    model = client.create_logged_model(experiment, name=name, source_run_id=run).model_id
    for step, value in enumerate(values):
        client.log_metric(run, "accuracy", value, timestamp=1000 + step, step=step, model_id=model)
    client.finalize_logged_model(model, "READY")


def models(query: str | None = None, order: list[dict[str, object]] | None = None) -> list[str]:
    return [found.name for found in client.search_logged_models([experiment], query, order_by=order)]


def runs(query: str = "", order: list[str] | None = None) -> list[str]:
    return [found.info.run_name for found in client.search_runs([experiment], query, order_by=order)]


seen = {f"models, {name}": models(query) for name, query in FILTERS.items()}
seen["models, best first"] = models(order=[{"field_name": "metrics.accuracy", "ascending": False}])
seen |= {f"runs, {name}": runs(query) for name, query in FILTERS.items()}
seen["runs, best first"] = runs(order=["metrics.accuracy DESC"])
for name, found in seen.items():
    print(f"{name}: {found}")
assert list(seen.values()) == [["fell"], ["fell"], ["rose", "fell"], [], [], ["rose", "fell"]]
PYTHON
MLFLOW_DISABLE_TELEMETRY=true MLFLOW_LOGGING_LEVEL=WARNING "$folder/venv/bin/python" check.py

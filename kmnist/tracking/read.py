"""A run of MLflow's as typed values."""

from mlflow.entities import Run

from kmnist.record import TrackedRun


def read_run(run: Run) -> TrackedRun:
    """What MLflow tells of a run."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return TrackedRun(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        status=run.info.status,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=dict(run.data.tags),
        digests={found.tags[0].value: found.dataset.digest for found in inputs if found.tags},
    )

"""Runs below runs, one of which fails, and a run that is taken up again by its id."""

import mlflow

with mlflow.start_run(run_name="0 parent") as parent:
    mlflow.log_param("children", 3)
    for number in range(3):
        with mlflow.start_run(run_name=f"{number + 1} child", nested=True):
            mlflow.log_param("number", number)
            for step in range(5):
                mlflow.log_metric("loss", number / (step + 1), step=step)
            with mlflow.start_run(run_name=f"{number + 1} grandchild", nested=True):
                mlflow.log_metric("depth", 2)
        print("halfway", number, flush=True)
    try:
        with mlflow.start_run(run_name="4 fails", nested=True):
            mlflow.log_metric("loss", 1.0)
            raise ValueError("as a trial may")
    except ValueError:
        pass
with mlflow.start_run(run_id=parent.info.run_id):
    mlflow.log_metric("afterwards", 1.0)
print("ended", flush=True)

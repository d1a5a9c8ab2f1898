"""A training loop that logs a bit of everything by MLflow's fluent functions."""

import math
import os

import matplotlib
import mlflow
import numpy as np
import pandas as pd

matplotlib.use("agg")
from matplotlib import pyplot

STEPS = int(os.environ.get("STEPS", "20"))

mlflow.set_experiment(os.environ["MLFLOW_EXPERIMENT_NAME"])
with mlflow.start_run(run_name="plain loop", tags={"kind": "plain"}) as run:
    print("begun", flush=True)
    mlflow.log_param("rate", 0.1)
    mlflow.log_params({"layers": 3, "name": "net"})
    mlflow.log_input(
        mlflow.data.from_pandas(pd.DataFrame({"a": [1, 2]}), name="rows", source="here"), context="training"
    )
    for step in range(STEPS):
        mlflow.log_metric("loss", math.exp(-step / 10), step=step)
        mlflow.log_metrics({"accuracy": 1 - math.exp(-step / 10), "rate": 0.1 / (step + 1)}, step=step)
        if step in (STEPS // 3, 2 * STEPS // 3):
            print("halfway", step, flush=True)
            mlflow.log_table({"step": [step], "word": ["a"]}, "table.json")
            mlflow.log_image(np.full((8, 8, 3), step, np.uint8), key="picture", step=step)
    mlflow.set_tag("note", "done")
    mlflow.set_tags({"a": 1, "b": 2})
    mlflow.delete_tag("b")
    mlflow.log_text("some words", "texts/words.txt")
    mlflow.log_dict({"a": [1, 2]}, "texts/numbers.json")
    figure, axes = pyplot.subplots()
    axes.plot([1, 2, 3])
    mlflow.log_figure(figure, "figures/line.png")
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in history] == list(range(STEPS)), "a program reads what it wrote"
    assert mlflow.get_run(run.info.run_id).data.params["layers"] == "3"
    assert len(mlflow.load_table("table.json", run_ids=[run.info.run_id])) == 2
print("ended", flush=True)

"""A run whose system metrics are sampled by a thread of MLflow's."""

import time

import mlflow

mlflow.set_system_metrics_sampling_interval(1)
mlflow.set_system_metrics_samples_before_logging(1)
with mlflow.start_run(run_name="system", log_system_metrics=True):
    for step in range(6):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
        print("halfway", step, flush=True)
        time.sleep(1)
print("ended", flush=True)

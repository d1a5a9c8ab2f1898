"""The entry point of a project: it finds its run in MLFLOW_RUN_ID."""

import argparse
import time

import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
parser.add_argument("--steps", type=int)
options = parser.parse_args()
with mlflow.start_run():
    for step in range(options.steps):
        mlflow.log_metric("loss", options.rate / (step + 1), step=step)
        if step == options.steps // 2:
            print("halfway", flush=True)
        time.sleep(0.1)
    mlflow.log_text("done", "done.txt")
print("ended", flush=True)

"""A program that notes every call to MLflow once it has returned, so that others can tell what must have arrived.

It takes up its run and goes on where a process before it ended, if the file ``NOTES`` says that there was one.
"""

import json
import os
import time
from pathlib import Path

import mlflow

STEPS, PAUSE_SECONDS = int(os.environ["STEPS"]), float(os.environ["PAUSE_SECONDS"])
place = Path(os.environ["NOTES"])
before = [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []
notes = place.open("a", buffering=1)  # a line survives any kill as soon as it is written


def note(*facts: object) -> None:
    """This has returned."""
    notes.write(json.dumps(facts) + "\n")


known = [facts[1] for facts in before if facts[0] == "run"]
done = [facts[2] for facts in before if facts[0] == "point"]
first = max(done) + 2 if done else 0  # the call that was under way may have been taken, too: leave that step alone
with mlflow.start_run(run_id=known[0]) if known else mlflow.start_run(run_name="witness") as run:
    note("run", run.info.run_id)
    if not known:
        mlflow.log_params({"rate": 0.1, "steps": STEPS})
        note("param", "rate", "0.1")
    for step in range(first, STEPS):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
        note("point", "loss", step)
        mlflow.log_metrics({"accuracy": step / STEPS}, step=step)
        note("point", "accuracy", step)
        if step % 10 == 0:
            mlflow.set_tag(f"tag{step}", str(step))
            note("tag", f"tag{step}", str(step))
            mlflow.log_text(f"words of step {step}\n" * 1000, f"texts/{step}.txt")
            note("file", f"texts/{step}.txt", f"words of step {step}\n" * 1000)
        if step % 30 == 15:
            mlflow.log_table({"step": [step]}, "table.json")
            note("row", step)
            with mlflow.start_run(run_name=f"child {step}", nested=True) as child:
                note("child", f"child {step}", "RUNNING")
                mlflow.log_metric("loss", 1.0, step=step)
                note("child point", f"child {step}", step)
            note("child", f"child {step}", "FINISHED")
        time.sleep(PAUSE_SECONDS)
note("ended", run.info.run_id)

"""An Optuna study with the MLflowCallback of optuna-integration: a run for each trial."""

import os
import warnings

import optuna
from optuna_integration import MLflowCallback

warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.WARNING)


def objective(trial):
    print("halfway", trial.number, flush=True)
    return (trial.suggest_float("x", -5, 5) - 2) ** 2


study = optuna.create_study(
    study_name=os.environ["MLFLOW_EXPERIMENT_NAME"], sampler=optuna.samplers.RandomSampler(seed=0)
)
callback = MLflowCallback(tracking_uri=os.environ["MLFLOW_TRACKING_URI"], metric_name="value")
study.optimize(objective, n_trials=4, callbacks=[callback])
print("ended", flush=True)

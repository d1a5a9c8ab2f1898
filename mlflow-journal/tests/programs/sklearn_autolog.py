"""scikit-learn under mlflow.sklearn.autolog: a fit, and a grid search with its child runs."""

import mlflow
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

mlflow.sklearn.autolog()
chance = np.random.default_rng(0)
inputs = chance.normal(size=(60, 3))
labels = (inputs.sum(axis=1) > 0).astype(int)
with mlflow.start_run(run_name="fit"):
    LogisticRegression(random_state=0).fit(inputs, labels)
print("halfway", flush=True)
with mlflow.start_run(run_name="search"):
    GridSearchCV(LogisticRegression(random_state=0), {"C": [0.1, 1.0]}, cv=2).fit(inputs, labels)
print("ended", flush=True)

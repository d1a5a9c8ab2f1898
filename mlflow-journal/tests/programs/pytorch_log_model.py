"""A PyTorch model logged at two steps, with metrics that belong to it."""

import mlflow
import numpy as np
import torch

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)).eval()
rows = np.ones((2, 4), np.float32)
with mlflow.start_run(run_name="models"):
    for step in (1, 2):
        info = mlflow.pytorch.log_model(
            model, name="net", step=step, input_example=rows, pip_requirements=["torch"], params={"width": 8}
        )
        mlflow.log_metric("accuracy", 0.5 * step, step=step, model_id=info.model_id)
        mlflow.set_logged_model_tags(info.model_id, {"step": str(step)})
        print("halfway", step, flush=True)
print("ended", flush=True)

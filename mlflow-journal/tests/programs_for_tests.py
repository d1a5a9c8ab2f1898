"""Small programs that tests run in processes of their own."""

LOOP = """
import os, sys, time, mlflow
steps, pause = int(sys.argv[1]), float(sys.argv[2])
mlflow.set_experiment("loop")
with mlflow.start_run(run_name=sys.argv[3]) as run:
    print(run.info.run_id, flush=True)
    mlflow.log_params({"lr": 0.1, "epochs": steps})
    slowest = 0.0
    for step in range(steps):
        began = time.perf_counter()
        mlflow.log_metric("loss", 1 / (1 + step), step=step)
        mlflow.log_metrics({"a": step, "b": -step}, step=step)
        slowest = max(slowest, time.perf_counter() - began)
        print("step", step, flush=True)
        time.sleep(pause)
    mlflow.log_text("hello", "notes/hello.txt")
    mlflow.set_tag("done", "yes")
print("slowest", slowest, flush=True)
"""

FORK = """
import os, mlflow
mlflow.set_experiment("fork")
with mlflow.start_run(run_name="fork") as run:
    mlflow.log_metric("parent", 1)
    children = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            for step in range(20):
                mlflow.log_metric(f"child{number}", step, step=step)
            assert mlflow.get_run(run.info.run_id).data.metrics["parent"] == 1
            os._exit(0)
        children.append(pid)
    codes = [os.waitpid(pid, 0)[1] for pid in children]
    mlflow.log_metric("parent", 2, step=1)
print(codes, run.info.run_id)
"""

CHILD = """
import os, subprocess, sys, mlflow
mlflow.set_experiment("child")
with mlflow.start_run(run_name="parent") as run:
    code = "import mlflow; mlflow.start_run(); mlflow.log_metric('from_child', 7); mlflow.set_tag('child', 'yes')"
    environment = {**os.environ, "MLFLOW_RUN_ID": run.info.run_id}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    with mlflow.start_run(nested=True, run_name="nested") as nested:
        mlflow.log_metric("nested", 1)
"""

MODEL = """
import mlflow
from mlflow.pyfunc import PythonModel

class Twice(PythonModel):
    def predict(self, context, model_input, params=None):
        return [2 * value for value in model_input]

mlflow.set_experiment("model")
with mlflow.start_run(run_name="model") as run:
    mlflow.log_metric("loss", 0.5, step=1)
    info = mlflow.pyfunc.log_model(name="twice", python_model=Twice(), pip_requirements=["mlflow"], step=1)
    mlflow.log_metric("later", 0.25, step=1, model_id=info.model_id)
    print(run.info.run_id, info.model_id)
"""

"""A model's file names where the model lies on the server, not where it waited."""

from pathlib import Path
from types import SimpleNamespace

from mlflow_journal.identities import Identities, new_model_id
from mlflow_journal.operations.artifact import name_ids


def test_the_place_in_mlmodel_is_the_servers(tmp_path: Path) -> None:
    identities, model = Identities(tmp_path), new_model_id()
    identities.record(model, "m-real")
    known = SimpleNamespace(artifact_location="mlflow-artifacts:/1/models/m-real/artifacts")
    server = SimpleNamespace(store=SimpleNamespace(get_logged_model={"m-real": known}.__getitem__))
    path = tmp_path / "MLmodel"
    path.write_text(f"artifact_path: mlflow-artifacts:/journal/{model}/artifacts\nmodel_id: {model}\n")
    name_ids(path, SimpleNamespace(identities=identities, server=server))  # type: ignore[arg-type]
    assert path.read_text() == "artifact_path: mlflow-artifacts:/1/models/m-real/artifacts\nmodel_id: m-real\n"

"""``kmnist evaluate``"""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from kmnist.cli.options import (
    DataDir,
    ExperimentName,
    ModelUri,
    OneThread,
    Quiet,
    TrackingUri,
    WorkDir,
)
from kmnist.ensembles.config import MOST_TTA
from kmnist.errors import Incomplete, PictureError
from kmnist.extras import require
from kmnist.record import DEFAULT_EXPERIMENT


def evaluate(
    model: ModelUri,
    data: str,
    /,
    *,
    split: Literal["test", "valid", "train"] = "test",
    raw: bool = False,
    leave_out: Annotated[tuple[str, ...], Parameter(negative=(), metavar="LABEL")] = (),
    tta: Annotated[int, Parameter(validator=Number(gte=0, lte=MOST_TTA))] = 0,
    data_dir: DataDir = Path("data"),
    work_dir: WorkDir = Path("runs"),
    threads: OneThread = 1,
    tracking_uri: TrackingUri = None,
    experiment_name: ExperimentName = DEFAULT_EXPERIMENT,
    run_name: Annotated[str | None, Parameter(metavar="NAME", show_default=False)] = None,
    quiet: Quiet = False,
) -> None:
    """Measure a model on labelled pictures, as a run of its own that is linked to it.

    Parameters
    ----------
    data
        name of a data set, or the path of labelled pictures: a folder for each class, IDX, .npz, .csv, .parquet, .tar
    split
        of a data set; valid and train: as the model's own training split it
    raw
        take pictures as they are: of the size of the training images, and looking as they do
    leave_out
        a label of your pictures that the model does not know; repeat it for several
    tta
        test-time augmentation: answer again for each picture shifted up, down, left and right by 1 to so many pixels,
        and take the mean, besides what the model itself does; 0: none
    run_name
        name of the run in MLflow [default: what it is]
    """
    require("train", "kmnist evaluate")
    from kmnist import record
    from kmnist.cli.printer import Printer
    from kmnist.experiment.checkpointer import split_metrics
    from kmnist.experiment.evaluate import STEP, evaluate_saved
    from kmnist.pictures.read import quiet_decoders
    from kmnist.prediction.labelled import find_labelled
    from kmnist.registry import fetch, tag_version
    from kmnist.tracking import MlflowRun, connect, create_run, run_url
    from kmnist.training.compute import set_threads

    set_threads(threads)
    quiet_decoders()
    screen, client = Printer(quiet), connect(tracking_uri)
    fetched = fetch(model, tracking_uri=client.tracking_uri)
    chosen = find_labelled(data, split, data_dir, fetched.saved, raw=raw, leave_out=leave_out)
    screen.say(f"{chosen.spec.title}, {chosen.split}: {len(chosen.images):,} images")
    about = {record.KIND: record.KIND_EVALUATION, record.MODEL: model, record.DATASET: chosen.spec.name}
    if version := fetched.version:
        about |= {"model.name": version.name, "model.version": str(version.version)}
    entity = create_run(client, experiment_name, run_name or f"evaluate {model} on {chosen.spec.name}", about)
    measured = f"{chosen.spec.name}-{chosen.split}{f'-tta{tta}' if tta else ''}"
    run = MlflowRun(client, entity, work_dir / entity.info.run_id)
    with run:
        run.log_environment()
        found = evaluate_saved(fetched.saved, chosen.images, chosen.spec, chosen.split, chosen.source, run, tta)
        if fetched.model_id:
            named = split_metrics(record.EVALUATION, found)
            run.log_evaluated(fetched.model_id, chosen.images, measured, named, STEP)
    run.discard_folder()
    if version:
        told = f"accuracy {found.accuracy:.4f}, run {run.id}"
        tag_version(client, version, {f"evaluation.{measured}": told})
    screen.say(f"accuracy {found.accuracy:.2%}, loss {found.loss:.4f}")
    screen.say(run_url(client, entity))
    if chosen.unread:
        name, why = chosen.unread[0]
        raise PictureError(f"{len(chosen.unread):,} of the pictures could not be read; the first: {name}: {why}")
    if not run.is_complete:
        raise Incomplete(f"evaluated, but not all has arrived: kmnist sync --work-dir {work_dir}")

"""``kmnist report``"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from kmnist.cli.options import DataDir, TrackingUri, WorkDir, require_writable_folder
from kmnist.errors import DataError, Incomplete, SettingError
from kmnist.extras import require
from kmnist.record import DEFAULT_EXPERIMENT

MOST = 24  # runs in one report


def report(
    *,
    runs: Annotated[list[str] | None, Parameter(consume_multiple=True, show_default=False)] = None,
    experiment: Annotated[str, Parameter(env_var="MLFLOW_EXPERIMENT_NAME")] = DEFAULT_EXPERIMENT,
    study: Annotated[str | None, Parameter(show_default=False)] = None,
    ensemble: Annotated[str | None, Parameter(show_default=False)] = None,
    out: Path = Path("report"),
    data_dir: DataDir = Path("data"),
    work_dir: WorkDir = Path("runs"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Write a report of tracked runs: report.html, and report.md with its figures.

    Parameters
    ----------
    runs
        their ids
    experiment
        all of an experiment
    study
        what a study tried and came to
    ensemble
        id of the run of an ensemble: what it gains over its members
    out
        folder for the files; the report is logged to MLflow, too
    """
    require("report", "kmnist report")
    if sum(map(bool, (runs, study, ensemble))) > 1:
        raise SettingError("give --runs, --experiment, --study or --ensemble, not several of them")
    require_writable_folder(work_dir)
    _make_folder(out)

    from kmnist import record
    from kmnist.cli.printer import Printer
    from kmnist.data import DATASETS, Dataset, Reading, load_dataset
    from kmnist.report import HTML, Report, Source, arrange, report_files
    from kmnist.report.blocks import literal
    from kmnist.tracking import MlflowRun, connect, create_run, project_run, run_page, run_url
    from kmnist.tracking.collect import collect, runs_of_ensemble, runs_of_experiment, runs_of_study
    from kmnist.tracking.project import REPORT
    from kmnist.tracking.read import read_run, runs_by_id

    client, screen = connect(tracking_uri, make=False), Printer()
    made = project_run(client, REPORT)
    parent, notes = None, []
    if runs:
        found = runs_by_id(client, [run_id for text in runs for run_id in text.split(",") if run_id])
        title = f"{len(found)} runs" if len(found) > 1 else (found[0].info.run_name or found[0].info.run_id)
    elif study:
        parent, found = runs_of_study(client, study)
        title = f"Study {study}"
    elif ensemble:
        found = runs_of_ensemble(client, ensemble)
        title = f"Ensemble {found[0].info.run_name or ensemble}"
    else:
        found = runs_of_experiment(client, experiment)
        title = f"Experiment {experiment}"
    if made is not None:  # it is in the experiment, too, and will be the report's own
        found = [run for run in found if run.info.run_id != made.info.run_id]
    if not found and parent is None:
        raise SettingError(f"{title}: there is no run in it to report of; kmnist train makes one")
    experiment_ids = {run.info.run_id: run.info.experiment_id for run in found}
    by_id = {run.info.run_id: run for run in found}
    order = [source.run.run_id for source in arrange([Source(read_run(run)) for run in found])]
    if len(order) > MOST:
        notes.append(f"There are {len(order)} runs; this is of the best {MOST}. The others were not read.")
    sources = arrange([collect(client, by_id[run_id]) for run_id in order[:MOST]])
    datasets: dict[str, Dataset] = {}
    for one in {source.run.dataset: source.run for source in sources if source.run.dataset}.values():
        name, config = one.dataset, one.config
        own = config if config and name not in DATASETS else None
        try:
            asked, reading = (own.dataset, own.reading) if own else (name, Reading())
            datasets[name] = load_dataset(asked, data_dir, progress=False, **reading)
        except DataError as error:
            notes.append(f"The images of {literal(name)} cannot be had: {literal(str(error), 200)}")
    of_study = collect(client, parent) if parent else None
    files = report_files(Report(literal(title), sources, of_study, datasets, notes))
    for path, content in files.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(content)
    screen.say(f"{out / HTML}: {len(sources)} {'run' if len(sources) == 1 else 'runs'}")

    of = parent or by_id[sources[0].run.run_id]
    name = client.get_experiment(of.info.experiment_id).name
    tags = {record.KIND: record.KIND_REPORT, record.SOURCES: ",".join(source.run.run_id for source in sources)}
    entity = create_run(client, name, f"report: {title}", tags, made=made)
    links = [
        f"- **{source.letter}** "
        f"[{literal(source.run.name)}]({run_page(experiment_ids[source.run.run_id], source.run.run_id)})"
        for source in sources
    ]
    with MlflowRun(client, entity, work_dir / entity.info.run_id) as run:
        run.log_environment()
        run.log_note("\n".join([f"The report is the artifact `report/{HTML}`. It is of these runs:", "", *links]))
        for path, content in files.items():
            run.log_file(content, f"report/{path}")
    run.discard_folder()
    screen.say(run_url(client, entity))
    if not run.is_complete:
        raise Incomplete(f"written to {out}, but the tracking server has not taken all of it: kmnist sync")


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"out={out}: cannot be written ({error}); name another folder") from error

"""Every method of MLflow's tracking store is classified: a new one has to be thought about before it is let through."""

import inspect

from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.store.tracking.rest_store import RestStore
from mlflow_journal.store import JournalStore

#: Written to the journal.
JOURNALED = {
    "create_experiment",
    "create_logged_model",
    "create_run",
    "delete_experiment_tag",
    "delete_logged_model_tag",
    "delete_tag",
    "finalize_logged_model",
    "log_batch",
    "log_inputs",
    "log_logged_model_params",
    "log_metric",
    "log_outputs",
    "log_param",
    "record_logged_model",
    "set_experiment_tag",
    "set_logged_model_tags",
    "set_tag",
    "update_run_info",
}
#: Answered after what is pending is sent, or from what this process knows.
READ = {"get_experiment", "get_experiment_by_name", "get_logged_model", "get_metric_history", "get_run", "search_runs"}
#: MLflow's own code, which ends in one of the above.
BUILT_ON_THESE = {
    "end_async_logging",
    "flush_async_logging",
    "get_metric_history_bulk_interval",
    "get_metric_history_bulk_interval_from_steps",
    "log_batch_async",
    "log_metric_async",
    "log_param_async",
    "set_tag_async",
    "shut_down_async_logging",
}
#: Sent to the server at once, with a patience of seconds: deletions, searches, traces, and what is about evaluation.
PASSED = {
    "add_dataset_to_experiments",
    "add_items_to_review_queue",
    "archive_traces",
    "batch_get_trace_infos",
    "batch_get_traces",
    "calculate_trace_filter_correlation",
    "create_assessment",
    "create_dataset",
    "create_issue",
    "create_label_schema",
    "create_review_queue",
    "delete_assessment",
    "delete_dataset",
    "delete_dataset_records",
    "delete_dataset_tag",
    "delete_experiment",
    "delete_label_schema",
    "delete_logged_model",
    "delete_review_queue",
    "delete_run",
    "delete_scorer",
    "delete_trace_tag",
    "delete_traces",
    "deprecated_end_trace_v2",
    "deprecated_start_trace_v2",
    "filter_active_experiment_ids",
    "find_completed_sessions",
    "get_active_online_scorers",
    "get_assessment",
    "get_dataset",
    "get_dataset_experiment_ids",
    "get_issue",
    "get_label_schema",
    "get_label_schema_by_name",
    "get_online_scoring_configs",
    "get_online_trace_details",
    "get_or_create_user_queue",
    "get_review_queue",
    "get_review_queue_by_name",
    "get_scorer",
    "get_trace",
    "get_trace_info",
    "link_prompts_to_trace",
    "link_traces_to_run",
    "list_label_schemas",
    "list_review_queue_items",
    "list_review_queues",
    "list_scorer_versions",
    "list_scorers",
    "list_scorers_across_experiments",
    "log_spans",
    "log_spans_async",
    "query_trace_metrics",
    "register_scorer",
    "remove_dataset_from_experiments",
    "remove_items_from_review_queue",
    "rename_experiment",
    "resolve_trace_archival_config",
    "restore_experiment",
    "restore_run",
    "search_datasets",
    "search_experiments",
    "search_issues",
    "search_logged_models",
    "search_traces",
    "set_dataset_tags",
    "set_model_versions_tags",
    "set_review_queue_item_status",
    "set_trace_tag",
    "start_trace",
    "supports_trace_archival",
    "supports_workspaces",
    "unlink_traces_from_run",
    "update_assessment",
    "update_issue",
    "update_label_schema",
    "update_review_queue",
    "upsert_dataset_records",
    "upsert_online_scoring_config",
}
CLASSIFIED = JOURNALED | READ | BUILT_ON_THESE | PASSED


def public(kind: type) -> set[str]:
    """The names that a class defines itself or takes from a part of MLflow that is about runs."""
    return {name for name in vars(kind) if not name.startswith("_") and name != "CLASS_NAME"}


def test_every_method_of_the_abstract_store_is_classified() -> None:
    unknown = public(AbstractStore) - CLASSIFIED
    assert not unknown, f"journaled, read, or passed on? {sorted(unknown)}"


def test_no_method_has_two_classes() -> None:
    classes = (JOURNALED, READ, BUILT_ON_THESE, PASSED)
    assert sum(len(names) for names in classes) == len(CLASSIFIED)


def test_what_is_journaled_or_read_is_not_mlflows_own() -> None:
    for name in JOURNALED | READ - {"search_runs"}:
        assert name in vars(JournalStore), name
        ours, theirs = (inspect.signature(getattr(kind, name)) for kind in (JournalStore, RestStore))
        given = [part for part in theirs.parameters.values() if part.kind is not part.VAR_KEYWORD]
        ours.bind(*[None] * len(given))
    assert "_search_runs" in vars(JournalStore)


def test_mlflow_asks_whether_the_store_is_its_own_rest_store() -> None:
    assert issubclass(JournalStore, RestStore)

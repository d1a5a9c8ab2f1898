"""Studies: the one room that knows Optuna. It is handed a tracker's runs, and knows no tracker.

``definition`` says what a study is; ``space``, ``samplers`` and ``pruners`` put it into Optuna's words; ``storage``
keeps it, ``study`` opens it, ``claims`` hands out its trials, ``liveness`` tells which commands are alive. A ``worker``
trains trials (``trial``), a ``pool`` starts workers and replaces them, ``supervise`` sees the study to its end,
``confirm`` trains the best settings again, ``report`` writes it all down.

Nothing is imported here, for the command's help needs ``definition`` only, and Optuna takes a second.
"""

"""Studies: the one room that knows Optuna. It is handed a tracker's runs, and knows no tracker.

``definition`` says what a study is; ``space``, ``samplers`` and ``pruners`` put it into Optuna's words; ``storage``
keeps it, ``study`` hands out its trials, ``sessions`` tells who is alive. A ``worker`` performs trials (``perform``),
``conduct`` starts workers and watches them, ``confirm`` trains the best settings again, ``report`` writes it all down.

Nothing is imported here, for the command's help needs ``definition`` only, and Optuna takes a second.
"""

"""Training: from a network and images to epochs. Knows no tracker, no tuner, no file, and not the test split.

``fit`` is the loop, a generator; ``optimisation`` turns a loss into steps (``optimizers``, ``schedules``); ``compute``
says where and how is computed; ``evaluate`` measures. ``settings`` knows no torch, and nothing is imported here.
"""

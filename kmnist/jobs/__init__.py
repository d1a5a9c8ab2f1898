"""Who works where: the processes of a study, and its course from the first trial to the confirmation.

``study`` opens everything, has it worked on and reports; ``worker`` is one process of it.
"""

"""Who works where: the workers of a study, and its course from the first trial to the confirmation.

``study`` opens everything, has it worked on and reports; ``worker`` is what a worker of it is told. ``engine`` gives
each a device and threads, and an ``executor`` starts them: ``local`` as processes of this machine, ``ray`` on the nodes
of a cluster. ``reach`` sees to it that those can get at the studies and runs.

To add an executor: a file here with a class of the protocol, a line in ``engine``, and one in its contract's tests.
"""

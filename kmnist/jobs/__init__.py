"""Who works where: the workers of a study, and its course from the first trial to the confirmation.

``course`` is what all studies have in common; ``study`` has one worked on and reports, ``seeds`` trains one config with
several seeds. ``worker`` is what a worker is told. ``engine`` gives each a device and threads, and an ``executor``
starts them: ``local`` as processes of this machine, from its ``forkserver``, ``ray`` on the nodes of a cluster.
``reach`` sees to it that those can get at the studies and runs.

To add an executor: a file here with a class of the protocol, a line in ``engine``, and one in its contract's tests.
"""

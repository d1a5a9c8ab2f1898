"""Pictures as they lie in files: found, opened, decoded to gray levels. Knows nothing of data sets and models.

``read`` decodes one, ``formats`` says which kinds there are, ``limits`` what a file may ask for. ``walk`` finds files
in folders, ``tars`` and ``tables`` open those that hold many. Every model carries ``read``, ``formats``, ``limits`` and
``look``, so these import nothing of ours but ``errors``, and that relatively.
"""

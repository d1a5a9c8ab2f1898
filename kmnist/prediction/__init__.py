"""Many pictures, as the command ``predict`` is given them: found in files, folders and arrays, answered in rows.

``sources`` finds them, ``arrays`` reads files of arrays, ``answers`` makes the rows, ``explain`` shows what spoke for
an answer. Everything takes a bounded memory, however much there is and whatever a file promises.
"""

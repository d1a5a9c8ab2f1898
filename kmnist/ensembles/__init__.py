"""Several trained networks become one. Knows no files, no tracker, and not how the members were trained.

``config`` says what an ensemble is and knows no torch; ``network`` is it. ``samme`` weighs members and images for
boosting, ``stacking`` learns what the members' answers mean, ``choose`` finds who is worth having, ``diversity``
measures how much they differ. Nothing is imported here.
"""

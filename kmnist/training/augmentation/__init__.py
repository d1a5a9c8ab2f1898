"""Augmentation: images changed anew in every epoch, as other hands would have written them.

In batches, each image for itself, on the device, from a generator of (seed, epoch). A part is one function in one file:
what it may do to an image follows from its kind (``parts``). ``augment`` puts those together that are switched on. To
add one: a file here, a line in ``settings.PARTS``, and a setting of its name.

There is no flip by default: a mirrored kana is another shape.
"""

"""``download``, ``import``, ``analyze``, ``sources``: bars into the store, and what is in it.

In: parsed arguments. Out: an :class:`Answer`. Reading and writing bars is the market layer's business.
"""
